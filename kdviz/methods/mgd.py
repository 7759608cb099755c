"""MGD: hide most of the student's map and have it generate the teacher's map from the rest.

Yang, Li, Shao, Shi, Yuan, Yuan, Masked Generative Distillation, ECCV 2022, arXiv:2205.01529. A cell
that must be recovered from its neighbours forces each of them to know its surroundings; imitating
the teacher cell by cell does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kdviz.checks import check_same_shape
from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, in_full_precision, level_losses, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.structures import Batch, Pyramid

# --- where ----------------------------------------------------------------------------------------


def keep_mask(values: Tensor, ratio: float) -> Tensor:
    """Cells that stay visible, drawn for each image and shared by its channels.

    Args:
        values: (N, C, H, W), for the size and the device.
        ratio: probability that a cell is hidden, in [0, 1].

    Returns:
        Boolean (N, 1, H, W).
    """
    n, _, height, width = values.shape
    return torch.rand(n, 1, height, width, device=values.device) >= ratio


# --- adapt ----------------------------------------------------------------------------------------


def generator(channels: int) -> nn.Sequential:
    """The block that fills the hidden cells: 3x3 convolution, ReLU, 3x3 convolution."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1),
    )


# --- loss -----------------------------------------------------------------------------------------


def mgd_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    r"""Squared distance of the generated map, summed over all cells and channels of an image.

    .. math:: L = \frac{1}{N} \sum_{n,c,h,w} \big( G(M \odot \phi(s)) - t \big)_{nchw}^2

    Args:
        student: map generated from the masked student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.

    Returns:
        Scalar >= 0; it grows with the size of the map, hence the small published weight.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    error = in_full_precision(student) - in_full_precision(teacher)
    return error.square().sum() / len(student)


# --- the method -----------------------------------------------------------------------------------


class MGD(Method):
    """Masked generation on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        ratio: probability that a cell is hidden, in [0, 1]; if not given, 0.65 for a student of one
            stage and 0.45 for one of two, as released.

    Raises:
        ValueError: the detectors share no stride, or the ratio is outside [0, 1].
    """

    weights: Mapping[str, TermWeight] = {"mgd": TermWeight(2e-5)}
    """As released for students of one stage; 5e-7 for those of two."""

    def __init__(
        self, student: DetectorParts, teacher: DetectorParts, ratio: float | None = None
    ) -> None:
        super().__init__()
        if isinstance(student, FasterRCNNParts):
            self.weights = {"mgd": TermWeight(5e-7)}
        if ratio is None:
            ratio = 0.45 if isinstance(student, FasterRCNNParts) else 0.65
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"ratio is the share of hidden cells, in [0, 1], but is {ratio}")
        self.ratio = ratio
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs, kernel_size=1, skip_equal=True)
        self.generators = nn.ModuleDict({own.name: generator(t.channels) for own, t in pairs})

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``mgd/<level>``; map ``visible``, boolean."""
        adapted = self.adapter(student.features)
        visible = adapted.apply(lambda values: keep_mask(values, self.ratio))
        generated = self.generate(adapted, visible)
        losses = level_losses("mgd", mgd_loss, student=generated, teacher=teacher.features)
        return Distillation(losses, {"visible": visible})

    def generate(self, adapted: Pyramid, visible: Pyramid) -> Pyramid:
        """The teacher's maps, as generated from the visible cells of the adapted ones."""
        return adapted.with_maps(
            [
                self.generators[level.name](level.map * mask)
                for level, mask in zip(adapted.levels, visible.maps, strict=True)
            ]
        )
