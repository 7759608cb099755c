"""The sentences of a diagnosis are true to its numbers, and say where chance may speak."""

from dataclasses import replace

import numpy as np
import pytest
from diagnosed import BOXES, RECORD, made_diagnosis
from made_sets import drawn

from kdviz.diagnosis.bootstrap import Estimate
from kdviz.diagnosis.causes import FactorFinding, SliceFinding, find_causes
from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.findings import FEWEST, findings, signed
from kdviz.diagnosis.inputs import read_inputs
from kdviz.engine.coco_metrics import Slice


def about(told, topic):
    return [finding.sentence for finding in told if finding.about == topic]


def sure(value):
    return Estimate(value, np.full(20, value))


@pytest.fixture
def diagnosis():
    return made_diagnosis()


def test_objects_are_counted_as_the_transitions_have_them(diagnosis):
    # fixed: the first and the fourth; the second goes to the teacher's wrong answer; the third is
    # missed by both students
    (sentence,) = about(findings(diagnosis), "objects")
    assert sentence == (
        "Of 4 objects it fixed 2 and broke 0; 1 more took over a wrong answer of the teacher; "
        "0 stayed right, 1 wrong."
    )


def test_the_score_tells_direction_and_size(diagnosis):
    first, *_ = about(findings(diagnosis), "score")
    change = diagnosis.differences("distilled", "student")["AP50"]
    assert change.value > 0
    assert first.startswith("Distillation raised AP50")
    assert signed(change) in first


def test_the_share_of_the_gap_that_closed():
    spreads = {"student": 0.5, "teacher": 0.02, "distilled": 0.2}
    sets = {name: drawn(spread=spread)[1]["student"] for name, spread in spreads.items()}
    one = diagnose(read_inputs(drawn()[0], **sets), draws=50)
    ap50 = {name: each.scores["AP50"].value for name, each in one.sets.items()}
    assert ap50["student"] < ap50["distilled"] < ap50["teacher"]
    share = (ap50["distilled"] - ap50["student"]) / (ap50["teacher"] - ap50["student"])
    _, second = about(findings(one), "score")
    assert second.startswith(f"It closed {share:.0%} of the student's gap to the teacher")


def test_a_loss_is_called_a_loss():
    sets = {
        name: [
            {"image_id": i, "category_id": c, "bbox": box, "score": score}
            for i, c, box, score in BOXES[source]
        ]
        for name, source in {"student": "distilled", "distilled": "student"}.items()
    }
    told = findings(diagnose(read_inputs(RECORD, **sets), thresholds=0.5, draws=10))
    assert about(told, "score")[0].startswith("Distillation lowered AP50")
    (objects,) = about(told, "objects")
    assert "broke 2" in objects  # without a teacher nothing is handed down
    assert "teacher" not in objects


def test_a_single_set_has_its_own_sentences():
    truth, sets = drawn(names=("mine",))
    told = findings(diagnose(read_inputs(truth, **sets), draws=20))
    assert about(told, "score")[0].startswith("AP50: mine 0.")
    assert not about(told, "objects")
    assert about(told, "classes")[0].startswith("In mine, ")


def test_what_may_be_chance_is_marked():
    truth, sets = drawn(images=8, objects=40, boxes=80, names=("student", "distilled"))
    told = findings(diagnose(read_inputs(truth, **sets), draws=200))
    low, high = (
        diagnose(read_inputs(truth, **sets), draws=200)
        .differences("distilled", "student")["AP50"]
        .interval()
    )
    (score,) = [finding for finding in told if finding.about == "score"]
    assert score.sure == (low > 0 or high < 0)
    assert not score.sure  # the two are drawn alike


def cause(gaps, counts, closed=0.5):
    slices = tuple(
        SliceFinding(
            Slice("blur", name), np.arange(count), {}, sure(gap), sure(0.7), sure(0.1), sure(closed)
        )
        for name, gap, count in zip(("low", "high"), gaps, counts, strict=True)
    )
    return FactorFinding("blur", slices, sure(gaps[1] - gaps[0]), None)


@pytest.mark.parametrize(("gaps", "end"), [((0.1, 0.3), "blurred"), ((0.3, 0.1), "sharp")])
def test_a_cause_names_the_end_with_the_wider_gap(diagnosis, gaps, end):
    (told,) = about(findings(diagnosis, [cause(gaps, (99, 99))]), "causes")
    assert told == (
        f"The gap in recall between teacher and student is wider for objects that are {end}: "
        "+0.300 against +0.100. They hold 70% of it; distillation closed 50% of it there."
    )


def test_few_objects_and_no_difference_are_no_cause(diagnosis):
    assert not about(findings(diagnosis, [cause((0.1, 0.3), (99, FEWEST - 1))]), "causes")
    assert about(findings(diagnosis, [cause((0.1, 0.3), (99, FEWEST))]), "causes")
    open_question = replace(
        cause((0.1, 0.3), (99, 99)), contrast=Estimate(0.2, np.array([-0.1, 0.5] * 20))
    )
    assert not about(findings(diagnosis, [open_question]), "causes")


def test_causes_of_real_verdicts_are_read():
    truth, sets = drawn(images=60, objects=400, boxes=1200, names=("student", "teacher"))
    one = diagnose(read_inputs(truth, **sets), draws=50)
    judged = {name: each.verdicts for name, each in one.sets.items()}
    value = np.random.default_rng(0).random(len(one.inputs.truth.image))
    causes = find_causes({"blur": value}, judged, one.resamples)
    assert all("blur" in s or "sharp" in s for s in about(findings(one, causes), "causes"))
