"""Which boxes of one image overlap, and who gets whom: sparse pairs instead of a table an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

_PAIRS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Pairs:
    """Pairs of overlapping boxes of one image, by rising ``left``, then rising ``right``.

    Attributes:
        left: positions in the first list, (m,).
        right: positions in the second list, (m,).
        iou: in (0, 1], (m,).
    """

    left: Integers
    right: Integers
    iou: Numbers

    def where(self, chosen: NDArray[np.bool_]) -> Pairs:
        """The chosen pairs."""
        return Pairs(self.left[chosen], self.right[chosen], self.iou[chosen])

    def best(self, count: int) -> tuple[Integers, Numbers]:
        """The right box of the highest IoU for each left box, the first of equals.

        Args:
            count: left boxes in all.

        Returns:
            Positions, -1 where there is no pair, and the IoU, 0 there, each (count,).
        """
        partner, iou = np.full(count, -1), np.zeros(count)
        if len(self.left):
            starts = np.flatnonzero(np.diff(self.left, prepend=-1))
            highest = np.maximum.reduceat(self.iou, starts)
            sizes = np.diff(starts, append=len(self.left))
            top = np.flatnonzero(self.iou == np.repeat(highest, sizes))
            # Written from the last to the first, so that the first of equals stays.
            partner[self.left[top[::-1]]] = self.right[top[::-1]]
            iou[self.left[starts]] = highest
        return partner, iou


def overlapping(
    *,
    left_image: Integers,
    left_boxes: Numbers,
    right_image: Integers,
    right_boxes: Numbers,
    right_is_crowd: bool = False,
) -> Pairs:
    """All pairs of a left and a right box that share an image and some area.

    Memory follows the number of pairs in a block of about a million, not the number of boxes.

    Args:
        left_image: number of the image of each left box, (n,).
        left_boxes: x, y, width, height, (n, 4).
        right_image: (m,).
        right_boxes: (m, 4).
        right_is_crowd: divide the shared area by that of the left box alone, as COCO does for
            boxes that stand for a group.
    """
    # Stable, so that the boxes of an image keep their order and pairs come out in it.
    order = np.argsort(right_image, kind="stable")
    first = np.searchsorted(right_image[order], left_image, side="left")
    last = np.searchsorted(right_image[order], left_image, side="right")
    found = []
    for block in _blocks(last - first):
        counts = (last - first)[block]
        left = np.repeat(np.arange(block.start, block.stop), counts)
        inside = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
        right = order[np.repeat(first[block], counts) + inside]
        iou = iou_of_pairs(left_boxes[left], right_boxes[right], right_is_crowd=right_is_crowd)
        some = iou > 0
        found.append((left[some], right[some], iou[some]))
    if not found:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def match_greedily(pairs: Pairs, rank: Integers, left_count: int, right_count: int) -> Integers:
    """Give each left box, in the order of ``rank``, the free right box that it overlaps most.

    Args:
        pairs: those allowed.
        rank: place of each left box in the queue, no two equal, (left_count,).
        left_count: left boxes in all.
        right_count: right boxes in all.

    Returns:
        For each left box its right box, -1 where it gets none, (left_count,).
    """
    matched, taken = [-1] * left_count, [False] * right_count
    queue = np.lexsort((pairs.right, -pairs.iou, rank[pairs.left]))
    for left, right in zip(
        pairs.left[queue].tolist(), pairs.right[queue].tolist(), strict=True
    ):  # one after the other: what is free depends on all before
        if matched[left] < 0 and not taken[right]:
            matched[left], taken[right] = right, True
    return np.array(matched, dtype=np.int64)


def falling(scores: Numbers, *groups: Integers) -> Integers:
    """Order by the groups, rising, the last first; inside by falling score, equals as they were."""
    return np.lexsort((-scores, *groups))


def _blocks(counts: Integers) -> Iterator[slice]:
    """Runs of left boxes with about a million pairs each."""
    total = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _PAIRS_AT_ONCE, side="right")))
        yield slice(start, stop)
        start = stop


def iou_of_pairs(left: Numbers, right: Numbers, *, right_is_crowd: bool = False) -> Numbers:
    """IoU of each left box with the right box of the same row, both x, y, width, height, (n, 4).

    Summed in the order of COCO's reference code, to be equal to the last bit.
    """
    low = np.maximum(left[:, :2], right[:, :2])
    high = np.minimum(left[:, :2] + left[:, 2:], right[:, :2] + right[:, 2:])
    side = np.maximum(high - low, 0)
    shared = side[:, 0] * side[:, 1]
    area = left[:, 2] * left[:, 3]
    union = area if right_is_crowd else area + right[:, 2] * right[:, 3] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
