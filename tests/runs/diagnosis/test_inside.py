"""Detectors that fail in a known place: each lost object is traced to it."""

import numpy as np
import pytest
import torch

from kdviz.detectors import Pass, build
from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.head_swap import fit_stitch
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.lost import objects_of
from kdviz.diagnosis.misses import Cause, object_distances
from kdviz.diagnosis.verdicts import verdicts
from kdviz.engine.evaluate import detect
from kdviz.methods import LogitKD
from kdviz.runs.diagnosis.inside import look_inside
from kdviz.runs.lessons import batch_of, open_adapters, open_detector, open_lesson

THRESHOLD = 0.45


@pytest.fixture(scope="module")
def lesson():
    return open_lesson(count=8)


@pytest.fixture(scope="module")
def teacher():
    return open_detector("teacher")[0]


@pytest.fixture(scope="module")
def student():
    return open_detector("student")[0]


@pytest.fixture(scope="module")
def seen(lesson, student, teacher):
    """Student and teacher, and copies of the teacher of which each fails in one place."""
    unsure, mute, blind, strict = (open_detector("teacher")[0] for _ in range(4))
    unsure.model.head.classification_head.cls_logits.bias.data -= 1.5
    mute.model.head.classification_head.cls_logits.bias.data -= 20
    blind.model.backbone.fpn.register_forward_hook(
        lambda module, inputs, maps: {name: values * 0 for name, values in maps.items()}
    )
    strict.model.nms_thresh = -1.0  # of boxes that do not even touch one remains
    return look_inside(
        lesson,
        student=student,
        teacher=teacher,
        twin=teacher,
        unsure=unsure,
        mute=mute,
        blind=blind,
        strict=strict,
        batch_size=4,
    )


@pytest.fixture(scope="module")
def lost(seen):
    typed = type_all(seen.inputs())
    return seen.lost({name: verdicts(one, THRESHOLD) for name, one in typed.items()})


def causes(one):
    return {cause: count for cause, count in one.counts().items() if count}


class TestPlantedFailures:
    def found_by_teacher(self, lost):
        return lost["twin"].verdicts.right

    def test_a_copy_of_the_teacher_loses_what_the_teacher_loses(self, lost):
        assert set(causes(lost["twin"])) <= {Cause.TEACHER, Cause.THRESHOLD}
        read, right = lost["twin"].read
        assert read > 0.85 * right  # a ridge keeps the stitch from being the identity
        assert lost["twin"].distance[self.found_by_teacher(lost)].max() < 0.05

    @pytest.mark.parametrize(
        ("name", "cause"),
        [
            ("unsure", Cause.THRESHOLD),  # a low bias of the classes: boxes, but of low scores
            ("mute", Cause.HEAD),  # so low that no box is left
            ("blind", Cause.NECK),  # maps of zeros
            ("strict", Cause.SUPPRESSED),
        ],
    )
    def test_objects_are_lost_where_the_detector_fails(self, lost, name, cause):
        missed = lost[name].verdicts.wrong & self.found_by_teacher(lost)
        assert missed.sum() >= 5
        assert (lost[name].cause[missed] == cause).mean() > 0.8

    def test_zeroed_maps_are_as_far_as_maps_without_any_variation(self, lost):
        blind, twin = (lost[name].distance for name in ("blind", "twin"))
        assert np.nanmin(blind) > 5 * np.nanmax(twin)

    def test_the_real_student_loses_objects_in_several_places(self, lost):
        assert {Cause.NECK, Cause.TEACHER} <= set(causes(lost["student"]))
        assert sum(lost["student"].counts().values()) == lost["student"].verdicts.wrong.sum()


class TestResults:
    def test_they_are_those_of_the_evaluation(self, lesson, seen, student, teacher):
        for name, parts in (("student", student), ("teacher", teacher)):
            assert seen.results[name] == detect(parts, lesson.data, batch_size=4)

    def test_they_feed_a_diagnosis(self, lesson, seen):
        results = {name: seen.results[name] for name in ("student", "teacher")}
        diagnosis = diagnose(read_inputs(lesson.data.record, **results), draws=10)
        judged = {name: one.verdicts for name, one in diagnosis.sets.items()}
        for name, own in seen.verdicts().items():
            if name in judged:
                assert own.threshold == judged[name].threshold
                np.testing.assert_array_equal(own.verdict, judged[name].verdict)
        one = seen.lost(judged)["student"]
        assert one.verdicts is judged["student"]
        assert list(seen.lost(judged)) == ["student"]
        right = one.verdicts.right
        assert (one.cause[right] == Cause.FOUND).mean() > 0.9
        assert (one.scores["student"][right] >= one.verdicts.threshold).mean() > 0.9

    def test_a_set_of_crossed_boxes_for_each_student(self, seen):
        typed = seen.typed_crossed()
        assert set(typed) == set(seen.seen)
        own, strange = (typed[name].boxes.scores.max() for name in ("twin", "blind"))
        assert own > strange

    def test_factors_have_a_value_for_each_object(self, seen):
        factors = seen.factors()
        assert {"outside", "blur", "crowding", "size"} <= set(factors)
        assert {len(values) for values in factors.values()} == {len(seen.truth.image)}
        assert 0 <= np.nanmin(factors["outside"]) < np.nanmax(factors["outside"]) <= 1


def test_the_order_of_the_record_does_not_matter(lesson, student, teacher):
    data = lesson.data.first(6)
    record = data.record
    mixed = type(data)(
        {**record, "images": record["images"][::-1], "annotations": record["annotations"][::-1]},
        data.images_dir,
    )
    told = []
    for one in (data, mixed):
        seen = look_inside(one, student=student, teacher=teacher, batch_size=2)
        typed = type_all(seen.inputs())
        lost = seen.lost({name: verdicts(each, THRESHOLD) for name, each in typed.items()})
        order = np.argsort(seen.truth.object_ids)
        told.append((lost["student"].cause[order], seen.factors()["outside"][order]))
        assert sorted(objects_of(seen.truth)) == list(range(len(order)))
    np.testing.assert_array_equal(told[0][0], told[1][0])
    np.testing.assert_allclose(told[0][1], told[1][1], rtol=1e-4)


def test_each_image_is_translated_by_what_was_fitted_on_the_other(lesson, student, teacher):
    seen = look_inside(lesson.data.first(2), student=student, teacher=teacher, batch_size=16)
    batches = [batch_of(teacher, lesson, [image]) for image in (0, 1)]
    ours, theirs = (
        [Pass(parts, batch).features for batch in batches] for parts in (student, teacher)
    )
    expected = [
        object_distances(
            student=fit_stitch(source=ours[1 - i], target=theirs[1 - i])(ours[i]),
            teacher=theirs[i],
            boxes=[batches[i].targets[0]["boxes"]],
        )
        for i in (0, 1)
    ]
    torch.testing.assert_close(seen.distances["student"], torch.cat(expected))


def test_trained_adapters_take_the_place_of_stitches(lesson, teacher):
    data = lesson.data.first(6)
    parts, _ = open_detector("dist2")
    (method,) = open_adapters("dist2", student=parts, teacher=teacher).values()
    stitched = look_inside(data, student=parts, teacher=teacher)
    adapted = look_inside(data, student=parts, teacher=teacher, methods={"student": method})
    assert adapted.results == stitched.results
    assert adapted.crossed != stitched.crossed
    distance = adapted.distances["student"].mean(), stitched.distances["student"].mean()
    assert distance[0] != pytest.approx(distance[1])


def test_modes_and_thresholds_are_as_before(lesson, teacher):
    student = build("fcos-shufflenetv2x0.5-c96", 9, min_size=128, max_size=128)  # wider
    student.model.train()
    own = student.model.nms_thresh, student.model.detections_per_img
    look_inside(lesson.data.first(2), student=student, teacher=teacher)
    assert student.model.training
    assert not teacher.model.training
    assert (student.model.nms_thresh, student.model.detections_per_img) == own
    assert all(each.grad is None for each in student.model.parameters())


class TestRefusals:
    def test_one_image(self, lesson, student, teacher):
        with pytest.raises(ValueError, match="two images or more"):
            look_inside(lesson.data.first(1), student=student, teacher=teacher)

    def test_other_classes(self, lesson, teacher):
        with pytest.raises(ValueError, match="the student has 3 classes, the data 8"):
            look_inside(lesson, student=build("fcos-shufflenetv2x0.5-c64", 4), teacher=teacher)

    def test_missing_levels(self, lesson, teacher):
        ssd = build("ssdlite-mobilenetv3", 9)
        with pytest.raises(ValueError, match=r"'mine' has \[.*\]: \[8\] are missing"):
            look_inside(lesson, student=teacher, mine=ssd, teacher=teacher)

    def test_other_sizes(self, lesson, teacher):
        large = build("fcos-shufflenetv2x0.5-c64", 9, min_size=256, max_size=256)
        with pytest.raises(ValueError, match=r"'student' sees an image at \(256, 256\)"):
            look_inside(lesson, student=large, teacher=teacher)

    def test_a_method_that_adapts_no_neck(self, lesson, student, teacher):
        method = LogitKD(student, teacher)
        with pytest.raises(ValueError, match="the method of 'student' adapts no neck"):
            look_inside(lesson, student=student, teacher=teacher, methods={"student": method})
