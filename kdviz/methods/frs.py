"""FRS: imitate the teacher where it sees something, in the boxes or outside them.

Du, Zhang, Liu, Yu, Zhang, Feng, Zhou, Distilling Object Detectors with Feature Richness,
NeurIPS 2021, arXiv:2111.00674. Boxes are a poor guide to what a teacher knows: much of what is in
them is plain, and useful evidence lies outside. FRS asks the teacher itself: a cell counts as much
as the highest class probability that the teacher's head gives there. The same weights serve a
feature loss on the pyramid and a class loss on the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kdviz.checks import check_same_shape, check_shape
from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.heads import ClassMaps, Score, check_heads, class_maps, dense_output
from kdviz.structures import Batch, Pyramid

LEAST_RICHNESS = 1e-6

PUBLISHED_WEIGHTS: dict[type[DetectorParts], tuple[float, float]] = {
    RetinaNetParts: (0.005, 0.02),
    FCOSParts: (0.01, 0.05),
    FasterRCNNParts: (0.002, 0.1),
}
"""(alpha of the feature loss, beta of the class loss), by the family of the student: the configs of
the release, ResNet-101 to ResNet-50."""

WARM_UP = 500
"""Steps over which both terms rise from 0, as in the release."""

# --- where ----------------------------------------------------------------------------------------


def richness(
    logits: Tensor, score: Score = "sigmoid", *, classes: int | None = None, background: int = 0
) -> Tensor:
    r"""How much a detector sees at each cell: its highest class probability there.

    The maximum runs over the anchors of the cell too. Neither boxes nor a threshold take part.

    .. math:: S_{nhw} = \max_{a,k} \sigma(z_{n,ak,hw})

    A softmax is taken over the classes of each anchor; its background column does not count.

    Args:
        logits: class logits of one level, (N, A*K, H, W), channel a*K + k.
        score: what turns logits into probabilities.
        classes: K, which a softmax needs; None for one anchor a cell.
        background: column of a softmax that means "no object".

    Returns:
        (N, 1, H, W), in [0, 1], detached.

    Raises:
        ValueError: ``logits`` does not have four axes, or K does not divide its channels.
    """
    check_shape("logits", logits, ("N", "A*K", "H", "W"))
    logits = logits.detach()
    if score == "sigmoid":
        return in_full_precision(logits.amax(dim=1, keepdim=True)).sigmoid()
    probability = _probabilities(logits, score, classes)
    kept = [k for k in range(probability.shape[2]) if k != background]
    return probability[:, :, kept].flatten(1, 2).amax(dim=1, keepdim=True)


def _probabilities(logits: Tensor, score: Score, classes: int | None) -> Tensor:
    if score == "sigmoid":
        return in_full_precision(logits).sigmoid()
    return _by_anchor(logits, classes).softmax(dim=2)


def _by_anchor(logits: Tensor, classes: int | None) -> Tensor:
    channels = logits.shape[1]
    if channels % (classes or channels):
        raise ValueError(
            f"logits have {channels} channels, which {classes} classes do not divide; channels are "
            "anchors x classes, background included"
        )
    return in_full_precision(logits).unflatten(1, (-1, classes or channels))


def centerness_maps(seen: Pass) -> list[Tensor]:
    """Centre-ness of an FCOS pass, (N, 1, H, W) per level, in [0, 1], detached."""
    logits: Any = seen.output.extras["bbox_ctrness"]
    scores = in_full_precision(logits.detach()).sigmoid().split(seen.output.slots, dim=1)
    return [
        each.reshape(len(each), 1, *values.shape[-2:])
        for each, values in zip(scores, seen.features.maps, strict=True)
    ]


# --- loss -----------------------------------------------------------------------------------------


def frs_feature_loss(
    *, student: Sequence[Tensor], teacher: Sequence[Tensor], richness: Sequence[Tensor]
) -> Tensor:
    r"""Squared feature distance of a cell, averaged by richness, summed over the levels.

    .. math:: L = \sum_l \frac{1}{N_l} \sum_{n,h,w} S^l_{nhw} \sum_c (t^l_{nchw} - s^l_{nchw})^2,
        \quad N_l = \sum_{n,h,w} S^l_{nhw}

    N_l is of the whole batch. It takes the scale of S out: an image without objects, where all of
    S is small, is imitated with full weight, and a coarse level counts as much as a fine one.

    Args:
        student: adapted student maps, (N, C, H, W) per level, have gradient.
        teacher: teacher maps of the same shapes, no gradient.
        richness: weight of each cell, (N, 1, H, W) per level, >= 0.

    Returns:
        Scalar >= 0; an attached 0 where the richness is 0 everywhere.

    Raises:
        ValueError: shapes or numbers of levels do not fit each other.
    """
    total = []
    for ours, theirs, weights in zip(student, teacher, richness, strict=True):
        check_same_shape(student=ours, teacher=theirs)
        _check_weights(weights, ours)
        error = (in_full_precision(theirs) - in_full_precision(ours)).square()
        total.append((weights * error.sum(1, keepdim=True)).sum() / _mass(weights))
    return torch.stack(total).sum()


def frs_class_loss(
    *,
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    richness: Sequence[Tensor],
    score: Score = "sigmoid",
    classes: int | None = None,
) -> Tensor:
    r"""Cross-entropy to the teacher's class probabilities, averaged by richness.

    .. math:: L = \sum_l \frac{1}{N_l} \sum_{n,h,w} S^l_{nhw} \sum_{a,k}
        \mathrm{BCE}\big(\sigma(z^s), \sigma(z^t)\big)

    A softmax head has the cross-entropy of each anchor instead, background included. Either way
    the minimum is the teacher's own entropy and not 0.

    Args:
        student: class logits, (N, A*K, H, W) per level, have gradient.
        teacher: class logits of the same shapes, no gradient.
        richness: weight of each cell, (N, 1, H, W) per level, >= 0.
        score: what turns logits into probabilities.
        classes: K, which a softmax needs; None for one anchor a cell.

    Returns:
        Scalar >= 0; an attached 0 where the richness is 0 everywhere.

    Raises:
        ValueError: shapes or numbers of levels do not fit each other.
    """
    total = []
    for ours, theirs, weights in zip(student, teacher, richness, strict=True):
        check_same_shape(student=ours, teacher=theirs)
        _check_weights(weights, ours)
        target = _probabilities(theirs.detach(), score, classes)
        if score == "sigmoid":
            loss = F.binary_cross_entropy_with_logits(
                in_full_precision(ours), target, weight=weights, reduction="sum"
            )
        else:
            entropy = -(target * _by_anchor(ours, classes).log_softmax(dim=2)).sum(dim=2)
            loss = (weights * entropy).sum()
        total.append(loss / _mass(weights))
    return torch.stack(total).sum()


def _mass(weights: Tensor) -> Tensor:
    return weights.sum().clamp(min=LEAST_RICHNESS)


def _check_weights(weights: Tensor, values: Tensor) -> None:
    check_shape("richness", weights, (len(values), 1, *values.shape[-2:]))


# --- the method -----------------------------------------------------------------------------------


class FRS(Method):
    """Feature and class imitation weighted by the teacher's richness, on every shared level.

    Its weights are those that the authors published for the family of the student; a family that
    they did not train takes RetinaNet's.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        class_loss: distil the class logits too. It needs heads of one kind: the same anchors,
            classes and activation on every shared level.
        centerness: multiply the richness by the teacher's centre-ness, which FCOS multiplies its
            scores by. The release does not.

    Raises:
        ValueError: the detectors share no stride; their heads cannot be compared although
            ``class_loss`` is on; or ``centerness`` is asked of a teacher that has none.
    """

    def __init__(
        self,
        student: DetectorParts,
        teacher: DetectorParts,
        class_loss: bool = True,
        centerness: bool = False,
    ) -> None:
        super().__init__()
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs)
        self.class_loss, self.centerness = class_loss, centerness
        if class_loss:
            check_heads(student=student, teacher=teacher, strides=self.adapter.strides)
        if centerness and not isinstance(teacher, FCOSParts):
            raise ValueError(
                f"centerness=True needs an FCOS teacher, but this one is {type(teacher).__name__}"
            )
        feature, classes = published_weights(student)
        self.weights = {"frs_feature": TermWeight(feature, ramp=WARM_UP)}
        if class_loss:
            self.weights["frs_class"] = TermWeight(classes, ramp=WARM_UP)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``frs_feature/<level>``, ``frs_class/<level>``; map ``richness``, in [0, 1]."""
        with torch.no_grad():
            taught = class_maps(dense_output(teacher), teacher.features)
        weights = self._weigh(taught, teacher)
        adapted = self.adapter(student.features)
        losses = {
            f"frs_feature/{level.name}": frs_feature_loss(
                student=[level.map],
                teacher=[teacher.features.at(level.stride).map],
                richness=[weights.at(level.stride).map],
            )
            for level in adapted.levels
        }
        if self.class_loss:
            seen = class_maps(student.output, student.features)
            for level in adapted.levels:
                losses[f"frs_class/{level.name}"] = frs_class_loss(
                    student=[seen.logits.at(level.stride).map],
                    teacher=[taught.logits.at(level.stride).map],
                    richness=[weights.at(level.stride).map],
                    score=seen.score,
                    classes=seen.classes,
                )
        return Distillation(losses, {"richness": adapted.with_maps(weights.maps)})

    @torch.no_grad()
    def where(self, teacher: Pass) -> Pyramid:
        """Richness of a batch, (N, 1, H, W) on every shared level, under the teacher's names."""
        return self._weigh(class_maps(dense_output(teacher), teacher.features), teacher)

    @torch.no_grad()
    def _weigh(self, taught: ClassMaps, teacher: Pass) -> Pyramid:
        weights = taught.logits.apply(
            lambda values: richness(
                values, taught.score, classes=taught.classes, background=taught.background
            )
        )
        if self.centerness:
            centre = centerness_maps(teacher)
            weights = weights.with_maps([a * b for a, b in zip(weights.maps, centre, strict=True)])
        return Pyramid(tuple(weights.at(stride) for stride in self.adapter.strides))


def published_weights(student: DetectorParts) -> tuple[float, float]:
    """(alpha, beta) for the family of this student."""
    for family, weights in PUBLISHED_WEIGHTS.items():
        if isinstance(student, family):
            return weights
    return PUBLISHED_WEIGHTS[RetinaNetParts]
