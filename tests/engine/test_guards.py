"""Each guard is met by the bug it is there for."""

import pytest
import torch

from kdviz.detectors import build, freeze
from kdviz.engine.guards import TermGuard, check_classes, check_label_map, check_pair


def targets(*ids):
    return [{"image_id": torch.tensor(number)} for number in ids]


def test_a_loss_that_is_not_finite_is_named_with_level_step_and_image():
    images = [torch.zeros(1), torch.full((1,), float("nan")), torch.ones(1)]

    def replay(some, targets):
        return {"fgfi/p4": torch.stack(list(some)).sum(), "box": torch.tensor(1.0)}

    losses = replay(images, None)
    with pytest.raises(FloatingPointError, match=r"step 12: loss 'fgfi/p4' is nan; .* ids \[8\]"):
        TermGuard(5).check(12, losses, replay, images, targets(7, 8, 9))


def test_all_images_are_named_when_only_the_batch_breaks():
    def replay(some, targets):
        return {"box": torch.tensor(float("inf") if len(some) > 1 else 1.0)}

    images = [torch.zeros(1)] * 2
    with pytest.raises(FloatingPointError, match=r"ids \[1, 2\]"):
        TermGuard(5).check(0, replay(images, None), replay, images, targets(1, 2))


def test_a_term_that_is_always_zero_stops_the_run():
    guard = TermGuard(3)
    losses = {"fgfi/p3": torch.tensor(0.0), "fgfi/p4": torch.tensor(0.0), "box": torch.tensor(1.0)}
    guard.check(0, losses, None, [], [])
    guard.check(1, losses, None, [], [])
    with pytest.raises(ValueError, match=r"step 2: term 'fgfi' has been exactly 0 for 3 steps"):
        guard.check(2, losses, None, [], [])


def test_one_level_or_one_step_of_zero_is_no_alarm():
    guard = TermGuard(2)
    empty = {"fgfi/p3": torch.tensor(0.0), "fgfi/p4": torch.tensor(0.0)}
    some = {"fgfi/p3": torch.tensor(0.0), "fgfi/p4": torch.tensor(0.3)}
    for losses in (empty, some, empty, some):
        guard.check(0, losses, None, [], [])


class TestPairs:
    def test_class_counts(self):
        student = build("fcos-shufflenetv2x0.5-c64", 4)
        teacher = freeze(build("fcos-shufflenetv2x0.5-c64", 9))
        with pytest.raises(ValueError, match="student has 4 classes and the teacher 9"):
            check_pair(student, teacher)
        with pytest.raises(ValueError, match=r"the teacher has 8 classes, the data 2 \(a, b\)"):
            check_classes(teacher, ["a", "b"], "teacher")
        check_classes(student, ["a", "b", "c"], "student")

    def test_normalisation(self):
        student = build("fcos-shufflenetv2x0.5-c64", 4, image_mean=[0.0] * 3, image_std=[1.0] * 3)
        teacher = build("fcos-shufflenetv2x0.5-c64", 4)
        with pytest.raises(ValueError, match=r"normalises with mean \(0.0, 0.0, 0.0\).*image_mean"):
            check_pair(student, teacher)

    def test_label_map(self):
        check_label_map({}, ["a", "b"], "some.pth")
        check_label_map({"classes": ["a", "b"]}, ["a", "b"], "some.safetensors")
        with pytest.raises(ValueError, match=r"trained for the classes \['b', 'a'\]"):
            check_label_map({"classes": ["b", "a"]}, ["a", "b"], "some.safetensors")
