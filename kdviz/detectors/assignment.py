"""Which ground-truth box each prediction slot is trained on, as each family's own loss decides it.

A slot is a point (FCOS) or an anchor; its order is that of `HeadOutput`. In all answers a number
from 0 is the index of a box of that image, `BACKGROUND` stands for no object, and `IGNORED` for a
slot that fits a box half: it is trained on nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from kdviz.detectors.assembly import anchors_of, targets_of
from kdviz.detectors.batched_losses import assigns_at_once, matched_at_once
from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.detectors.ssd import SSDParts
from kdviz.structures import HeadOutput, Pyramid

BACKGROUND = -1
IGNORED = -2


def matched_boxes(parts: DetectorParts, output: HeadOutput, boxes: Sequence[Tensor]) -> Tensor:
    """Which box each slot would be trained on, if these were the ground truth.

    The rules, each with the numbers of the model at hand (defaults in brackets):

    - FCOS: a point inside the box, closer to its centre than a radius [1.5 strides] along both
      axes, and whose farthest side of the box lies in the range of its level [4 to 8 strides; from
      0 on the first, without end on the last]. Among several boxes the smallest wins.
    - RetinaNet and the first stage of Faster R-CNN: an anchor takes the box that it overlaps most,
      from an IoU of [0.5; 0.7] on; below [0.4; 0.3] it is background, between it is ignored. The
      best anchors of each box are kept whatever their IoU.
    - SSD: from an IoU of [0.5] on, nothing is ignored, and the best anchor of each box is its own.

    Args:
        parts: of one of these families.
        output: of its head; its points or anchors are read, never its weights.
        boxes: of each image, (G, 4) xyxy in network pixels.

    Returns:
        int64 (N, P): index of the box, `BACKGROUND` or `IGNORED`.

    Raises:
        TypeError: the assignment of this detector is not known.
    """
    model: Any = parts.model
    anchors = anchors_of(output)
    if isinstance(parts, FCOSParts | RetinaNetParts):
        if boxes and boxes[0].device.type != "cpu" and assigns_at_once(parts):
            return matched_at_once(parts, output, boxes)  # image by image, a GPU waits at each
        return _told_by_loss(model, output, boxes, fcos=isinstance(parts, FCOSParts))
    if isinstance(parts, SSDParts | FasterRCNNParts):
        first_stage = model if isinstance(parts, SSDParts) else model.rpn
        return torch.stack(
            [
                first_stage.proposal_matcher(box_iou(truth, priors))
                if len(truth)
                else torch.full((len(priors),), BACKGROUND, device=priors.device)
                for truth, priors in zip(boxes, anchors, strict=True)
            ]
        )
    raise TypeError(
        f"how {type(parts).__name__} assigns boxes to cells is not known; there is FCOS, "
        "RetinaNet, SSD and Faster R-CNN"
    )


def assigned_slots(seen: Pass, boxes: Sequence[Tensor] | None = None) -> Pyramid:
    """`matched_boxes` as maps: what each slot of each cell is trained on.

    Args:
        seen: a detector on a batch.
        boxes: of each image, (G, 4) xyxy in network pixels, instead of the batch's own.

    Returns:
        int64 (N, A, H, W) per level; A is 1 for FCOS.

    Raises:
        ValueError: there are no boxes: neither here nor in the batch.
        TypeError: the assignment of this detector is not known.
    """
    return _as_maps(matched_boxes(seen.parts, seen.output, _boxes_of(seen, boxes)), seen)


def assigned_cells(seen: Pass, boxes: Sequence[Tensor] | None = None) -> Pyramid:
    """One ground-truth box, or none, for each cell of each level.

    A cell with several anchors is given the box of its positive anchor with the greatest IoU; it is
    ignored where none is positive and one is ignored, and background where all are.

    Args:
        seen: a detector on a batch.
        boxes: of each image, (G, 4) xyxy in network pixels, instead of the batch's own.

    Returns:
        int64 (N, 1, H, W) per level.

    Raises:
        ValueError: there are no boxes: neither here nor in the batch.
        TypeError: the assignment of this detector is not known.
    """
    truth = _boxes_of(seen, boxes)
    matched = matched_boxes(seen.parts, seen.output, truth)
    overlap = torch.stack(
        [
            _overlap_with_own(*of_image)
            for of_image in zip(anchors_of(seen.output), truth, matched, strict=True)
        ]
    )
    # One scale: background 0, ignored 1, positive 2 to 3.
    rank = torch.where(matched >= 0, 2 + overlap, (matched == IGNORED).to(overlap.dtype))
    slots, ranks = _as_maps(matched, seen), _as_maps(rank, seen)
    return slots.with_maps(
        [
            of_slots.gather(1, of_ranks.argmax(dim=1, keepdim=True))
            for of_slots, of_ranks in zip(slots.maps, ranks.maps, strict=True)
        ]
    )


def cell_points(seen: Pass) -> list[Tensor]:
    """Where the point of each cell lies, or the centre of its anchors: (H, W, 2) per level, (x, y).

    torchvision lays them on the multiples of the stride: at the upper left corner of a cell, if a
    cell is drawn as a square of one stride, and not in its middle. SSD uses the middle.

    Args:
        seen: a detector on a batch; all its images have the same points.
    """
    by_level = anchors_of(seen.output)[0].split(seen.output.slots)
    return [
        (each[..., :2] + each[..., 2:]).view(*grid.shape[-2:], -1, 2)[:, :, 0] / 2
        for each, grid in zip(by_level, seen.features.maps, strict=True)
    ]


def _told_by_loss(model: Any, output: HeadOutput, boxes: Sequence[Tensor], *, fcos: bool) -> Tensor:
    # torchvision assigns at the start of compute_loss and hands the result to its head. A stand-in
    # for model and head gets the result alone, without a second version of the rules.
    stand_in = SimpleNamespace(
        head=SimpleNamespace(compute_loss=lambda *told: told[-1]),
        proposal_matcher=getattr(model, "proposal_matcher", None),
        center_sampling_radius=getattr(model, "center_sampling_radius", None),
    )
    targets = [{"boxes": each} for each in boxes]
    slots = [list(output.slots)] if fcos else []
    return torch.stack(type(model).compute_loss(stand_in, targets, {}, anchors_of(output), *slots))


def _boxes_of(seen: Pass, boxes: Sequence[Tensor] | None) -> Sequence[Tensor]:
    return [target["boxes"] for target in targets_of(seen.batch)] if boxes is None else boxes


def _overlap_with_own(anchors: Tensor, boxes: Tensor, matched: Tensor) -> Tensor:
    """IoU of each anchor with the box it was given, (P,); what the others hold is not read."""
    if not len(boxes):
        return anchors.new_zeros(len(anchors))
    return box_iou(anchors, boxes).gather(1, matched.clamp(min=0)[:, None])[:, 0]


def _as_maps(values: Tensor, seen: Pass) -> Pyramid:
    """(N, P), in the order of the slots, as (N, A, H, W) per level."""
    by_level = values.split(seen.output.slots, dim=1)
    return seen.features.with_maps(
        [
            each.reshape(len(each), *grid.shape[-2:], -1).permute(0, 3, 1, 2)
            for each, grid in zip(by_level, seen.features.maps, strict=True)
        ]
    )
