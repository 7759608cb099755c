import pytest
from made_sets import drawn, typed_set

from kdviz.diagnosis.errors import BoxType, type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.verdicts import JUDGED, Verdict, best_threshold, verdicts

AT = (10, 10, 40, 40)
OBJECT = (1, 1, AT)


@pytest.mark.parametrize(
    ("boxes", "verdict", "box"),
    [
        ([(1, 1, 0.9, AT)], Verdict.RIGHT, 0),
        ([(1, 2, 0.9, AT), (1, 1, 0.5, AT)], Verdict.RIGHT, 1),
        ([(1, 2, 0.9, AT), (1, 1, 0.4, AT)], Verdict.WRONG_CLASS, 0),
        ([(1, 2, 0.6, AT), (1, 1, 0.9, (10, 10, 40, 15))], Verdict.BADLY_LOCALISED, 1),
        ([(1, 2, 0.9, AT), (1, 1, 0.6, (10, 10, 40, 15))], Verdict.WRONG_CLASS, 0),
        ([(1, 2, 0.9, (10, 10, 40, 15)), (1, 1, 0.6, (10, 10, 40, 5))], Verdict.BADLY_LOCALISED, 1),
        ([(1, 2, 0.9, (10, 10, 40, 15))], Verdict.BOTH_WRONG, 0),
        ([(1, 1, 0.9, (10, 10, 40, 3))], Verdict.MISSED, -1),
        ([(1, 1, 0.4, AT)], Verdict.MISSED, -1),
        ([(2, 1, 0.9, AT)], Verdict.MISSED, -1),
    ],
)
def test_what_became_of_one_object(boxes, verdict, box):
    judged = verdicts(typed_set([OBJECT], boxes), 0.5)
    assert judged.verdict.tolist() == [verdict]
    assert judged.box.tolist() == [box]
    assert judged.right.tolist() == [verdict == Verdict.RIGHT]
    assert judged.wrong.tolist() == [verdict != Verdict.RIGHT]
    assert judged.counts() == {one: int(one == verdict) for one in JUDGED}


def test_of_equal_scores_the_first_speaks_and_a_score_at_the_threshold_counts():
    boxes = [(1, 2, 0.5, AT), (1, 3, 0.5, AT)]
    assert verdicts(typed_set([OBJECT], boxes), 0.5).box.tolist() == [0]


def test_a_box_that_found_a_neighbour_does_not_speak_for_an_object():
    beside = (1, 1, (10, 40, 40, 40))  # IoU 1 / 7 with the first
    judged = verdicts(typed_set([OBJECT, beside], [(1, 1, 0.9, AT)]), 0.5)
    assert judged.verdict.tolist() == [Verdict.RIGHT, Verdict.MISSED]


def test_crowds_are_not_judged():
    judged = verdicts(typed_set([OBJECT, (1, 1, AT, True)], [(1, 1, 0.9, (0, 90, 5, 5))]), 0.5)
    assert judged.verdict.tolist() == [Verdict.MISSED, Verdict.CROWD]
    assert judged.wrong.tolist() == [True, False]
    assert sum(judged.counts().values()) == 1


def test_verdicts_at_a_threshold_are_those_of_the_boxes_above_it():
    truth, sets = drawn(seed=5)
    whole = type_all(read_inputs(truth, **sets))["student"]
    few = [box for box in sets["student"] if box["score"] >= 0.45]
    part = type_all(read_inputs(truth, student=few))["student"]
    at, all_ = verdicts(whole, 0.45), verdicts(part, 0.0)
    assert at.verdict.tolist() == all_.verdict.tolist()
    assert min(at.counts().values()) > 0


@pytest.mark.parametrize("ties", [False, True])
def test_the_best_threshold_is_that_of_a_search(ties):
    truth, sets = drawn(seed=2, ties=ties)
    typed = type_all(read_inputs(truth, **sets))["student"]
    objects = int((~typed.truth.crowd).sum())
    counted = typed.type < BoxType.IGNORED

    def f1(threshold):
        shown = counted & (typed.boxes.scores >= threshold)
        return 2 * (typed.type[shown] == BoxType.TRUE).sum() / (shown.sum() + objects)

    candidates = sorted(set(typed.boxes.scores[counted].tolist()), reverse=True)
    assert best_threshold(typed) == max(candidates, key=f1)


def test_equal_scores_pass_a_threshold_together():
    """With the right box of score .5 alone F1 were 1, but five wrong boxes come with it."""
    beside = (1, 1, (60, 60, 20, 20))
    wrong = [(2, 1, 0.5, (0, 0, 5, 5))] * 5
    boxes = [(1, 1, 0.9, AT), (1, 1, 0.5, (60, 60, 20, 20)), *wrong]
    assert best_threshold(typed_set([OBJECT, beside], boxes)) == 0.9


def test_a_detector_that_finds_nothing_gets_the_highest_threshold():
    assert best_threshold(typed_set([OBJECT], [(1, 2, 0.9, AT)])) == 1.0


def test_recall_of_each_class_leaves_crowds_out_and_is_unknown_without_objects():
    objects = [OBJECT, (2, 1, AT), (2, 1, (60, 60, 20, 20), True), (1, 2, (60, 60, 20, 20))]
    judged = verdicts(typed_set(objects, [(1, 1, 0.9, AT), (2, 1, 0.4, AT)]), 0.5)
    assert judged.class_recall.tolist() == pytest.approx([0.5, 0.0, float("nan")], nan_ok=True)
