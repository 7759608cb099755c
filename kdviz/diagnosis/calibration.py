"""What a score is worth: how often boxes of that score are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdviz.diagnosis.errors import BoxType, TypedBoxes
from kdviz.diagnosis.overlaps import Integers, Numbers


@dataclass(frozen=True)
class Reliability:
    """How often boxes of a score are right, score by score.

    Attributes:
        edges: of the bins, rising from 0 to 1, (B + 1,).
        boxes: in each bin, (B,).
        score: their mean score; NaN for an empty bin, (B,).
        precision: the share of them that is right; NaN for an empty bin, (B,).
        error: expected calibration error: the mean of the distance from score to precision, each
            bin with the weight of its boxes; in [0, 1], NaN without boxes.
        largest: the largest of these distances, NaN without boxes.
    """

    edges: Numbers
    boxes: Integers
    score: Numbers
    precision: Numbers
    error: float
    largest: float


def reliability(typed: TypedBoxes, threshold: float = 0.0, bins: int = 10) -> Reliability:
    """Compare scores with the share of right boxes: equal ones mean that the score can be believed.

    The detection calibration error on the score alone, without place and size: a box is right if
    it found an object of its class by an IoU of .5, and boxes in crowd regions are left out. Boxes
    of low score are by far the most and weigh most, so only errors of one threshold compare.

    Args:
        typed: the set of detections.
        threshold: scores from here on count, in [0, 1].
        bins: of equal width from 0 to 1; a score on an edge falls in the upper bin, 1 in the last.

    Raises:
        ValueError: there is no bin.

    Reference: Küppers et al., CVPR workshops 2020, arXiv:2004.13546.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    counted = (typed.boxes.scores >= threshold) & (typed.type < BoxType.IGNORED)
    scores, true = typed.boxes.scores[counted], typed.type[counted] == BoxType.TRUE
    edges = np.linspace(0, 1, bins + 1)
    bin_ = np.searchsorted(edges[1:-1], scores, side="right")
    boxes = np.bincount(bin_, minlength=bins)
    sums = [np.bincount(bin_, weights=x, minlength=bins) for x in (scores, true)]
    empty = np.full(bins, np.nan)
    score, precision = (np.divide(x, boxes, out=empty.copy(), where=boxes > 0) for x in sums)
    if not len(scores):
        return Reliability(edges, boxes, score, precision, np.nan, np.nan)
    distance = np.nan_to_num(np.abs(score - precision))
    error = float(distance @ boxes / len(scores))
    return Reliability(edges, boxes, score, precision, error, float(distance.max()))
