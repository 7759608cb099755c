import numpy as np
import pytest
from made_sets import drawn

from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.verdicts import best_threshold
from kdviz.engine.coco_eval import evaluate_coco

ROLES = ("student", "teacher", "distilled")


def test_everything_of_four_sets():
    truth, sets = drawn(names=(*ROLES, "second method"), seed=1)
    found = diagnose(read_inputs(truth, **sets), draws=60, seed=5)
    assert list(found.sets) == [*ROLES, "second method"]
    for name, one in found.sets.items():
        stats = evaluate_coco(truth, sets[name]).stats
        assert one.scores["AP50"].value == pytest.approx(stats["AP50"])
        assert one.verdicts.threshold == one.confusion.threshold == best_threshold(one.typed)
        assert one.images.right.sum() == one.verdicts.right.sum()
        assert one.costs.ap50 == pytest.approx(stats["AP50"], abs=0.05)
        assert one.reliability.boxes.sum() == 900 - one.typed.counts()[6] - one.typed.counts()[7]
    assert list(found.transitions.verdicts) == ["teacher", "student", "distilled"]
    assert sum(one.value for one in found.transition_shares.values()) == pytest.approx(1)
    assert len(found.repeated.teacher) > 0
    assert set(found.mistake_rates) == {"all", "shown"}
    gain = found.differences("distilled", "student")
    for name, one in gain.items():
        before, after = (found.sets[role].scores[name] for role in ("student", "distilled"))
        assert one.value == after.value - before.value
        np.testing.assert_array_equal(one.draws, after.draws - before.draws)
    assert {key: one.value for key, one in found.differences("student", "student").items()} == {
        "AP50": 0, "precision": 0, "recall": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "names", [("distilled",), ("student", "distilled"), ("student", "teacher"), ("mine",)]
)
def test_fewer_sets(names):
    truth, sets = drawn(names=names)
    found = diagnose(read_inputs(truth, **sets), draws=5)
    assert (found.transitions is None) == (names == ("mine",))
    assert bool(found.transition_shares) == ({"student", "distilled"} <= set(names))
    assert found.repeated is None
    assert found.mistake_rates == {}


def test_thresholds_for_all_or_by_name():
    truth, sets = drawn(names=("student", "distilled"))
    inputs = read_inputs(truth, **sets)
    same = diagnose(inputs, thresholds=0.25, draws=2)
    assert [one.verdicts.threshold for one in same.sets.values()] == [0.25, 0.25]
    named = diagnose(inputs, thresholds={"distilled": 0.0}, draws=2)
    assert named.sets["distilled"].verdicts.threshold == 0
    assert named.sets["student"].verdicts.threshold == best_threshold(named.sets["student"].typed)


def test_equal_seeds_give_equal_intervals():
    truth, sets = drawn()
    inputs = read_inputs(truth, **sets)
    one, again, other = (
        diagnose(inputs, draws=20, seed=seed).sets["student"].scores["recall"].draws.tolist()
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other
