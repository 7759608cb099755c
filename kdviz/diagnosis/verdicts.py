"""What became of every object at a score threshold, and which threshold is fair to a detector."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.errors import BoxType, TypedBoxes
from kdviz.diagnosis.overlaps import Integers, Numbers


class Verdict(IntEnum):
    """What became of an object at a score threshold, see `verdicts`."""

    RIGHT = 0
    WRONG_CLASS = 1
    BADLY_LOCALISED = 2
    BOTH_WRONG = 3
    MISSED = 4
    CROWD = 5


JUDGED = tuple(verdict for verdict in Verdict if verdict != Verdict.CROWD)
"""The verdicts that an object can get; crowd regions get none."""

_SAYS = {
    BoxType.BOTH: Verdict.BOTH_WRONG,
    BoxType.LOCALISATION: Verdict.BADLY_LOCALISED,
    BoxType.CLASS: Verdict.WRONG_CLASS,
}


@dataclass(frozen=True)
class ObjectVerdicts:
    """What became of each object at one score threshold.

    Attributes:
        typed: the boxes that were judged.
        threshold: boxes of lower score were not looked at.
        verdict: a `Verdict` for each object, (G,) int8.
        box: the box that shows it: the one that found the object, or the wrong one; -1 for MISSED
            and CROWD, (G,).
    """

    typed: TypedBoxes
    threshold: float
    verdict: NDArray[np.int8]
    box: Integers

    @property
    def right(self) -> NDArray[np.bool_]:
        """True where the object was found, (G,)."""
        return self.verdict == Verdict.RIGHT

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """True where it was not, crowds left out, (G,)."""
        return ~self.right & ~self.typed.truth.crowd

    @property
    def class_recall(self) -> Numbers:
        """Share of the objects of each class that was found, NaN for a class without any, (K,)."""
        truth, classes = self.typed.truth, len(self.typed.truth.category_ids)
        objects = np.bincount(truth.category[~truth.crowd], minlength=classes)
        found = np.bincount(truth.category[self.right], minlength=classes)
        return np.divide(found, objects, out=np.full(classes, np.nan), where=objects > 0)

    def counts(self) -> dict[Verdict, int]:
        """Objects of each verdict, crowds left out."""
        tally = np.bincount(self.verdict, minlength=len(Verdict))
        return {verdict: int(tally[verdict]) for verdict in JUDGED}


def verdicts(typed: TypedBoxes, threshold: float) -> ObjectVerdicts:
    """What became of each object when boxes below the threshold are dropped.

    A wrong box speaks for the object that it points at. Where several do, a box that lacks only
    the class or only the place goes before one that lacks both, then the higher score.

    Args:
        typed: the boxes with their types.
        threshold: scores from here on count, in [0, 1].
    """
    scores = typed.boxes.scores
    verdict = np.full(len(typed.found_by), Verdict.MISSED, np.int8)
    box = np.full(len(typed.found_by), -1)
    speaks = np.flatnonzero(np.isin(typed.type, list(_SAYS)) & (scores >= threshold))
    one_fault = typed.type[speaks] != BoxType.BOTH
    # From the weakest word to the strongest: what is written last stays.
    speaks = speaks[np.lexsort((-speaks, scores[speaks], one_fault))]
    box[typed.object[speaks]] = speaks
    says = np.array([_SAYS.get(kind, Verdict.MISSED) for kind in BoxType], np.int8)
    shown = np.flatnonzero(box >= 0)
    verdict[shown] = says[typed.type[box[shown]]]
    found = np.flatnonzero(typed.found_by >= 0)
    found = found[scores[typed.found_by[found]] >= threshold]
    verdict[found], box[found] = Verdict.RIGHT, typed.found_by[found]
    verdict[typed.truth.crowd] = Verdict.CROWD
    return ObjectVerdicts(typed, threshold, verdict, box)


def best_threshold(typed: TypedBoxes) -> float:
    """The score threshold of the highest F1 over all classes, where detectors compare fairly.

    Scores of two detectors need not mean the same, so one threshold for both would favour the one
    of higher scores. F1 is the harmonic mean of precision and recall at an IoU of .5.

    Returns:
        A score of the set, the highest of equals; 1 where no box is right.
    """
    counted = typed.type < BoxType.IGNORED
    scores = typed.boxes.scores[counted]
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum(typed.type[counted][order] == BoxType.TRUE)
    f1 = 2 * true / (np.arange(1, len(order) + 1) + int((~typed.truth.crowd).sum()))
    # Equal scores pass a threshold together.
    last = np.append(np.diff(scores[order]) != 0, True)[: len(order)]
    if not len(f1) or not true[-1]:
        return 1.0
    return float(scores[order][int(np.argmax(np.where(last, f1, -1)))])
