import math
from itertools import pairwise

import numpy as np
import pytest
from made_sets import drawn, typed_set

from kdviz.diagnosis.calibration import reliability
from kdviz.diagnosis.errors import BoxType, type_all
from kdviz.diagnosis.inputs import read_inputs

AT, EMPTY = (10, 10, 40, 40), (70, 5, 20, 20)


def test_by_hand():
    boxes = [(1, 1, 0.9, AT), (1, 1, 0.7, EMPTY), (1, 1, 0.1, EMPTY), (2, 1, 1.0, EMPTY)]
    found = reliability(typed_set([(1, 1, AT)], boxes), bins=2)
    assert found.edges.tolist() == [0, 0.5, 1]
    assert found.boxes.tolist() == [1, 3]
    assert found.score == pytest.approx([0.1, 2.6 / 3])
    assert found.precision == pytest.approx([0, 1 / 3])
    assert found.error == pytest.approx(0.1 / 4 + (1.6 / 3) * 3 / 4)
    assert found.largest == pytest.approx(1.6 / 3)


@pytest.mark.parametrize("bins", [1, 10, 17])
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_the_error_is_that_of_a_loop(bins, threshold):
    truth, sets = drawn(seed=1, ties=bins == 10)
    typed = type_all(read_inputs(truth, **sets))["student"]
    pairs = [
        (score, kind == BoxType.TRUE)
        for score, kind in zip(typed.boxes.scores, typed.type, strict=True)
        if score >= threshold and kind < BoxType.IGNORED
    ]
    edges, error = np.linspace(0, 1, bins + 1), 0.0
    for low, high in pairwise(edges):
        inside = [p for p in pairs if low <= p[0] < high or (high == 1 and p[0] == 1)]
        if inside:
            score, true = np.mean(inside, axis=0)
            error += abs(score - true) * len(inside) / len(pairs)
    found = reliability(typed, threshold, bins)
    assert found.error == pytest.approx(error)
    assert found.boxes.sum() == len(pairs)


def test_scores_that_say_how_often_they_are_right_have_no_error():
    """Four boxes of score .25 of which one is right, and four of score .75 of which three are."""
    objects = [(1, 1, (10 * n, 0, 9, 9)) for n in range(4)]
    boxes = [(1, 1, 0.25 if n == 0 else 0.75, box) for n, (_, _, box) in enumerate(objects)]
    boxes += [(2, 1, score, EMPTY) for score in (0.25, 0.25, 0.25, 0.75)]
    found = reliability(typed_set(objects, boxes), bins=4)
    assert found.error == 0
    assert found.precision[[1, 3]].tolist() == [0.25, 0.75]
    assert np.isnan(found.precision[[0, 2]]).all()


def test_ignored_boxes_and_empty_sets():
    crowd = [(1, 1, (0, 0, 9, 9)), (1, 1, AT, True)]
    found = reliability(typed_set(crowd, [(1, 1, 0.9, AT)]))
    assert found.boxes.sum() == 0
    assert math.isnan(found.error)
    assert math.isnan(found.largest)
    with pytest.raises(ValueError, match="bins must be at least 1, not 0"):
        reliability(typed_set(crowd, [(1, 1, 0.9, AT)]), bins=0)
