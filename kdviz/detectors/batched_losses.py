"""Losses of FCOS and RetinaNet over all images at once, without a look at the device.

torchvision goes through a batch image by image, picks the positive slots by a boolean index and
counts them with ``item()``: some hundred small kernels, and at each pick a GPU is emptied before it
is fed again. Here the boxes of all images lie in one padded table. What a slot is trained on, how
much it counts and what that costs are then the same few operations for every slot, and a slot that
does not count is weighed with zero instead of being left out.

The assignment is torchvision's, tie by tie. Its losses come out to the last bits: sums run in
another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection import FCOS, RetinaNet, fcos, retinanet
from torchvision.models.detection._utils import Matcher, encode_boxes
from torchvision.models.detection.anchor_utils import AnchorGenerator

from kdviz.detectors.assembly import anchors_of, targets_of
from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.parts import DetectorParts
from kdviz.structures import Batch, HeadOutput, Target

BACKGROUND, IGNORED = Matcher.BELOW_LOW_THRESHOLD, Matcher.BETWEEN_THRESHOLDS

PAIRS = 2**24
"""Pairs of a slot and a box that are compared at once: 64 MB for each number kept of a pair."""

Losses = Callable[[HeadOutput, Batch], dict[str, Tensor]]
"""Unweighted losses of a head's output against the targets of its batch."""


def batched_losses(parts: DetectorParts) -> Losses:
    """The losses of this detector for a whole batch at once; its own where none are known here.

    A model that is not put together from torchvision's own classes keeps its own.
    """
    if not assigns_at_once(parts):
        return parts.losses
    losses = fcos_losses if isinstance(parts, FCOSParts) else retinanet_losses
    return partial(losses, parts.model)


def _is_plain_fcos(model: Any) -> bool:
    own = (model, model.head, model.anchor_generator)
    return [type(each) for each in own] == [FCOS, fcos.FCOSHead, AnchorGenerator]


def _is_plain_retinanet(model: Any) -> bool:
    head = model.head
    own = (model, head, head.classification_head, head.regression_head)
    rules = (model.anchor_generator, model.proposal_matcher)
    return head.regression_head._loss_type == "l1" and [type(x) for x in (*own, *rules)] == [
        RetinaNet,
        retinanet.RetinaNetHead,
        retinanet.RetinaNetClassificationHead,
        retinanet.RetinaNetRegressionHead,
        AnchorGenerator,
        Matcher,
    ]


# --- the ground truth of a batch ------------------------------------------------------------------


@dataclass(frozen=True)
class PaddedTargets:
    """Boxes and labels of all images in two tables, short rows filled up.

    Attributes:
        boxes: (N, G, 4), G >= 1 the most boxes of an image.
        labels: (N, G), -1 where an image has no further box.
    """

    boxes: Tensor
    labels: Tensor

    @classmethod
    def of(cls, targets: Sequence[Target]) -> PaddedTargets:
        """The targets of a batch; reads their shapes alone."""
        boxes = pad_sequence([target["boxes"] for target in targets], batch_first=True)
        labels = pad_sequence([x["labels"] for x in targets], batch_first=True, padding_value=-1)
        if not labels.shape[1]:
            boxes = functional.pad(boxes, (0, 0, 0, 1))
            labels = functional.pad(labels, (0, 1), value=-1)
        return cls(boxes, labels)

    @property
    def real(self) -> Tensor:
        """Which rows are boxes, boolean (N, G)."""
        return self.labels >= 0

    def some_at_a_time(self, slots: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Column of the first box, boxes (N, g, 4) and ``real`` (N, g, 1), `PAIRS` at once."""
        width = max(1, PAIRS // (slots * len(self.boxes)))
        starts = range(0, self.labels.shape[1], width)
        parts = self.boxes.split(width, dim=1), self.real[..., None].split(width, dim=1)
        return zip(starts, *parts, strict=True)

    def at(self, matched: Tensor) -> tuple[Tensor, Tensor]:
        """Label (N, P) and box (N, P, 4) that each slot was given; any for a slot without."""
        row = matched.clamp(min=0)
        return self.labels.gather(1, row), self.boxes.gather(1, row[..., None].expand(-1, -1, 4))


# --- which box each slot is trained on ------------------------------------------------------------


def assigns_at_once(parts: DetectorParts) -> TypeGuard[FCOSParts | RetinaNetParts]:
    """Whether `matched_at_once` knows the rules of this detector."""
    if isinstance(parts, FCOSParts):
        return _is_plain_fcos(parts.model)
    return isinstance(parts, RetinaNetParts) and _is_plain_retinanet(parts.model)


def matched_at_once(
    parts: FCOSParts | RetinaNetParts, output: HeadOutput, boxes: Sequence[Tensor]
) -> Tensor:
    """`kdviz.detectors.assignment.matched_boxes` of such a detector, for all images at once.

    Args:
        parts: a detector that `assigns_at_once`.
        output: of its head.
        boxes: of each image, (G, 4) xyxy in network pixels.

    Returns:
        int64 (N, P): row of the box, `BACKGROUND` or `IGNORED`.
    """
    model: Any = parts.model
    anchors = anchors_of(output)[0]
    truth = PaddedTargets.of(
        [{"boxes": x, "labels": x.new_zeros(len(x), dtype=torch.int64)} for x in boxes]
    )
    if isinstance(parts, FCOSParts):
        return assign_points(anchors, truth, output.slots, model.center_sampling_radius)
    return assign_anchors(anchors, truth, model.proposal_matcher)


def assign_points(
    points: Tensor, truth: PaddedTargets, slots: Sequence[int], radius: float
) -> Tensor:
    """FCOS: the smallest box round a point that is central enough and of its level's size.

    Args:
        points: squares of the stride's side round the points, (P, 4).
        truth: ground truth.
        slots: number of points of each level, finest first.
        radius: how far from a box's centre a point may lie along each axis, strides.

    Returns:
        int64 (N, P): row of the box, or `BACKGROUND`.
    """
    x, y = ((points[:, :2] + points[:, 2:]) / 2).unbind(1)
    stride = points[:, 2] - points[:, 0]
    least, most = 4 * stride, 8 * stride
    least[: slots[0]] = 0
    most[-slots[-1] :] = torch.inf
    best = points.new_zeros(len(truth.boxes), len(points))
    matched = torch.full_like(best, BACKGROUND, dtype=torch.int64)
    for first, boxes, real in truth.some_at_a_time(len(points)):
        x1, y1, x2, y2 = boxes[..., None].unbind(2)  # (N, g, 1) against (P,)
        left, top, right, bottom = x - x1, y - y1, x2 - x, y2 - y
        nearest = torch.minimum(torch.minimum(left, right), torch.minimum(top, bottom))
        farthest = torch.maximum(torch.maximum(left, right), torch.maximum(top, bottom))
        aside = torch.maximum((x - (x1 + x2) / 2).abs(), (y - (y1 + y2) / 2).abs())
        takes = real & (aside < radius * stride) & (nearest > 0)
        takes &= (farthest > least) & (farthest < most)
        smallness, row = torch.where(takes, 1e8 - (x2 - x1) * (y2 - y1), 0).max(dim=1)
        matched = torch.where(smallness > best, row + first, matched)
        best = torch.maximum(best, smallness)
    return matched


def assign_anchors(anchors: Tensor, truth: PaddedTargets, matcher: Matcher) -> Tensor:
    """RetinaNet: the box that an anchor overlaps enough; the best anchors of a box, anyway.

    Args:
        anchors: (P, 4).
        truth: ground truth.
        matcher: its two thresholds, and whether the best anchors of a box are kept.

    Returns:
        int64 (N, P): row of the box, `BACKGROUND`, or `IGNORED` between the thresholds.
    """
    best = anchors.new_full((len(truth.boxes), len(anchors)), -1)
    nearest = torch.zeros_like(best, dtype=torch.int64)
    kept = torch.zeros_like(best, dtype=torch.bool)
    for first, boxes, real in truth.some_at_a_time(len(anchors)):
        iou = torch.where(real, _iou(boxes, anchors), -1)
        overlap, row = iou.max(dim=1)
        nearest = torch.where(overlap > best, row + first, nearest)
        best = torch.maximum(best, overlap)
        kept |= (real & (iou == iou.amax(dim=2, keepdim=True))).any(dim=1)
    matched = torch.where(best < matcher.high_threshold, IGNORED, nearest)
    matched = torch.where(best < matcher.low_threshold, BACKGROUND, matched)
    return torch.where(kept, nearest, matched) if matcher.allow_low_quality_matches else matched


def _iou(boxes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes (N, g, 4) with anchors (P, 4), (N, g, P)."""
    x1, y1, x2, y2 = boxes[..., None].unbind(2)
    left, top, right, bottom = anchors.unbind(1)
    width = (torch.minimum(x2, right) - torch.maximum(x1, left)).clamp(min=0)
    height = (torch.minimum(y2, bottom) - torch.maximum(y1, top)).clamp(min=0)
    shared = width * height
    return shared / ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - shared)


# --- losses ---------------------------------------------------------------------------------------


def fcos_losses(model: FCOS, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
    """``classification`` (focal), ``bbox_regression`` (GIoU) and ``bbox_ctrness`` of an FCOS.

    Raises:
        ValueError: the batch has no targets.
    """
    truth = PaddedTargets.of(targets_of(batch))
    points, coder = anchors_of(output)[0], model.head.box_coder
    matched = assign_points(points, truth, output.slots, model.center_sampling_radius)
    positive = matched >= 0
    labels, boxes = truth.at(matched)
    # A slot without a box gets its own square, on which every loss is finite.
    boxes = torch.where(positive[..., None], boxes, points)
    apart = giou_loss(coder.decode(output.boxes, points), boxes)
    left, top, right, bottom = coder.encode(points, boxes).unbind(dim=-1)
    centred = (
        torch.minimum(left, right)
        / torch.maximum(left, right)
        * (torch.minimum(top, bottom) / torch.maximum(top, bottom))
    ).sqrt()
    logits: Any = output.extras["bbox_ctrness"]
    off_centre = functional.binary_cross_entropy_with_logits(
        logits.squeeze(2), centred, weight=positive.to(centred.dtype), reduction="sum"
    )
    count = positive.sum().clamp(min=1)
    return {
        "classification": focal_loss(output.logits, labels, positive).sum() / count,
        "bbox_regression": torch.where(positive, apart, 0).sum() / count,
        "bbox_ctrness": off_centre / count,
    }


def retinanet_losses(model: RetinaNet, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
    """``classification`` (focal) and ``bbox_regression`` (L1) of a RetinaNet.

    Raises:
        ValueError: the batch has no targets.
    """
    truth = PaddedTargets.of(targets_of(batch))
    anchors = anchors_of(output)[0]
    matched = assign_anchors(anchors, truth, model.proposal_matcher)
    positive = matched >= 0
    labels, boxes = truth.at(matched)
    boxes = torch.where(positive[..., None], boxes, anchors)  # whose correction is 0, not -inf
    weights: Any = model.head.regression_head.box_coder.weights
    wanted = encode_boxes(boxes.flatten(0, 1), anchors.repeat(len(boxes), 1), weights)
    off = (output.boxes - wanted.view_as(output.boxes)).abs().sum(dim=2)
    wrong = focal_loss(output.logits, labels, positive)
    count = positive.sum(dim=1).clamp(min=1)
    return {
        "classification": (torch.where(matched == IGNORED, 0, wrong).sum(dim=1) / count).mean(),
        "bbox_regression": (torch.where(positive, off, 0).sum(dim=1) / count).mean(),
    }


def focal_loss(logits: Tensor, labels: Tensor, positive: Tensor, alpha: float = 0.25) -> Tensor:
    r"""Focal loss of each slot, summed over the classes, with gamma = 2.

    With z the logit of a class, its sign turned where the class is the slot's own:

    .. math:: L = \sum_k a_k \, \sigma(z_k)^2 \log(1 + e^{z_k}), \quad
        a_k = \alpha \text{ for its own class, } 1 - \alpha \text{ for all others}

    Args:
        logits: (N, P, K), have gradient.
        labels: class of each slot, (N, P); read where ``positive``.
        positive: which slots have an object, boolean (N, P).
        alpha: weight of the slot's own class, [0, 1].

    Returns:
        (N, P), >= 0.

    Reference: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, arXiv:1708.02002.
    """
    own_class = labels.clamp(min=0)[..., None]
    own = logits.gather(2, own_class)
    turned = logits.scatter(2, own_class, torch.where(positive[..., None], -own, own))
    # Beyond its threshold softplus is the identity; at 40 that is true in float64 too.
    each = turned.sigmoid().square() * functional.softplus(turned, threshold=40)
    excess = torch.where(positive, each.gather(2, own_class).squeeze(2), 0)
    return (1 - alpha) * each.sum(dim=2) - (1 - 2 * alpha) * excess


def giou_loss(found: Tensor, wanted: Tensor, eps: float = 1e-7) -> Tensor:
    r"""One minus the generalised IoU of boxes, pair by pair.

    .. math:: L = 1 - \frac{|A \cap B|}{|A \cup B|} + \frac{|C| - |A \cup B|}{|C|},
        \quad C \text{ the smallest box round both}

    Args:
        found: (..., 4) xyxy, have gradient.
        wanted: boxes of the same shape.
        eps: added to both denominators, > 0.

    Returns:
        (...,), in [0, 2].

    Reference: Rezatofighi et al., Generalized IoU, CVPR 2019, arXiv:1902.09630.
    """
    x1, y1, x2, y2 = found.unbind(dim=-1)
    left, top, right, bottom = wanted.unbind(dim=-1)
    width = torch.minimum(x2, right) - torch.maximum(x1, left)
    height = torch.minimum(y2, bottom) - torch.maximum(y1, top)
    shared = torch.where((width > 0) & (height > 0), width * height, 0)
    union = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - shared
    hull = (torch.maximum(x2, right) - torch.minimum(x1, left)) * (
        torch.maximum(y2, bottom) - torch.minimum(y1, top)
    )
    return 1 - shared / (union + eps) + (hull - union) / (hull + eps)
