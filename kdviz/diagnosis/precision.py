"""Average precision at one IoU from boxes that are known to be right or wrong, with image weights.

An image of weight 2 counts as if it were there twice; the bootstrap weighs images by how often it
drew them, everything else gives each the weight 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.errors import BoxType, TypedBoxes
from kdviz.diagnosis.overlaps import Integers, Numbers, falling

# Two roads to the same 101 recalls that differ in the last bit, and so in which box reaches them.
COCO_RECALLS = np.linspace(0, 1, 101)
TIDE_RECALLS = np.arange(101) / 100

_CELLS_AT_ONCE = 1 << 19


@dataclass(frozen=True)
class Ranking:
    """Boxes by class and falling score, and how many objects there are to find.

    Attributes:
        image: number of the image of each box, (n,).
        category: number of the class of each box, rising, (n,).
        scores: falling within a class, (n,).
        true: whether the box is right, (n,).
        object_image: number of the image of each object to find, (g,).
        object_category: number of its class, rising, (g,).
        classes: how many classes there are.
    """

    image: Integers
    category: Integers
    scores: Numbers
    true: NDArray[np.bool_]
    object_image: Integers
    object_category: Integers
    classes: int

    def mean_precision(self, weights: NDArray[np.integer] | None = None) -> Numbers:
        """COCO's AP at the IoU of the matching: the mean over all classes with objects.

        Args:
            weights: how often each image counts, (R, I); None counts each once.

        Returns:
            (R,) in [0, 1]; NaN where no image with an object has a weight.
        """
        precision = self.class_precision(COCO_RECALLS, weights)
        known = ~np.isnan(precision)
        total, count = np.where(known, precision, 0).sum(1), known.sum(1)
        return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)

    def class_precision(
        self, recalls: Numbers, weights: NDArray[np.integer] | None = None
    ) -> Numbers:
        """Average precision of each class: the mean over recalls of the best precision from there.

        Args:
            recalls: rising, in [0, 1], (P,).
            weights: how often each image counts, (R, I); None counts each once.

        Returns:
            (R, K) in [0, 1]; NaN for classes without objects.
        """
        weights = self._ones() if weights is None else weights
        chunk = max(1, _CELLS_AT_ONCE // max(1, len(self.image)))
        parts = [
            self._curves(recalls, weights[start : start + chunk]).mean(2)
            for start in range(0, len(weights), chunk)
        ]
        return np.concatenate(parts)

    def curves(self) -> Numbers:
        """COCO's precision-recall curve of each class: the best precision from each recall on.

        Returns:
            (K, 101) at `COCO_RECALLS`; NaN for classes without objects.
        """
        return self._curves(COCO_RECALLS, self._ones())[0]

    def _ones(self) -> NDArray[np.int32]:
        last = max(self.image.max(initial=0), self.object_image.max(initial=0))
        return np.ones((1, int(last) + 1), np.int32)

    def _curves(self, recalls: Numbers, weights: NDArray[np.integer]) -> Numbers:
        """Best precision from each recall on, (R, K, P); NaN for classes without objects."""
        edges, hits = np.arange(self.classes + 1), np.flatnonzero(self.true)
        of_hit = self.category[hits]
        objects = np.diff(
            _before(
                np.cumsum(weights.take(self.object_image, axis=1), axis=1, dtype=np.int32),
                np.searchsorted(self.object_category, edges),
            )
        )
        # take and not an index: on rows this wide it is five times as fast.
        seen = np.cumsum(weights.take(self.image, axis=1), axis=1, dtype=np.int32)
        found = np.cumsum(weights.take(self.image[hits], axis=1), axis=1, dtype=np.int32)
        seen_before = _before(seen, np.searchsorted(self.category, edges))
        found_before = _before(found, np.searchsorted(of_hit, edges))

        # The first box that reaches a recall is the one that makes this many objects found.
        wanted = np.floor(recalls * objects[..., None])
        wanted += wanted / np.maximum(objects, 1)[..., None] < recalls
        wanted = np.maximum(wanted, 1).astype(np.int32)
        reached = wanted <= np.diff(found_before)[..., None]
        curves = np.zeros(wanted.shape)
        if reached.any():
            true = found - found_before.take(of_hit, axis=1)
            counted = seen.take(hits, axis=1) - seen_before.take(of_hit, axis=1)
            precision = true / np.maximum(counted, 1)
            # Best from here on within a class: the shift lifts each class above those after it.
            shift = 2.0 * of_hit
            best = np.maximum.accumulate((precision - shift)[:, ::-1], axis=1)[:, ::-1] + shift
            apart = np.arange(len(weights), dtype=np.int32)[:, None] * (int(found.max()) + 1)
            goal = (wanted + (found_before[:, :-1] + apart)[..., None])[reached]
            curves[reached] = best.ravel()[np.searchsorted((found + apart).ravel(), goal)]
        curves[objects == 0] = np.nan
        return curves


def rank_boxes(typed: TypedBoxes) -> Ranking:
    """The boxes of one set as COCO ranks them; ignored and surplus boxes are left out."""
    counted = counted_boxes(typed)
    return ranking(typed, counted, np.flatnonzero(~typed.truth.crowd))


def precision_recall(typed: TypedBoxes) -> tuple[Numbers, Numbers]:
    """The precision-recall curves at an IoU of .5 from which COCO takes AP50.

    Returns:
        The 101 recalls, (101,), and for each class by rising id the best precision from that recall
        on, (K, 101); NaN for classes without objects. The mean of a row is the AP50 of the class.
    """
    return COCO_RECALLS, rank_boxes(typed).curves()


def counted_boxes(typed: TypedBoxes) -> Integers:
    """The boxes that are right or wrong, image by image and by falling score."""
    order = falling(typed.boxes.scores, typed.boxes.image)
    return order[typed.type[order] < BoxType.IGNORED]


def ranking(
    typed: TypedBoxes,
    boxes: Integers,
    objects: Integers,
    *,
    category: Integers | None = None,
    true: NDArray[np.bool_] | None = None,
    scores: Numbers | None = None,
) -> Ranking:
    """Some boxes of a set in the order of their scores, as they are or as if they were better.

    Args:
        typed: the set.
        boxes: which boxes, (n,); of equal scores the first goes first.
        objects: which objects there are to be found, (g,).
        category: the class of each box in place of its own, (n,).
        true: whether each box is right, in place of its type, (n,).
        scores: what to rank by in place of their own, (n,).
    """
    category = typed.boxes.category[boxes] if category is None else category
    true = typed.type[boxes] == BoxType.TRUE if true is None else true
    scores = typed.boxes.scores[boxes] if scores is None else scores
    order = falling(scores, category)
    objects = objects[np.argsort(typed.truth.category[objects], kind="stable")]
    return Ranking(
        image=typed.boxes.image[boxes[order]],
        category=category[order],
        scores=scores[order],
        true=true[order],
        object_image=typed.truth.image[objects],
        object_category=typed.truth.category[objects],
        classes=len(typed.truth.category_ids),
    )


def _before(cumulative: NDArray[np.int32], places: Integers) -> NDArray[np.int32]:
    """What a cumulative sum (R, n) had reached before each place, (R, len(places))."""
    if not cumulative.shape[1]:
        return np.zeros((len(cumulative), len(places)), np.int32)
    return np.where(places > 0, cumulative[:, np.maximum(places - 1, 0)], 0)
