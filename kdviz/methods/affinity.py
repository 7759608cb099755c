"""Pairwise affinity: imitate which places of the map resemble each other.

Liu, Chen, Liu, Qin, Luo, Wang, Structured Knowledge Distillation for Semantic Segmentation,
CVPR 2019, arXiv:1903.04197. It is the likely meaning of "pa" in the tables of Dist2. The matrix of
similarities between places has no channels, so no adapter is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from kdviz.checks import check_same_shape
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.structures import Batch

# --- adapt ----------------------------------------------------------------------------------------


def pooled(values: Tensor, cells: int) -> Tensor:
    """A map of at most ``cells`` x ``cells`` by average pooling, (N, C, h, w).

    A map of 100 x 152 cells has 231 million pairs; 16 x 16 patches have 65 536.
    """
    height, width = values.shape[-2:]
    size = (min(height, cells), min(width, cells))
    return functional.adaptive_avg_pool2d(in_full_precision(values), size)


def affinity(values: Tensor) -> Tensor:
    r"""Cosine similarity of every two cells.

    .. math:: a_{ij} = \frac{f_i^T f_j}{\lVert f_i \rVert_2 \lVert f_j \rVert_2}

    Args:
        values: (N, C, H, W).

    Returns:
        (N, H*W, H*W), in [-1, 1].
    """
    flat = functional.normalize(in_full_precision(values).flatten(2), dim=1)
    # Autocast would round the products to half precision.
    with torch.autocast(flat.device.type, enabled=False):
        return flat.transpose(1, 2) @ flat


# --- loss -----------------------------------------------------------------------------------------


def affinity_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of the similarities.

    .. math:: L = \frac{1}{N (HW)^2} \sum_n \sum_{i,j} (a^s_{nij} - a^t_{nij})^2

    Args:
        student: student map, (N, C_s, H, W), has gradient.
        teacher: teacher map, (N, C_t, H, W), no gradient; its channels may be more or fewer.

    Returns:
        Scalar in [0, 4].

    Raises:
        ValueError: batch or size of the maps differ.
    """
    check_same_shape(student=student[:, :1], teacher=teacher[:, :1])
    return (affinity(student) - affinity(teacher)).square().mean()


# --- the method -----------------------------------------------------------------------------------


class Affinity(Method):
    """Pairwise affinity on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        cells: maps are first pooled to at most this height and width.

    Raises:
        ValueError: the detectors share no stride.
    """

    weights: Mapping[str, TermWeight] = {"affinity": TermWeight(1.0)}
    """The default of the paper's release (``lambda_pa``); its training script has 0.5."""

    def __init__(self, student: DetectorParts, teacher: DetectorParts, cells: int = 16) -> None:
        super().__init__()
        self.cells = cells
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.names = {own.stride: own.name for own, _ in pairs}

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``affinity/<level>``; no map, since the loss weighs pairs and not places."""
        losses = {
            f"affinity/{name}": affinity_loss(
                student=pooled(student.features.at(stride).map, self.cells),
                teacher=pooled(teacher.features.at(stride).map, self.cells),
            )
            for stride, name in self.names.items()
        }
        return Distillation(losses)
