"""Each object is lost where the hand-made networks lose it."""

import pytest
import torch

from kdviz.diagnosis.misses import (
    Cause,
    Seen,
    best_scores,
    chance_score,
    object_distances,
    showing,
    trace_objects,
)
from kdviz.structures import Detection, Level, Pyramid

BOX = [10.0, 10, 30, 30]
TARGET = {"boxes": torch.tensor([BOX]), "labels": torch.tensor([2])}


def box(score, label=2, at=BOX):
    return Detection(torch.tensor([at]), torch.tensor([score]), torch.tensor([label]))


NOTHING = Detection(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


def trace(student=NOTHING, candidates=NOTHING, crossed=NOTHING, teacher=NOTHING):
    seen = Seen([student], [candidates], [crossed], [teacher])
    traces = trace_objects([TARGET], seen, student_threshold=0.5, teacher_threshold=0.6)
    return Cause(int(traces.cause[0]))


class TestCause:
    def test_found(self):
        assert trace(box(0.5), box(0.5), box(0.9), box(0.9)) == Cause.FOUND

    def test_suppressed(self):
        assert trace(NOTHING, box(0.7), box(0.9), box(0.9)) == Cause.SUPPRESSED
        assert trace(box(0.2), box(0.7)) == Cause.SUPPRESSED

    def test_below_the_threshold(self):
        assert trace(box(0.49), box(0.49), box(0.9), box(0.9)) == Cause.THRESHOLD

    def test_head(self):
        assert trace(NOTHING, box(0.3), box(0.6), box(0.9)) == Cause.HEAD

    def test_neck(self):
        assert trace(NOTHING, NOTHING, box(0.59), box(0.6)) == Cause.NECK

    def test_the_teacher_misses_it_too(self):
        assert trace(teacher=box(0.59)) == Cause.TEACHER

    @pytest.mark.parametrize("wrong", [box(0.9, label=1), box(0.9, at=[20.0, 10, 40, 30])])
    def test_a_box_of_another_class_or_place_shows_nothing(self, wrong):
        assert trace(wrong, wrong, wrong, wrong) == Cause.TEACHER


def test_a_box_speaks_for_the_object_it_lies_on_best():
    target = {
        "boxes": torch.tensor([[0.0, 0, 20, 20], [4, 0, 24, 20]]),
        "labels": torch.tensor([1, 1]),
    }
    found = Detection(
        torch.tensor([[5.0, 0, 25, 20], [4, 0, 24, 20]]),
        torch.tensor([0.9, 0.3]),
        torch.tensor([1, 1]),
    )
    assert best_scores(target, found).tolist() == pytest.approx([0.0, 0.9])


def test_counts_and_order_over_images():
    boxes, labels = torch.tensor([BOX, [50.0, 50, 70, 70]]), torch.tensor([2, 1])
    targets = [
        TARGET,
        {"boxes": boxes[:0], "labels": labels[:0]},
        {"boxes": boxes, "labels": labels},
    ]
    sure = Detection(boxes, torch.tensor([0.7, 0.9]), labels)
    nothing = [NOTHING] * 3
    seen = Seen(nothing, nothing, nothing, [box(0.8), NOTHING, sure])
    traces = trace_objects(targets, seen, student_threshold=0.5, teacher_threshold=0.5)
    assert traces.counts()[Cause.NECK] == 3
    assert traces.objects(Cause.NECK) == [(2, 1), (0, 0), (2, 0)]
    assert traces.objects(Cause.HEAD) == []


def test_other_number_of_images():
    seen = Seen([NOTHING], [NOTHING], [], [NOTHING])
    with pytest.raises(ValueError, match="crossed has detections of 0 images, the targets are"):
        trace_objects([TARGET], seen, student_threshold=0.5, teacher_threshold=0.5)


class TestDistance:
    def pyramids(self):
        """Two levels, on which the student is wrong in one object's place alone."""
        torch.manual_seed(0)
        teacher = [torch.rand(2, 3, 16, 16) + 1, torch.rand(2, 3, 8, 8) + 1]
        student = [maps.clone() for maps in teacher]
        student[0][1, :, 2:6, 2:6] = 0  # pixels 16 to 48 of the second image, stride 8
        return [
            Pyramid((Level("p3", 8, fine), Level("p4", 16, coarse)))
            for fine, coarse in (student, teacher)
        ]

    def test_is_zero_but_where_the_maps_differ(self):
        student, teacher = self.pyramids()
        near, far = [20.0, 20, 44, 44], [80.0, 80, 110, 110]
        boxes = [torch.tensor([near, far]), torch.tensor([near, far])]
        distances = object_distances(student=student, teacher=teacher, boxes=boxes)
        assert distances.tolist() == pytest.approx([0, 0, 1, 0], abs=1e-6)

    def test_a_large_object_is_read_from_the_coarse_level(self):
        student, teacher = self.pyramids()
        large = torch.tensor([[0.0, 0, 500, 500]])
        boxes = [torch.zeros(0, 4), large]
        assert object_distances(student=student, teacher=teacher, boxes=boxes).tolist() == [0.0]


TWO = {"boxes": torch.tensor([BOX, [50.0, 50, 70, 70]]), "labels": torch.tensor([2, 1])}


class TestEvidence:
    def test_scores_up_to_chance_say_nothing(self):
        seen = Seen([box(0.4)], [box(0.4)], [NOTHING], [box(0.9)])
        for chance, cause in ((0.0, Cause.THRESHOLD), (0.39, Cause.THRESHOLD), (0.4, Cause.NECK)):
            traces = trace_objects(
                [TARGET], seen, student_threshold=0.5, teacher_threshold=0.5, chance=chance
            )
            assert traces.cause.tolist() == [cause]

    def test_the_crossed_head_may_have_its_own_threshold(self):
        seen = Seen([NOTHING], [NOTHING], [box(0.4)], [box(0.9)])
        for threshold, cause in ((None, Cause.NECK), (0.3, Cause.HEAD)):
            traces = trace_objects(
                [TARGET],
                seen,
                student_threshold=0.5,
                teacher_threshold=0.5,
                crossed_threshold=threshold,
            )
            assert traces.cause.tolist() == [cause]

    def test_chance_is_what_wrong_classes_score(self):
        # Three classes, two objects: four wrong answers, of which two have a box.
        found = Detection(
            torch.tensor([BOX, BOX, [50.0, 50, 70, 70], [0.0, 60, 20, 80]]),
            torch.tensor([0.9, 0.3, 0.2, 0.8]),
            torch.tensor([2, 1, 3, 3]),
        )
        for share, score in ((0.0, 0.3), (0.25, 0.2), (0.5, 0.0), (0.3, 0.2)):
            assert chance_score([TWO], [found], 3, share) == pytest.approx(score)
        assert chance_score([TWO], [NOTHING], 3) == 0
        alone = {**TARGET, "labels": torch.tensor([1])}
        assert chance_score([alone], [box(0.9, label=1)], 1) == 0
        assert chance_score([], [], 3) == 0

    def test_boxes_that_show_an_object(self):
        boxes = torch.tensor([BOX, BOX, [50.0, 50, 70, 70], [20.0, 10, 40, 30]])
        found = Detection(boxes, torch.tensor([0.4, 0.3, 0.2, 0.1]), torch.tensor([2, 1, 1, 2]))
        kept = showing(TWO, found)
        assert kept.scores.tolist() == pytest.approx([0.4, 0.2])
        assert kept.labels.tolist() == [2, 1]
        assert torch.equal(kept.boxes, boxes[[0, 2]])
        empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
        assert len(showing(empty, found).scores) == 0
