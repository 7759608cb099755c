"""Detections and ground truth as arrays, and which of them belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdviz.plots.images import as_array, as_boxes
from kdviz.structures import Detection

Names = Sequence[str] | Mapping[int, str]
"""Class names: a sequence that begins with the name of label 1, or a mapping from label to name."""


@dataclass(frozen=True)
class BoxSet:
    """Detections or ground truth of one image as arrays; ``scores`` is None for ground truth."""

    boxes: NDArray[np.float64]
    labels: NDArray[Any]
    scores: NDArray[Any] | None
    crowd: NDArray[np.bool_]

    def at(self, rows: NDArray[Any]) -> BoxSet:
        """These rows alone: a mask or indices."""
        scores = None if self.scores is None else self.scores[rows]
        return BoxSet(self.boxes[rows], self.labels[rows], scores, self.crowd[rows])

    def names(self, names: Names | None) -> list[str]:
        """Class name of each box."""
        return [class_name(names, int(label)) for label in self.labels]


@dataclass(frozen=True)
class Matches:
    """Which detections are right and which ground truth is found.

    Attributes:
        right: per detection: it is the best match of a ground-truth box of its class.
        ignored: per detection: it lies on a crowd region and counts neither way.
        missed: per ground-truth box: no detection matches it; never true for a crowd region.
    """

    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    missed: NDArray[np.bool_]


def match_boxes(detections: Any, targets: Any, iou_threshold: float = 0.5) -> Matches:
    """Match as the COCO protocol does: best score first, each ground-truth box once.

    Args:
        detections: a `Detection`.
        targets: ground truth of the same image, in the same pixels.
        iou_threshold: least overlap of a match, (0, 1]; for a crowd region the share of the
            detection inside it.
    """
    found, truth = box_set(detections), box_set(targets)
    overlap = box_iou(found.boxes, truth.boxes, truth.crowd)
    overlap[found.labels[:, None] != truth.labels[None, :]] = -1.0
    right = np.zeros(len(found.boxes), dtype=bool)
    ignored = np.zeros(len(found.boxes), dtype=bool)
    missed = ~truth.crowd
    scores = np.zeros(len(right)) if found.scores is None else found.scores
    for row in np.argsort(-scores, kind="stable"):
        free = np.where(missed, overlap[row], -1.0)
        if free.max(initial=-1.0) >= iou_threshold:
            right[row] = True
            missed[free.argmax()] = False
        else:
            ignored[row] = overlap[row, truth.crowd].max(initial=-1.0) >= iou_threshold
    return Matches(right, ignored, missed)


def box_iou(
    boxes: NDArray[np.float64],
    others: NDArray[np.float64],
    crowd: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Intersection over union, (n, m) in [0, 1]; over the area of ``boxes`` for crowd columns."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    other_area = (others[:, 2:] - others[:, :2]).prod(axis=1)[None, :]
    union = area + other_area - shared
    if crowd is not None:
        union = np.where(crowd[None, :], area, union)
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)


def box_set(boxes: Any) -> BoxSet:
    """Arrays of a `Detection`, of a target, of a dict with scores, or of bare boxes (n, 4)."""
    if isinstance(boxes, BoxSet):
        return boxes
    if isinstance(boxes, Detection):
        found = as_boxes(boxes.boxes)
        none = np.zeros(len(found), dtype=bool)
        return BoxSet(found, as_array(boxes.labels), as_array(boxes.scores), none)
    if isinstance(boxes, Mapping):
        found = as_boxes(boxes["boxes"])
        none = np.zeros(len(found), dtype=bool)
        crowd = as_array(boxes["iscrowd"]).astype(bool) if "iscrowd" in boxes else none
        scores = as_array(boxes["scores"]) if "scores" in boxes else None
        return BoxSet(found, as_array(boxes["labels"]), scores, crowd)
    found = as_boxes(boxes)
    none = np.zeros(len(found), dtype=bool)
    return BoxSet(found, np.ones(len(found), dtype=np.int64), None, none)


def above(content: BoxSet, score_threshold: float) -> BoxSet:
    """Those that reach the threshold, best first; ground truth stays as it is."""
    if content.scores is None:
        return content
    content = content.at(content.scores >= score_threshold)
    assert content.scores is not None
    return content.at(np.argsort(-content.scores, kind="stable"))


def class_name(names: Names | None, label: int) -> str:
    """Name of a label, or its number where no name is known."""
    if names is None:
        return str(label)
    if isinstance(names, Mapping):
        return str(names.get(label, label))
    return str(names[label - 1]) if 1 <= label <= len(names) else str(label)
