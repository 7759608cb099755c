"""Factors of difficulty, counted from masks and pixels of a finished scene."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
Mask = NDArray[np.bool_]


def size_of(box: Box) -> float:
    """Square root of the area of a box, pixels."""
    return math.sqrt((box[2] - box[0]) * (box[3] - box[1]))


def crowding(box: Box, others: list[Box]) -> float:
    """Nearness of the nearest other box, [0, 1]: 1 touches, 0 is a mean size or more away."""
    nearest = 0.0
    for other in others:
        gap = max(other[0] - box[2], box[0] - other[2], other[1] - box[3], box[1] - other[3], 0)
        nearest = max(nearest, 1 - 2 * gap / (size_of(box) + size_of(other)))
    return nearest


def overlap(box: Box, others: list[Box]) -> float:
    """Largest intersection over union with another box, [0, 1]."""
    largest = 0.0
    for other in others:
        width = min(box[2], other[2]) - max(box[0], other[0])
        height = min(box[3], other[3]) - max(box[1], other[1])
        if width > 0 and height > 0:
            shared = width * height
            areas = (box[2] - box[0]) * (box[3] - box[1])
            areas += (other[2] - other[0]) * (other[3] - other[1])
            largest = max(largest, shared / (areas - shared))
    return largest


def neighbourhood(box: Box, size: int) -> tuple[slice, slice]:
    """Index of the box grown by half its width and height on every side, inside the image."""
    grow_x, grow_y = (box[2] - box[0] + 1) // 2, (box[3] - box[1] + 1) // 2
    return (
        slice(max(box[1] - grow_y, 0), min(box[3] + grow_y, size)),
        slice(max(box[0] - grow_x, 0), min(box[2] + grow_x, size)),
    )


def share(inside: Mask, of: Mask) -> float:
    """Share of ``of`` that lies ``inside``; 0 if ``of`` is empty."""
    total = int(np.count_nonzero(of))
    return int(np.count_nonzero(inside & of)) / total if total else 0.0


def contrast(image: NDArray[np.uint8], visible: Mask, ground: Mask) -> float:
    """Mean absolute difference of the mean colours of two regions, over 255; 0 if one is empty."""
    inside, outside = image[visible], image[ground]
    if not len(inside) or not len(outside):
        return 0.0
    # Sums of integers are exact in any order; means of floats would not be.
    first = [int(total) / len(inside) for total in inside.sum(axis=0, dtype=np.int64)]
    second = [int(total) / len(outside) for total in outside.sum(axis=0, dtype=np.int64)]
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / (3 * 255)
