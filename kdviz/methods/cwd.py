"""CWD: imitate where each channel looks.

Shu, Liu, Gao, Yan, Shen, Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021,
arXiv:2011.13256. A channel tends to answer to one kind of thing. Its activations, brought to a
distribution over the cells of the image, say where that thing is; the divergence of the student's
distribution from the teacher's weighs the places where the teacher looks and forgives the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kdviz.checks import check_same_shape
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, in_full_precision, level_losses, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.structures import Batch


def log_attention(values: Tensor, temperature: float = 1.0) -> Tensor:
    """Logarithm of each channel's distribution over the cells: (N, C, H*W)."""
    return (in_full_precision(values).flatten(2) / temperature).log_softmax(dim=2)


def cwd_loss(*, student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Divergence of the channels' distributions over the cells, averaged over channels and images.

    .. math:: L = \frac{\tau^2}{N C} \sum_{n,c} KL\big( softmax_{hw}(t_{nc} / \tau)
        \,\|\, softmax_{hw}(s_{nc} / \tau) \big)

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        temperature: tau > 0; a large one spreads each channel over more cells.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    own, target = (log_attention(x, temperature) for x in (student, teacher))
    return temperature**2 * (target.exp() * (target - own)).sum(dim=2).mean()


class CWD(Method):
    """Channel-wise distillation on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        temperature: tau > 0.

    Raises:
        ValueError: the detectors share no stride.
    """

    weights: Mapping[str, TermWeight] = {"cwd": TermWeight(10.0)}
    """MMRazor's configurations for the FPN of RetinaNet, GFL and Faster R-CNN: 10 at tau = 1."""

    def __init__(
        self, student: DetectorParts, teacher: DetectorParts, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.temperature = temperature
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs, kernel_size=1, skip_equal=True)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``cwd/<level>``; map ``attention``.

        The map is the mean of the teacher's distributions over the channels; it sums to 1.
        """
        adapted = self.adapter(student.features)

        def loss(*, student: Tensor, teacher: Tensor) -> Tensor:
            return cwd_loss(student=student, teacher=teacher, temperature=self.temperature)

        losses = level_losses("cwd", loss, student=adapted, teacher=teacher.features)
        with torch.no_grad():
            looks = [self._attention(teacher.features.at(x).map) for x in adapted.strides]
        return Distillation(losses, {"attention": adapted.with_maps(looks)})

    def _attention(self, values: Tensor) -> Tensor:
        mean = log_attention(values, self.temperature).exp().mean(dim=1)
        return mean.view(len(values), 1, *values.shape[2:])
