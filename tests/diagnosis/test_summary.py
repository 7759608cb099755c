import json

import numpy as np
import pytest
from made_sets import coco, drawn, results

import kdviz
from kdviz.diagnosis.bootstrap import Estimate
from kdviz.diagnosis.causes import find_causes
from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.factors import box_factors
from kdviz.diagnosis.groups import grouped_boxes
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.summary import plain, summarise

ROLES = ("student", "teacher", "distilled")
NAMES = (*ROLES, "second method")


@pytest.fixture(scope="module")
def found():
    truth, sets = drawn(names=NAMES, seed=1)
    return diagnose(read_inputs(truth, **sets), draws=40)


def three(estimate):
    low, high = estimate.interval(0.95)
    return {"value": estimate.value, "low": low, "high": high}


def test_estimates_are_told_with_their_intervals(found):
    told = summarise(found)
    assert told["bootstrap"] == {"draws": 40, "level": 0.95}
    assert list(told["sets"]) == list(NAMES)
    for name, one in found.sets.items():
        part = told["sets"][name]
        assert part["threshold"] == one.verdicts.threshold
        assert part["scores"] == {key: three(value) for key, value in one.scores.items()}
        assert part["errors_per_object"]["class"] == three(one.errors[BoxType.CLASS])
    pairs = [(pair["after"], pair["before"]) for pair in told["differences"]]
    assert len(pairs) == 6
    assert ("distilled", "student") in pairs
    for pair in told["differences"]:
        after, before = found.sets[pair["after"]], found.sets[pair["before"]]
        for score in ("AP50", "precision", "recall"):
            assert pair[score] == three(after.scores[score] - before.scores[score])
    rates = told["inherited"]["rates"]
    assert rates["shown"]["excess"] == three(found.mistake_rates["shown"]["excess"])
    shares = told["transitions"]["shares"]
    assert shares["fixed"] == three(next(iter(found.transition_shares.values())))
    assert sum(share["value"] for share in shares.values()) == pytest.approx(1)


def test_counts_add_up(found):
    told = summarise(found)
    objects = told["objects"]
    assert objects + told["crowds"] == 180
    assert told["images"] == 30
    for name, part in told["sets"].items():
        typed, judged = found.sets[name].typed, found.sets[name].verdicts
        assert sum(part["objects_by_verdict"].values()) == objects
        assert part["objects_by_verdict"]["right"] == judged.right.sum()
        tally = part["boxes_by_type"]
        assert sum(tally["all"].values()) == part["boxes"] == 900
        assert tally["all"]["true_positive"] == (typed.type == BoxType.TRUE).sum()
        shown = typed.boxes.scores >= judged.threshold
        assert sum(tally["above_threshold"].values()) == shown.sum()
        bins = part["calibration"]["bins"]
        assert sum(one["boxes"] for one in bins) == (typed.type < BoxType.IGNORED).sum()
        assert [one["low"] for one in bins[1:]] == [one["high"] for one in bins[:-1]]
        assert part["calibration"]["error"] == found.sets[name].reliability.error
        assert part["costs"]["gains"]["missed"] == found.sets[name].costs.gains["missed"]
        worst = part["worst_images"][0]
        image = int(worst["image_id"]) - 1
        assert found.sets[name].images.worst(1)[0] == image
        assert worst[name]["wrong"] == found.sets[name].images.wrong[image]
    flow = told["transitions"]["flow"]
    assert sum(path["objects"] for path in flow) == objects
    assert [path["objects"] for path in flow] == sorted(
        (path["objects"] for path in flow), reverse=True
    )
    for path in flow:
        axes = [path[role] for role in ("teacher", "student", "distilled")]
        names = ["right", "wrong_class", "badly_localised", "both_wrong", "missed"]
        assert found.transitions.flow[tuple(map(names.index, axes))] == path["objects"] > 0
    assert sum(told["transitions"]["objects"].values()) == objects
    handed = told["inherited"]
    assert handed["objects"]["inherited"] == found.transitions.mistakes.inherited.sum()
    assert handed["boxes"]["teacher"] == len(found.repeated.teacher)
    assert handed["boxes"]["inherited"] == found.repeated.inherited.sum()


def test_images_that_changed_lost_or_won_mistakes(found):
    changed = summarise(found)["images_by_change"]

    def mistakes(one):
        return one["wrong"] + one["objects"] - one["right"]

    for name, sign in (("improved", 1), ("worsened", -1)):
        lost = [mistakes(x["student"]) - mistakes(x["distilled"]) for x in changed[name]]
        assert len(lost) > 1
        assert all(sign * one > 0 for one in lost)


def test_causes_and_groups_are_told_if_given(found):
    assert summarise(found)["causes"] is None
    assert summarise(found)["sets"]["student"]["grouped"] is None
    judged = {name: one.verdicts for name, one in found.sets.items()}
    causes = find_causes(box_factors(found.inputs.truth), judged, found.resamples)
    groups = {name: grouped_boxes(one) for name, one in judged.items()}
    told = summarise(found, causes=causes, groups=groups)
    for part, finding in zip(told["causes"], causes, strict=True):
        assert part["factor"] == finding.factor
        assert part["contrast"] == plain(finding.contrast)
        assert [one["name"] for one in part["slices"]] == [x.slice.name for x in finding.slices]
        first, last = part["slices"][0], part["slices"][-1]
        assert first["above"] is None
        assert last["up_to"] is None
        assert first["objects"] == len(finding.slices[0].objects)
        assert last["recall"]["teacher"] == three(finding.slices[-1].recall["teacher"])
    for name, group in groups.items():
        assert told["sets"][name]["grouped"]["boxes"] == len(group.box)
        assert told["sets"][name]["grouped"]["groups"] == group.summary.groups


@pytest.mark.parametrize("names", [("mine",), ("teacher",), ("student", "distilled")])
def test_parts_without_their_sets_are_null(names):
    truth, sets = drawn(names=names)
    told = summarise(diagnose(read_inputs(truth, **sets), draws=2))
    both = names == ("student", "distilled")
    assert told["inherited"] is None
    assert (told["transitions"] is None) == (names == ("mine",))
    assert (told["images_by_change"] is not None) == both
    assert len(told["differences"]) == both
    if names == ("teacher",):
        assert told["transitions"]["objects"] is told["transitions"]["shares"] is None


def test_what_is_undefined_is_null_and_json_takes_all():
    inputs = read_inputs(coco([(1, 1, (0, 0, 9, 9))]), mine=results([(2, 2, 0.5, (9, 9, 9, 9))]))
    told = summarise(diagnose(inputs, draws=2))
    text = json.dumps(told, allow_nan=False)
    assert json.loads(text) == told
    empty = told["sets"]["mine"]["calibration"]["bins"][0]
    assert empty == {"low": 0, "high": 0.1, "boxes": 0, "score": None, "precision": None}


def test_the_caller_s_words_stand_first_and_keys_keep_their_order(found):
    one = summarise(found, made_with={"z": 1, "a": ("x", np.float64(np.nan))})
    assert list(one)[:2] == ["kdviz", "made_with"]
    assert one["kdviz"] == kdviz.__version__
    assert one["made_with"] == {"z": 1, "a": ["x", None]}
    truth, sets = drawn(names=NAMES, seed=1)
    again = summarise(diagnose(read_inputs(truth, **sets), draws=40), made_with=one["made_with"])
    assert json.dumps(again) == json.dumps(one)


def test_plain_values():
    estimate = Estimate(np.float64(0.5), np.array([np.nan, np.nan]))
    assert plain(estimate) == {"value": 0.5, "low": None, "high": None}
    kinds = {BoxType.TRUE: np.int64(1), BoxType.BOTH: np.bool_(True)}
    assert plain(kinds) == {"true_positive": 1, "both": True}
    assert plain([np.inf, np.arange(2), "text", None]) == [None, [0, 1], "text", None]
    assert type(plain(np.int64(3))) is int
