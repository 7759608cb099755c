"""Logit distillation: imitate the class scores of every prediction slot.

Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural Network, 2015, arXiv:1503.02531, slot by
slot: anchors of RetinaNet and SSD, points of FCOS, proposals of Faster R-CNN. Detectors with
sigmoid scores have one two-way distribution per class instead of one over all classes.

Localisation distillation (LD, Zheng et al., CVPR 2022) does the same to box edges that are
predicted as distributions over bins. None of torchvision's detectors predicts distributions, so LD
is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kdviz.checks import check_same_shape
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import in_full_precision
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.slots import best_of_cells, check_same_slots
from kdviz.structures import Batch

# --- where ----------------------------------------------------------------------------------------


def class_logits(student: Pass, teacher: Pass) -> tuple[Tensor, Tensor]:
    """Class logits of the same slots by both heads, (N, P, K), or (R, K) for R proposals.

    The second stage of Faster R-CNN scores the student's proposals with both heads.
    """
    if "class_logits" not in student.output.extras:
        return student.output.logits, teacher.output.logits
    parts: Any = teacher.parts
    proposals = student.output.extras["proposals"]
    taught = parts.head(teacher.features, teacher.batch, proposals=proposals)
    scored: Any = student.output.extras["class_logits"]
    return scored, taught.extras["class_logits"]


# --- loss -----------------------------------------------------------------------------------------


def softmax_divergence(*, student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Divergence of the softened class distributions of each slot.

    The factor tau^2 keeps the size of the gradient when the temperature changes.

    .. math:: \tau^2 \, KL\big( softmax(t / \tau) \,\|\, softmax(s / \tau) \big)

    Args:
        student: logits, (..., K), has gradient.
        teacher: logits of the same shape, no gradient.
        temperature: tau > 0; above 1 the small probabilities count more.

    Returns:
        (...), >= 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    own, target = (
        (in_full_precision(x) / temperature).log_softmax(dim=-1) for x in (student, teacher)
    )
    return temperature**2 * (target.exp() * (target - own)).sum(dim=-1)


def sigmoid_divergence(*, student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Divergence of independent softened class scores, summed over the classes of each slot.

    It is binary cross entropy with soft targets less the entropy of the targets: the gradient is
    the same, and two equal heads give 0.

    .. math:: \tau^2 \sum_k KL\big( \sigma(t_k / \tau) \,\|\, \sigma(s_k / \tau) \big)

    Args:
        student: logits, (..., K), has gradient.
        teacher: logits of the same shape, no gradient.
        temperature: tau > 0.

    Returns:
        (...), >= 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    own, target = (in_full_precision(x) / temperature for x in (student, teacher))
    entropy = functional.binary_cross_entropy_with_logits(
        target, target.sigmoid(), reduction="none"
    )
    cross = functional.binary_cross_entropy_with_logits(own, target.sigmoid(), reduction="none")
    return temperature**2 * (cross - entropy).sum(dim=-1)


# --- the method -----------------------------------------------------------------------------------


class LogitKD(Method):
    """Logit distillation on all slots, with the divergence that fits the heads' scores.

    Args:
        student: the detector that learns.
        teacher: the frozen detector, of the student's family, strides and classes.
        temperature: tau > 0.

    Raises:
        ValueError: the heads do not share their slots or classes.
    """

    weights: Mapping[str, TermWeight] = {"logitkd": TermWeight(10.0)}
    """The class term of LD's released configuration: weight 10 at temperature 2."""

    def __init__(
        self, student: DetectorParts, teacher: DetectorParts, temperature: float = 2.0
    ) -> None:
        super().__init__()
        check_same_slots("LogitKD", student=student, teacher=teacher)
        if temperature <= 0:
            raise ValueError(f"temperature divides the logits, so it is above 0, not {temperature}")
        self.temperature = temperature

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Loss ``logitkd``, the mean over slots; map ``divergence``, the largest of each cell.

        Proposals of a two-stage detector lie in no cell and leave no map.
        """
        own, taught = class_logits(student, teacher)
        two_stage = own.ndim == 2
        softmax = two_stage or student.output.score == "softmax"
        divergence = (softmax_divergence if softmax else sigmoid_divergence)(
            student=own, teacher=taught, temperature=self.temperature
        )
        # A batch without any proposal has no mean; the sum keeps its 0 attached.
        losses = {"logitkd": divergence.sum() / max(1, divergence.numel())}
        if two_stage:
            return Distillation(losses)
        with torch.no_grad():
            maps = best_of_cells(divergence, student.output, student.features)
        return Distillation(losses, {"divergence": maps})
