"""CrossKD against the release's numbers, and on real heads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torchvision.ops import generalized_box_iou_loss

from kdviz.detectors import Pass
from kdviz.detectors.assignment import matched_boxes
from kdviz.methods.crosskd import CrossKD, SplitHead, align_scale, quality_focal
from kdviz.methods.slots import decoded_boxes

DENSE = ["fcos", "retinanet"]


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "crosskd.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


class TestAgainstTheRelease:
    def test_alignment(self, reference):
        aligned = align_scale(student=reference["student"], teacher=reference["teacher"])
        assert_close(aligned, reference["aligned"], rtol=1e-9, atol=1e-12)

    def test_quality_focal(self, reference):
        loss = quality_focal(student=reference["pred_logits"], teacher=reference["tea_logits"])
        assert_close(loss.mean(), reference["qfl_mean"], rtol=1e-9, atol=0)
        weighed = (loss * reference["weight"][:, None]).sum() / 2
        # The release adds the eps of float32 to the divisor.
        assert_close(weighed, reference["qfl_avg2"], rtol=1e-7, atol=0)


class TestQualityFocal:
    def test_by_hand(self):
        loss = quality_focal(
            student=torch.zeros(1, 1).double(), teacher=torch.tensor([[np.log(9)]])
        )
        assert_close(loss.item(), 0.4 * np.log(2))

    def test_equal_logits(self, reference):
        logits = reference["tea_logits"]
        assert not quality_focal(student=logits, teacher=logits).any()

    def test_extreme_logits_stay_finite(self):
        student = torch.tensor([100.0, -100.0], requires_grad=True)
        quality_focal(student=student, teacher=-student.detach()).sum().backward()
        assert student.grad.isfinite().all()

    def test_gradient(self, reference):
        student = reference["pred_logits"].clone().requires_grad_()
        teacher = reference["tea_logits"]
        assert torch.autograd.gradcheck(
            lambda x: quality_focal(student=x, teacher=teacher), (student,)
        )


def test_alignment_keeps_the_pattern(reference):
    student, teacher = reference["student"], reference["teacher"]
    aligned = align_scale(student=student, teacher=teacher)
    again = align_scale(student=7 * student - 3, teacher=teacher)
    assert_close(aligned, again, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="must have the same shape"):
        align_scale(student=student, teacher=teacher[:, :2])


class TestSplitHead:
    @pytest.mark.parametrize("depth", [1, 2, 3, 4])
    @pytest.mark.parametrize("family", DENSE)
    def test_both_halves_are_the_head(self, pair, batch_for, family, depth):
        teacher = pair(family)[1]
        seen = Pass(teacher, batch_for(teacher))
        head = SplitHead(teacher, depth)
        output = head.rest(*head.until(seen.features), seen.batch)
        assert torch.equal(output.logits, seen.output.logits)
        assert torch.equal(output.boxes, seen.output.boxes)
        assert output.slots == seen.output.slots

    def test_refusals(self, pair):
        for family in ("fasterrcnn", "ssdlite"):
            with pytest.raises(ValueError, match=r"has none\. Use FCOS or RetinaNet\."):
                SplitHead(pair(family)[1], 2)
        with pytest.raises(ValueError, match="from 1 to 4, but is 5"):
            SplitHead(pair("fcos")[1], 5)


class TestMethod:
    @pytest.mark.parametrize("family", DENSE)
    def test_a_copy_of_the_teacher_has_nothing_to_learn(self, pair, batch_for, family):
        teacher = pair(family)[1]
        batch = batch_for(teacher)
        method = CrossKD(teacher, teacher)
        cross, taught = method.cross_outputs(Pass(teacher, batch), Pass(teacher, batch))
        assert_close(cross.logits, taught.logits, rtol=1e-3, atol=1e-4)
        losses = method(Pass(teacher, batch), Pass(teacher, batch), batch).losses
        assert losses["crosskd_cls"] < 1e-4

    def test_losses_slot_by_slot(self, pair, batch_for):
        student, teacher = pair("retinanet")
        batch = batch_for(student)
        method = CrossKD(student, teacher)
        seen, taught = Pass(student, batch), Pass(teacher, batch)
        told = method(seen, taught, batch)
        cross, own = method.cross_outputs(seen, taught)
        boxes = [target["boxes"] for target in batch.targets]
        matched = matched_boxes(teacher, own, boxes)
        counted = matched != -2  # slots that the teacher's rules leave out
        assert not counted.all()
        objects = (matched >= 0).sum()
        scores = own.logits.sigmoid().amax(dim=2)
        apart = generalized_box_iou_loss(
            decoded_boxes(teacher, cross)[counted], decoded_boxes(teacher, own)[counted]
        )
        divergence = quality_focal(student=cross.logits[counted], teacher=own.logits[counted])
        assert_close(told.losses["crosskd_cls"], divergence.sum() / objects)
        assert_close(told.losses["crosskd_reg"], (apart * scores[counted]).sum() / objects)
        shown = torch.cat([x.flatten(1) for x in told.maps["score"].maps], dim=1)
        assert_close(shown.amax(dim=1), scores.amax(dim=1))

    @pytest.mark.parametrize(("student", "teacher"), [("fcos", "retinanet"), ("retinanet", "fcos")])
    def test_another_family_teaches(self, pair, batch_for, student, teacher):
        own, taught = pair(student, other=teacher)
        batch = batch_for(own)
        losses = CrossKD(own, taught)(Pass(own, batch), Pass(taught, batch), batch).losses
        sum(losses.values()).backward()
        head = own.model.head
        lower = [x for x in head.classification_head.conv.modules() if isinstance(x, nn.Conv2d)]
        assert lower[0].weight.grad.any()
        assert head.classification_head.cls_logits.weight.grad is None  # left to the ground truth
        assert all(p.grad is None for p in taught.model.parameters())

    def test_the_teacher_s_map_at_the_cut_survives(self, pair, batch_for):
        teacher = pair("retinanet")[1]
        seen = Pass(teacher, batch_for(teacher))
        head = SplitHead(teacher, 3)
        cls, reg = head.until(seen.features)
        before = cls[0].clone()
        head.rest(cls, reg, seen.batch)
        assert torch.equal(cls[0], before)

    def test_the_teacher_s_family_sets_depth_and_weights(self, pair):
        by_fcos = CrossKD(*pair("retinanet", other="fcos"))
        by_retinanet = CrossKD(*pair("fcos", other="retinanet"))
        assert (by_fcos.depth, by_retinanet.depth) == (2, 3)
        assert [w.value for w in by_fcos.weights.values()] == [0.4, 0.75]
        assert [w.value for w in by_retinanet.weights.values()] == [1.0, 1.0]

    def test_missing_levels_are_refused(self, pair, monkeypatch):
        student, teacher = pair("retinanet")
        monkeypatch.setattr(student, "levels", student.levels[:3])
        with pytest.raises(ValueError, match=r"\[8, 16, 32, 64, 128\], but the student has \[8"):
            CrossKD(student, teacher)
