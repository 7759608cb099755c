"""The predictions that GKD's soft labels compare: those that stand for an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from kdviz.detectors.assignment import matched_boxes
from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import Pass
from kdviz.detectors.ssd import SSDParts
from kdviz.methods.boxes import levels_by_scale


@dataclass(frozen=True)
class Instances:
    """The objects of one batch.

    Attributes:
        boxes: for each image (G_n, 4), xyxy in network pixels.
        labels: of all images, (n,), from 1.
    """

    boxes: list[Tensor]
    labels: Tensor


@dataclass(frozen=True)
class Positives:
    """Class logits of the same R predictions by both heads, and whose they are.

    A GPU would have to count the positives, and the host to wait for the count: there the other
    predictions stay, as those of no instance.

    Attributes:
        student: (R, K), have gradient.
        teacher: (R, K).
        instance: row of the instance among all of the batch, (R,); -1 for none, on a GPU only.
        level: position of the level among the shared ones, (R,).
    """

    student: Tensor
    teacher: Tensor
    instance: Tensor
    level: Tensor


def box_instances(seen: Pass) -> Instances:
    """The ground-truth boxes of a batch.

    Raises:
        ValueError: the batch has no targets.
    """
    if seen.batch.targets is None:
        raise ValueError("GKD needs targets: make the batch with preprocess(images, targets)")
    return Instances(
        [target["boxes"] for target in seen.batch.targets],
        torch.cat([target["labels"] for target in seen.batch.targets]),
    )


def roi_instances(seen: Pass) -> Instances:
    """The positive proposals that a two-stage student drew, under the labels of their objects."""
    extras: dict[str, Any] = seen.output.extras
    positive = [labels > 0 for labels in extras["labels"]]
    boxes = [x[rows] for x, rows in zip(extras["proposals"], positive, strict=True)]
    labels = [x[rows] for x, rows in zip(extras["labels"], positive, strict=True)]
    return Instances(boxes, torch.cat(labels))


def dense_positives(
    student: Pass,
    teacher: Pass,
    instances: Instances,
    owners: Sequence[Tensor],
    strides: Sequence[int],
) -> Positives:
    """The slots that the student's own loss trains on an object; else, the cells with an owner.

    The second rule is for a detector of the user's own, whose assignment is not known.

    Args:
        student: pass of a one-stage detector.
        teacher: pass of one with a head of the same kind.
        instances: the objects.
        owners: which instance speaks for each cell, (N, H, W) per shared level, -1 for none.
        strides: the shared levels.
    """
    if isinstance(student.parts, FCOSParts | RetinaNetParts | SSDParts):
        instance = _of_levels(student, _assigned(student, instances), strides)
    else:
        instance = [each.flatten(1) for each in owners]
    logits = _of_levels(student, student.output.logits, strides)
    # Every slot of an owned cell counts.
    instance = [
        x.repeat_interleave(z.shape[1] // x.shape[1], dim=1)
        for x, z in zip(instance, logits, strict=True)
    ]
    taught = torch.cat(_of_levels(teacher, teacher.output.logits, strides), dim=1)
    level = [torch.full_like(each, number) for number, each in enumerate(instance)]
    every = Positives(
        torch.cat(logits, dim=1).flatten(0, 1),
        taught.flatten(0, 1),
        torch.cat(instance, dim=1).flatten(),
        torch.cat(level, dim=1).flatten(),
    )
    return every if taught.device.type != "cpu" else only_positives(every)


def only_positives(every: Positives) -> Positives:
    """The predictions that have an instance."""
    chosen = every.instance >= 0
    return Positives(
        every.student[chosen], every.teacher[chosen], every.instance[chosen], every.level[chosen]
    )


def roi_positives(
    student: Pass, teacher: Pass, instances: Instances, strides: Sequence[int]
) -> Positives:
    """The student's positive proposals, scored by both second stages.

    Each belongs to the instance that it overlaps most: to itself where the instances are the
    proposals. Its level is that of its size.
    """
    positive = roi_instances(student)
    matched, offset = [], 0
    for proposals, boxes in zip(positive.boxes, instances.boxes, strict=True):
        if len(proposals):
            matched.append(box_iou(proposals, boxes).argmax(dim=1) + offset)
        offset += len(boxes)
    every = torch.cat(positive.boxes)
    extras: dict[str, Any] = student.output.extras
    parts: Any = teacher.parts
    taught = parts.head(
        teacher.features, replace(teacher.batch, targets=None), proposals=positive.boxes
    )
    return Positives(
        student=extras["class_logits"][torch.cat(extras["labels"]) > 0],
        teacher=taught.extras["class_logits"],
        instance=torch.cat(matched) if matched else positive.labels,
        level=levels_by_scale(every, list(strides)),
    )


def positives(
    student: Pass,
    teacher: Pass,
    instances: Instances,
    owners: Sequence[Tensor],
    strides: Sequence[int],
) -> Positives:
    """`roi_positives` of a two-stage student, `dense_positives` of any other."""
    if isinstance(student.parts, FasterRCNNParts):
        return roi_positives(student, teacher, instances, strides)
    return dense_positives(student, teacher, instances, owners, strides)


def _assigned(student: Pass, instances: Instances) -> Tensor:
    """Instance of each slot by the detector's own rule, (N, P); below 0 for none."""
    matched = matched_boxes(student.parts, student.output, instances.boxes)
    counts = [len(boxes) for boxes in instances.boxes]
    first = [sum(counts[:n]) for n in range(len(counts))]
    return torch.stack(
        [
            torch.where(row >= 0, row + offset, -1)
            for row, offset in zip(matched, first, strict=True)
        ]
    )


def _of_levels(seen: Pass, values: Tensor, strides: Sequence[int]) -> list[Tensor]:
    """What ``values`` (N, P, ...) holds for the slots of each of these levels."""
    by_level = values.split(seen.output.slots, dim=1)
    return [by_level[seen.features.strides.index(stride)] for stride in strides]
