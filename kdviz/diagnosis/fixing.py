"""What each kind of error costs: the average precision that would be won by mending it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdviz.diagnosis.errors import WRONG_TYPES, BoxType, TypedBoxes
from kdviz.diagnosis.overlaps import Integers, falling
from kdviz.diagnosis.precision import TIDE_RECALLS, Ranking, counted_boxes, ranking


@dataclass(frozen=True)
class ErrorCosts:
    """AP50 as TIDE counts it, and what mending all errors of one kind would add to it.

    The gains do not sum to what is missing: errors hide one another.

    Attributes:
        ap50: mean over classes with objects or counted boxes, in [0, 1]. COCO's AP50 leaves out the
            classes without objects and is higher where a detector finds such classes.
        gains: by the lower-case names of the wrong `BoxType` and ``"missed"``, each at least 0.
        false_positives: won if all wrong boxes ranked below all right ones.
        false_negatives: won if the objects that nothing found were not there.
    """

    ap50: float
    gains: dict[str, float]
    false_positives: float
    false_negatives: float


def error_costs(typed: TypedBoxes) -> ErrorCosts:
    """AP50 that TIDE's dAP ascribes to each kind of error.

    A wrong class or place is mended for the best box that points at an unfound object; the other
    boxes of the kind go away, as do boxes that lack both, duplicates and background. Missed
    objects go away, too.

    Args:
        typed: the boxes with their types.

    Reference: Bolya et al., TIDE, ECCV 2020, arXiv:2008.08115, Sec. 2.3.
    """
    objects = np.flatnonzero(~typed.truth.crowd)
    found = objects[typed.found_by[objects] >= 0]
    repairable = objects[~typed.missed[objects]]
    counted = counted_boxes(typed)
    # tidecv's order of equal scores once anything is mended: wrong boxes go before right ones.
    is_right = typed.type[counted] == BoxType.TRUE
    wrong_first = counted[np.argsort(is_right, kind="stable")]
    right_first = np.sort(is_right).astype(float)
    ap50 = _ap50(ranking(typed, counted, objects))
    mended = {kind.name.lower(): _ap50(_mended(typed, kind, objects)) for kind in WRONG_TYPES}
    mended["missed"] = _ap50(ranking(typed, wrong_first, repairable))
    return ErrorCosts(
        ap50=ap50,
        gains={name: max(value - ap50, 0.0) for name, value in mended.items()},
        false_positives=_ap50(ranking(typed, wrong_first, objects, scores=right_first)) - ap50,
        false_negatives=_ap50(ranking(typed, wrong_first, found)) - ap50,
    )


def _mended(typed: TypedBoxes, kind: BoxType, objects: Integers) -> Ranking:
    """The boxes of a set once the errors of a kind are mended or gone."""
    pointed_at = np.flatnonzero(typed.repaired_by >= 0)
    chosen = typed.repaired_by[pointed_at]
    wrong_class = typed.boxes.category[chosen] != typed.truth.category[pointed_at]
    mend = (wrong_class & (kind == BoxType.CLASS)) | (~wrong_class & (kind == BoxType.LOCALISATION))
    pointed_at, chosen = pointed_at[mend], chosen[mend]
    category, true = typed.boxes.category.copy(), typed.type == BoxType.TRUE
    category[chosen], true[chosen] = typed.truth.category[pointed_at], True
    boxes = falling(typed.boxes.scores, typed.boxes.image)
    stays = (typed.type < BoxType.IGNORED) & (typed.type != kind)
    stays[chosen] = True
    boxes = boxes[stays[boxes]]
    boxes = boxes[np.argsort(typed.type[boxes] == BoxType.TRUE, kind="stable")]
    return ranking(typed, boxes, objects, category=category[boxes], true=true[boxes])


def _ap50(ranked: Ranking) -> float:
    precision = ranked.class_precision(TIDE_RECALLS)[0]
    present = np.union1d(ranked.category, ranked.object_category)
    return float(np.nan_to_num(precision[present]).mean()) if len(present) else 0.0
