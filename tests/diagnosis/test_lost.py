"""Traces laid beside verdicts: the right object, whatever the order of the annotations."""

import numpy as np
import pytest
import torch
from made_sets import coco, results

from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.lost import causes_table, join_traces, objects_of, targets_of
from kdviz.diagnosis.misses import Cause, Seen, trace_objects
from kdviz.diagnosis.verdicts import Verdict, verdicts
from kdviz.structures import Detection

# Annotations run against the images, a crowd stands between two objects of one image.
OBJECTS = [
    (2, 1, (10, 10, 20, 20)),
    (1, 3, (5, 5, 10, 30)),
    (2, 2, (40, 40, 50, 20), True),
    (2, 3, (60, 10, 30, 30)),
    (1, 2, (50, 50, 20, 20)),
]
STUDENT = [(1, 3, 0.9, (5, 5, 10, 30)), (2, 3, 0.4, (60, 10, 30, 30))]


@pytest.fixture
def judged():
    inputs = read_inputs(coco(OBJECTS, images=3), student=results(STUDENT))
    return verdicts(type_all(inputs)["student"], 0.5)


def found(*boxes):
    """Detections of one image from ``(class, score, (x, y, w, h))``."""
    corners = [[x, y, x + w, y + h] for _, _, (x, y, w, h) in boxes]
    return Detection(
        torch.tensor(corners).float().reshape(-1, 4),
        torch.tensor([score for _, score, _ in boxes]),
        torch.tensor([label for label, _, _ in boxes], dtype=torch.int64),
    )


@pytest.fixture
def lost(judged):
    own = [found((3, 0.9, (5, 5, 10, 30))), found((3, 0.4, (60, 10, 30, 30))), found()]
    crossed = [found((2, 0.7, (50, 50, 20, 20))), found(), found()]
    teacher = [found((2, 0.8, (50, 50, 20, 20))), found((1, 0.9, (10, 10, 20, 20))), found()]
    traces = trace_objects(
        targets_of(judged.typed.truth),
        Seen(own, own, crossed, teacher),
        student_threshold=0.5,
        teacher_threshold=0.5,
    )
    distance = np.array([0.1, 0.2, 0.3, 0.4])  # image 1: both objects, then image 2
    return join_traces(judged, traces, distance, crossed_threshold=0.5, chance=0.0)


def test_targets_are_image_by_image_without_crowds(judged):
    targets = targets_of(judged.typed.truth)
    assert [target["labels"].tolist() for target in targets] == [[3, 2], [1, 3], []]
    assert targets[0]["boxes"].tolist() == [[5, 5, 15, 35], [50, 50, 70, 70]]
    assert targets[2]["boxes"].shape == (0, 4)
    assert objects_of(judged.typed.truth).tolist() == [1, 4, 0, 3]


def test_each_object_gets_its_own_cause(lost):
    assert lost.cause.tolist() == [Cause.NECK, Cause.FOUND, -1, Cause.THRESHOLD, Cause.HEAD]
    assert lost.distance == pytest.approx([0.3, 0.1, np.nan, 0.4, 0.2], nan_ok=True)
    assert lost.scores["teacher"] == pytest.approx([0.9, 0, np.nan, 0, 0.8], nan_ok=True)
    assert set(lost.scores) == {"student", "candidates", "crossed", "teacher"}


def test_counts_leave_out_what_was_found(lost):
    counts = lost.counts()
    assert counts[Cause.FOUND] == 0
    assert [counts[cause] for cause in (Cause.THRESHOLD, Cause.HEAD, Cause.NECK)] == [1, 1, 1]
    assert sum(counts.values()) == lost.verdicts.wrong.sum() == 3
    by_verdict = lost.by_verdict()
    assert by_verdict[Verdict.RIGHT][Cause.FOUND] == 1
    assert sum(by_verdict[Verdict.MISSED].values()) == 3


def test_the_objects_of_a_cause_come_with_the_surest_teacher_first(judged, lost):
    assert lost.objects(Cause.NECK).tolist() == [0]
    everywhere_neck = type(lost)(
        judged, np.full(5, Cause.NECK, np.int8), lost.scores, lost.distance, 0.5, 0.0
    )
    assert everywhere_neck.objects(Cause.NECK).tolist() == [0, 4, 3]


def test_how_far_the_head_reads_what_the_student_finds(judged, lost):
    assert lost.read == (0, 1)  # the object of the right verdict is not among those it reads
    scores = {**lost.scores, "crossed": np.array([0.0, 0.5, np.nan, 0.9, 0.9])}
    assert type(lost)(judged, lost.cause, scores, lost.distance, 0.5, 0.0).read == (1, 1)


def test_table(lost):
    head, row, other = causes_table({"student": lost, "distilled by two": lost}).splitlines()
    assert len(row) == len(other)
    assert "".join(head.split()) == "wrongsuppressedthresholdheadneckteacherofthefound,read"
    assert "".join(row.split()) == "student3" + "00%" + "133%" * 3 + "00%" + "0of1(0%)"


def test_traces_of_other_objects(judged, lost):
    traces = trace_objects(
        targets_of(judged.typed.truth)[:1],
        Seen([found()], [found()], [found()], [found()]),
        student_threshold=0.5,
        teacher_threshold=0.5,
    )
    with pytest.raises(ValueError, match="2 traced objects for 4 annotated ones"):
        join_traces(judged, traces, np.zeros(2), crossed_threshold=0.5, chance=0.0)
