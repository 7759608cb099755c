"""GID by hand and against loops; there is no released implementation to match."""

import pytest
import torch
from torch.nn.functional import smooth_l1_loss
from torch.testing import assert_close
from torchvision.ops import box_iou, roi_align

from kdviz.detectors import Pass
from kdviz.methods.gid import (
    GID,
    crop_loss,
    crops,
    general_instances,
    instance_scores,
    relation_loss,
)
from kdviz.structures import Level, Pyramid


def test_scores_by_hand():
    student = torch.tensor([[0.1, 0.8], [0.5, 0.5], [0.9, 0.2]])
    teacher = torch.tensor([[0.2, 0.3], [0.5, 0.9], [0.9, 0.2]])
    scores, surer = instance_scores(student=student, teacher=teacher)
    assert_close(scores, torch.tensor([0.5, 0.4, 0.0]))
    assert surer.tolist() == [False, True, False]


class TestInstances:
    boxes = torch.tensor(
        [[0.0, 0, 20, 20], [2, 0, 22, 20], [50, 50, 60, 60], [70, 70, 70.5, 90], [30, 0, 40, 10]]
    )
    scores = torch.tensor([0.5, 0.9, 0.2, 0.99, 0.1])

    def test_best_first_apart_and_solid(self):
        found = general_instances(self.scores, self.boxes)
        assert torch.equal(found, self.boxes[[1, 2, 4]])

    def test_count(self):
        assert torch.equal(general_instances(self.scores, self.boxes, 2), self.boxes[[1, 2]])

    def test_overlap(self):
        found = general_instances(self.scores, self.boxes, iou_threshold=0.9)
        assert torch.equal(found, self.boxes[[1, 0, 2, 4]])

    def test_nothing_solid(self):
        assert general_instances(torch.ones(2), torch.zeros(2, 4)).shape == (0, 4)


class TestCrops:
    features = Pyramid(
        tuple(
            Level(f"p{i}", 2**i, torch.arange(6.0 * (512 >> i) ** 2).sin().view(2, 3, 512 >> i, -1))
            for i in (3, 4, 5)
        )
    )

    @pytest.mark.parametrize(("side", "level"), [(20, 0), (223, 0), (225, 1), (449, 2), (500, 2)])
    def test_level_of_a_size(self, side, level):
        box = torch.tensor([[0.0, 0.0, side, side]])
        source = self.features.levels[level]
        rois = torch.tensor([[1.0, 0.0, 0.0, side, side]])
        expected = roi_align(source.map, rois, 10, 1 / source.stride, 2, aligned=True)
        assert_close(crops(self.features, [torch.zeros(0, 4), box]), expected)

    def test_order_is_that_of_the_boxes(self):
        boxes = torch.tensor([[0.0, 0, 300, 300], [10, 10, 60, 60], [0, 0, 500, 500]])
        together = crops(self.features, [boxes, boxes[:1]])
        for i, box in enumerate(boxes):
            assert_close(together[i], crops(self.features, [box[None], boxes[:0]])[0])
        assert together.shape == (4, 3, 10, 10)

    def test_no_boxes(self):
        assert crops(self.features, [torch.zeros(0, 4)] * 2).shape == (0, 3, 10, 10)


class TestLosses:
    values = torch.randn(
        2, 4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6)
    )

    def test_crops_by_hand(self):
        student = torch.ones(2, 3, 2, 2)
        assert crop_loss(student=student, teacher=3 * student) == 12  # 3 channels, 2 squared

    def test_relations_against_loops(self):
        distances = []
        for values in self.values:
            flat = values.flatten(1)
            pairs = torch.stack([(a - b).norm() for a in flat for b in flat if a is not b])
            pairs = pairs[pairs > 0]
            distances.append(pairs / pairs.mean())
        loss = relation_loss(student=self.values[0], teacher=self.values[1])
        assert_close(loss, smooth_l1_loss(*distances))

    def test_scale_does_not_count(self):
        loss = relation_loss(student=5 * self.values[0], teacher=self.values[0])
        assert_close(loss.item(), 0.0)

    @pytest.mark.parametrize("count", [0, 2])
    def test_too_few_are_an_attached_zero(self, count):
        student = self.values[0][:count].clone().requires_grad_()
        loss = relation_loss(student=student, teacher=self.values[1][:count])
        loss.backward()
        assert loss == 0

    def test_equal_crops_stay_finite(self):
        student = torch.ones(4, 2, 3, 3, requires_grad=True)
        relation_loss(student=student, teacher=torch.randn(4, 2, 3, 3)).backward()
        assert student.grad.isfinite().all()

    def test_gradients(self):
        student = self.values[0].clone().requires_grad_()
        for loss in (crop_loss, relation_loss):
            assert torch.autograd.gradcheck(
                lambda x, loss=loss: loss(student=x, teacher=self.values[1]), (student,)
            )


class TestMethod:
    @pytest.mark.parametrize("family", ["fcos", "retinanet"])
    def test_instances_lie_apart_inside_the_image(self, pair, batch_for, family):
        student, teacher = pair(family)
        batch = batch_for(student)
        method = GID(student, teacher)
        boxes, scores = method.where(Pass(student, batch), Pass(teacher, batch), batch)
        assert scores.shape[0] == len(boxes) == 2
        for each, (height, width) in zip(boxes, batch.sizes, strict=True):
            assert 1 <= len(each) <= 10
            assert (each >= 0).all()
            assert (each <= torch.tensor([width, height] * 2)).all()
            assert (box_iou(each, each) - torch.eye(len(each))).max() <= 0.3 + 1e-6

    def test_a_copy_of_the_teacher_answers_alike(self, pair, batch_for):
        teacher = pair("retinanet")[1]
        batch = batch_for(teacher)
        losses = GID(teacher, teacher)(Pass(teacher, batch), Pass(teacher, batch), batch).losses
        assert_close(losses["gid_cls"].item(), 0.0, rtol=0, atol=1e-6)
        assert losses["gid_reg"] == 0

    def test_refusals(self, pair):
        with pytest.raises(ValueError, match=r"FasterRCNN is not supported\. Use FCOS"):
            GID(*pair("fasterrcnn"))
        with pytest.raises(ValueError, match=r"student is FCOS .* and the teacher RetinaNet"):
            GID(*pair("fcos", other="retinanet"))
