"""FitNets: imitate every cell of the teacher's pyramid (full feature imitation).

Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, arXiv:1412.6550, carried over to the
feature pyramid of a detector. It is the baseline F of FGFI: the same adapter, the same loss, with a
mask that keeps every cell.
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


def hint_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    r"""Half the squared distance of a cell's feature vectors, averaged over all cells.

    The sum over channels and the factor 1/2 are FGFI's, so that one weight means the same in both
    and what differs between them is the choice of cells alone.

    .. math:: L = \frac{1}{2 N H W} \sum_{n,h,w} \sum_c (s_{nchw} - t_{nchw})^2

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.

    Returns:
        Scalar >= 0, float32 (float64 for float64 input).

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    error = (in_full_precision(student) - in_full_precision(teacher)).square()
    return error.sum(dim=1).mean() / 2


class FitNets(Method):
    """Full feature imitation on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
    """

    weights: Mapping[str, TermWeight] = {"fitnets": TermWeight(0.01, start=400)}
    """As FGFI's, its counterpart."""

    def __init__(self, student: DetectorParts, teacher: DetectorParts) -> None:
        super().__init__()
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs, init_std=1e-4)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``fitnets/<level>``; map ``mask``, one everywhere."""
        adapted = self.adapter(student.features)
        where = adapted.apply(lambda values: torch.ones_like(values[:, :1]).detach())
        losses = level_losses("fitnets", hint_loss, student=adapted, teacher=teacher.features)
        return Distillation(losses, {"mask": where})
