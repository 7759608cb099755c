"""Boxes of a detector before they are thinned out, so that both its thresholds can move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.transform import resize_boxes
from torchvision.ops import batched_nms

from kdviz.detectors.parts import DetectorParts
from kdviz.structures import Batch, Detection, HeadOutput

FLOOR = 0.01
"""Least score of what is kept, unless the detector itself goes lower."""
_ALL = 1_000_000


@dataclass(frozen=True)
class Thresholds:
    """What a detector itself thins its boxes out with.

    Attributes:
        score: boxes must score above it, [0, 1].
        nms: of two boxes of one class that overlap by more (IoU), the better one stays, [0, 1].
        most: boxes of one image.
    """

    score: float
    nms: float
    most: int


@dataclass(frozen=True)
class Candidates:
    """All boxes of one image that score above a low floor, overlapping ones too.

    Attributes:
        boxes: (n, 4) xyxy in network pixels, in which the detector itself measures overlaps.
        scores: (n,) in [0, 1], falling.
        labels: (n,) from 1.
        size: (height, width) of the network image.
        original_size: (height, width) of the image.
        most: boxes that remain at most.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    size: tuple[int, int]
    original_size: tuple[int, int]
    most: int

    def detections(self, score_threshold: float, nms_threshold: float) -> Detection:
        """What the detector would have found with these thresholds; see `Thresholds`."""
        kept = self.scores > score_threshold
        boxes, scores, labels = self.boxes[kept], self.scores[kept], self.labels[kept]
        best = batched_nms(boxes, scores, labels, nms_threshold)[: self.most]
        return Detection(
            resize_boxes(boxes[best], list(self.size), list(self.original_size)),
            scores[best],
            labels[best],
        )


def thresholds_of(parts: DetectorParts) -> Thresholds | None:
    """The detector's own thresholds; None where only it knows them, as with `CustomParts`."""
    owner = _owner(parts)
    if owner is None:
        return None
    return Thresholds(owner.score_thresh, owner.nms_thresh, owner.detections_per_img)


@torch.no_grad()
def candidates_of(parts: DetectorParts, output: HeadOutput, batch: Batch) -> list[Candidates]:
    """The candidates of each image of a batch, from what the head said.

    With the detector's own thresholds they give its own detections, bit by bit. A detector that
    hides its thresholds gives its detections: they can only be thinned out further.

    Args:
        parts: the detector.
        output: of its head, on this batch.
        batch: as the detector saw it.
    """
    own = thresholds_of(parts)
    in_network_pixels = replace(batch, original_sizes=batch.sizes)
    with _letting_through(parts):
        found = parts.detections(output, in_network_pixels)
    most = _ALL if own is None else own.most
    return [
        Candidates(x.boxes, x.scores, x.labels, size, original, most)
        for x, size, original in zip(found, batch.sizes, batch.original_sizes, strict=True)
    ]


def _owner(parts: DetectorParts) -> Any:
    """The module that has the thresholds: the second stage where there are two."""
    owner = getattr(parts.model, "roi_heads", parts.model)
    return owner if hasattr(owner, "nms_thresh") else None


@contextmanager
def _letting_through(parts: DetectorParts) -> Iterator[None]:
    """Nearly all boxes pass inside the block; the detector's own thresholds hold afterwards."""
    owner = _owner(parts)
    if owner is None:
        yield
        return
    own = owner.score_thresh, owner.nms_thresh, owner.detections_per_img
    owner.score_thresh = min(FLOOR, owner.score_thresh)
    owner.nms_thresh, owner.detections_per_img = 1.0, _ALL
    try:
        yield
    finally:
        owner.score_thresh, owner.nms_thresh, owner.detections_per_img = own
