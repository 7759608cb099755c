import pytest
from made_sets import typed_set

from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.fixing import error_costs
from kdviz.diagnosis.inputs import read_inputs

AT = (10, 10, 40, 40)
SHORT = {
    "class": "Cls",
    "localisation": "Loc",
    "both": "Both",
    "duplicate": "Dupe",
    "background": "Bkg",
    "missed": "Miss",
}


def test_costs_are_those_of_tidecv(tidecv):
    for truth, found, figures in tidecv:
        costs = error_costs(type_all(read_inputs(truth, student=found))["student"])
        assert 100 * costs.ap50 == pytest.approx(figures["ap"], abs=1e-9)
        assert list(costs.gains) == list(SHORT)
        for name, short in SHORT.items():
            assert 100 * costs.gains[name] == pytest.approx(figures["main"][short], abs=1e-9)
        special = {"FalsePos": costs.false_positives, "FalseNeg": costs.false_negatives}
        for short, value in special.items():
            assert 100 * value == pytest.approx(figures["special"][short], abs=1e-9)


@pytest.mark.parametrize(
    ("boxes", "name"),
    [
        ([(1, 2, 0.9, AT)], "class"),
        ([(1, 1, 0.9, (10, 10, 40, 19))], "localisation"),
    ],
)
def test_mending_the_only_error_gives_all(boxes, name):
    costs = error_costs(typed_set([(1, 1, AT)], boxes))
    assert costs.ap50 == 0
    assert costs.gains[name] == 1
    # The wrong box of a mended object is no miss; nothing else is to be won.
    assert sum(costs.gains.values()) == 1


def test_a_perfect_detector_loses_nothing():
    costs = error_costs(typed_set([(1, 1, AT), (2, 3, AT)], [(1, 1, 0.9, AT), (2, 3, 0.3, AT)]))
    assert costs.ap50 == 1
    assert set(costs.gains.values()) == {0.0}
    assert costs.false_positives == costs.false_negatives == 0


def test_half_of_the_objects_missed():
    costs = error_costs(typed_set([(1, 1, AT), (2, 1, AT)], [(1, 1, 0.9, AT)]))
    assert costs.ap50 == pytest.approx(51 / 101)
    assert costs.gains["missed"] == pytest.approx(50 / 101)
    assert costs.false_negatives == pytest.approx(50 / 101)


def test_a_wrong_box_of_higher_score_halves_the_precision():
    costs = error_costs(typed_set([(1, 1, AT)], [(1, 1, 0.9, (70, 70, 9, 9)), (1, 1, 0.8, AT)]))
    assert costs.ap50 == pytest.approx(0.5)
    assert costs.gains["background"] == costs.false_positives == pytest.approx(0.5)


def test_detections_of_a_class_without_objects_weigh_on_the_mean_as_in_tidecv():
    costs = error_costs(typed_set([(1, 1, AT)], [(1, 1, 0.9, AT), (2, 2, 0.8, AT)]))
    assert costs.ap50 == 0.5
    assert costs.gains["background"] == 0.5
    assert costs.false_positives == 0
