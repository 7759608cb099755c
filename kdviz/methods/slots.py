"""Where: the prediction slots of a head, one by one, whatever the family.

A slot is an anchor, a point or a proposal. Its order is that of `HeadOutput`: level by level,
row-major (h, w, a) inside a level.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection import FCOS

from kdviz.detectors.parts import DetectorParts
from kdviz.methods.adapters import in_full_precision
from kdviz.structures import HeadOutput, Pyramid


def check_same_slots(method: str, *, student: DetectorParts, teacher: DetectorParts) -> None:
    """Raise ValueError unless both heads answer the same questions in the same order.

    That needs one family, one list of strides and one number of classes. Anchors that differ in
    number show in the first batch, as logits of different shapes.
    """
    found = [
        (type(x).__name__.removesuffix("Parts"), [level.stride for level in x.levels])
        for x in (student, teacher)
    ]
    if type(student) is not type(teacher) or found[0] != found[1]:
        raise ValueError(
            f"{method} compares the heads slot by slot, but the student is {found[0][0]} with "
            f"strides {found[0][1]} and the teacher {found[1][0]} with strides {found[1][1]}; "
            "take a pair of one family, or a method that reads features"
        )
    if student.num_classes != teacher.num_classes:
        raise ValueError(
            f"{method} compares class scores, but the student has {student.num_classes} classes "
            f"and the teacher {teacher.num_classes} (background counted); take a teacher trained "
            "on the student's classes"
        )


def slot_scores(output: HeadOutput) -> Tensor:
    """Scores of the foreground classes in each slot, (N, P, K) in [0, 1]."""
    logits = in_full_precision(output.logits)
    if output.score == "sigmoid":
        return logits.sigmoid()
    scores = logits.softmax(dim=-1)
    kept = [k for k in range(scores.shape[-1]) if k != (output.background or 0)]
    return scores[..., kept]


def best_of_cells(values: Tensor, output: HeadOutput, features: Pyramid) -> Pyramid:
    """The largest value among the slots of each cell.

    Args:
        values: one for each slot, (N, P).
        output: says how many slots each level has.
        features: maps that the head read; their levels and sizes are kept.

    Returns:
        (N, 1, H, W) per level.
    """
    return features.with_maps(
        [
            level.reshape(len(level), 1, *grid.shape[-2:], -1).amax(dim=-1)
            for level, grid in zip(values.split(output.slots, dim=1), features.maps, strict=True)
        ]
    )


def decoded_boxes(parts: DetectorParts, output: HeadOutput) -> Tensor:
    """The boxes of all slots before any threshold, (N, P, 4) xyxy in network pixels.

    In float32 also inside autocast: bfloat16 knows the position 800 only to 4 pixels.

    Args:
        parts: FCOS, RetinaNet or SSD.
        output: of its head.
    """
    model: Any = parts.model
    anchors = _anchors(output)
    boxes = in_full_precision(output.boxes)
    if isinstance(model, FCOS):
        return model.box_coder.decode(boxes, anchors)
    return model.box_coder.decode_single(boxes.flatten(0, 1), anchors.flatten(0, 1)).view_as(boxes)


def _anchors(output: HeadOutput) -> Tensor:
    anchors: Any = output.extras["anchors"]
    return torch.stack(anchors)
