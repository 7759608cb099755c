"""Dist2 by hand arithmetic and by what must hold of it: there is no implementation to match."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close
from torchvision.ops import sigmoid_focal_loss
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from kdviz.detectors import Pass
from kdviz.methods.base import TermWeight
from kdviz.methods.dist2 import (
    PLACES,
    Dist2,
    feature_error,
    feature_loss,
    fill_neck,
    imitated_levels,
    reads_trunk,
)
from kdviz.structures import Pyramid

FAMILIES = ["fcos", "retinanet", "fasterrcnn"]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def set_to_identity(method):
    for conv in method.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.dirac_(conv.weight)
            nn.init.zeros_(conv.bias)


def total(losses):
    return sum(losses.values())


class TestByHand:
    def test_feature_loss(self):
        student = double([[1, 2], [3, 4]]).view(1, 1, 2, 2)
        teacher = double([[0, 2], [3, 6]]).view(1, 1, 2, 2)
        assert feature_loss(student=student, teacher=teacher) == 1.25

    def test_feature_loss_is_the_mean_of_the_map_shown(self):
        student, teacher = torch.randn(2, 2, 3, 4, 5).double()
        error = feature_error(student=student, teacher=teacher)
        assert error.shape == (2, 1, 4, 5)
        assert_close(feature_loss(student=student, teacher=teacher), error.mean())

    def test_gradient_passes_through_a_frozen_layer(self):
        head = nn.Conv2d(1, 1, 1).double().requires_grad_(False)
        head.weight.fill_(2.0)
        head.bias.fill_(-1.0)
        feature = double([0.5]).view(1, 1, 1, 1).requires_grad_()
        loss = sigmoid_focal_loss(head(feature), torch.ones_like(feature), 0.25, 2.0, "sum")
        loss.backward()
        assert_close(loss.item(), 0.043321698904037476)
        assert_close(feature.grad.item(), -0.14914339780807495)
        assert head.weight.grad is None

    def test_transformed_map_through_a_head(self):
        student = double([1, -2]).view(1, 2, 1, 1)
        transform = double([[1, 0.5], [0, -1], [2, 1]]).view(3, 2, 1, 1)
        head = double([[1, 0, 0], [0, 1, 0], [-1, 1, 1]]).view(3, 3, 1, 1)
        imitated = torch.conv2d(student, transform)
        logits = torch.conv2d(imitated, head).flatten()
        assert imitated.flatten().tolist() == [0, 2, 0]
        assert logits.tolist() == [0, 2, 2]
        target = double([0, 1, 0])
        bce = binary_cross_entropy_with_logits(logits, target, reduction="sum")
        assert_close(bce.item(), 2.9470033645629883, rtol=1e-6, atol=0)
        focal = sigmoid_focal_loss(logits, target, 0.25, 2.0, "sum")
        assert_close(focal.item(), 1.3679746389389038, rtol=1e-6, atol=0)

    def test_total(self):
        weights = {"fi": TermWeight(0.5), "di": TermWeight(1.0, ramp=500)}
        feature, detection = 1.25 + 0.75, 0.3 + 0.2
        at = {step: {k: w.at(step, 1000) for k, w in weights.items()} for step in (0, 250, 500)}
        sums = [1.0 + w["fi"] * feature + w["di"] * detection for w in at.values()]
        assert sums == [2.0, 2.25, 2.5]

    def test_published_weights_ramp_di_alone(self):
        assert Dist2.weights["dist2_di"].at(0, 10_000) == 0
        assert Dist2.weights["dist2_di"].at(250, 10_000) == 0.5
        assert Dist2.weights["dist2_fi"].at(0, 10_000) == Dist2.weights["dist2_fi"].value > 0


class TestTheTeacherAsItsOwnStudent:
    @pytest.mark.parametrize("strategy", ["b2b", "n2n"])
    @pytest.mark.parametrize("family", FAMILIES)
    def test_gives_its_own_detection_loss(self, pair, batch_for, family, strategy):
        teacher = pair(family)[1]
        method = Dist2(teacher, teacher, [strategy])
        set_to_identity(method)
        batch = batch_for(teacher)
        torch.manual_seed(3)  # Faster R-CNN samples anchors and proposals
        own = total(teacher.losses(Pass(teacher, batch).output, batch))
        torch.manual_seed(3)
        losses = method(Pass(teacher, batch), Pass(teacher, batch), batch).losses
        assert losses.pop(f"dist2_di/{strategy}") == own
        assert losses
        assert not any(losses.values())

    @pytest.mark.parametrize("family", FAMILIES)
    def test_fills_the_coarse_levels_as_itself(self, pair, batch_for, family):
        teacher = pair(family)[1]
        seen = Pass(teacher, batch_for(teacher))
        strides = seen.trunk.strides
        short = Pyramid(tuple(seen.features.at(stride) for stride in strides))
        assert not reads_trunk(teacher)
        filled = fill_neck(short, teacher)
        assert filled.strides == seen.features.strides
        assert all(map(torch.equal, filled.maps, seen.features.maps))

    def test_fills_p6_and_p7_from_c5_where_the_neck_does(self, pair, batch_for):
        teacher = deepcopy(pair("retinanet")[1])
        channels = teacher.trunk_levels[-1].channels
        teacher.model.backbone.fpn.extra_blocks = LastLevelP6P7(channels, 64).requires_grad_(False)
        seen = Pass(teacher, batch_for(teacher))
        assert reads_trunk(teacher)
        short = Pyramid(seen.features.levels[:3])
        filled = fill_neck(short, teacher, seen.trunk.maps[-1])
        assert all(map(torch.equal, filled.maps, seen.features.maps))

        student = pair("retinanet")[0]
        method = Dist2(student, teacher, ["b2n"], fi=False)
        batch = batch_for(student)
        total(method(Pass(student, batch), Pass(teacher, batch), batch).losses).backward()
        assert method.transforms["b2n"].trunk_conv.convs["c5"].weight.grad.any()


class TestTraining:
    @pytest.mark.parametrize(
        ("family", "strategies"),
        [("fcos", "all2all"), ("retinanet", ["n2b"]), ("fasterrcnn", ["b2n"])],
    )
    def test_one_step_moves_the_student_and_not_a_bit_of_the_teacher(
        self, pair, batch_for, family, strategies
    ):
        student, teacher = pair(family)
        student = deepcopy(student)
        method = Dist2(student, teacher, strategies)
        before = {k: v.clone() for k, v in teacher.model.state_dict().items()}
        trained = [*method.parameters(), *student.model.backbone.parameters()]
        values = [p.detach().clone() for p in trained]
        batch = batch_for(student)
        optimiser = torch.optim.SGD(trained, lr=0.1)
        total(method(Pass(student, batch), Pass(teacher, batch), batch).losses).backward()
        optimiser.step()
        moved = [not torch.equal(p, value) for p, value in zip(trained, values, strict=True)]
        assert all(moved[: len(list(method.parameters()))])
        assert sum(moved) > 0.5 * len(moved)
        assert all(torch.equal(v, before[k]) for k, v in teacher.model.state_dict().items())
        assert all(p.grad is None for p in teacher.model.parameters())
        assert not teacher.model.training

    def test_detection_improves_through_the_teacher(self, pair, batch_for):
        student, teacher = pair("fcos")
        method = Dist2(student, teacher, "all2all", fi=False)
        batch = batch_for(student)
        optimiser = torch.optim.Adam(method.parameters(), lr=2e-2)
        with torch.no_grad():
            seen = Pass(student, batch)
            _ = seen.features
        values = []
        for _ in range(8):
            optimiser.zero_grad()
            losses = method(seen, Pass(teacher, batch), batch).losses
            total(losses).backward()
            optimiser.step()
            values.append({key: loss.item() for key, loss in losses.items()})
        assert len(values[0]) == 4
        assert all(values[-1][key] < 0.98 * values[0][key] for key in values[0])

    def test_gradient_starts_where_the_strategy_does(self, pair, batch_for):
        student, teacher = pair("retinanet")
        batch = batch_for(student)
        for strategy, in_neck in [("b2n", False), ("n2b", True)]:
            student.model.zero_grad()
            method = Dist2(student, teacher, [strategy])
            total(method(Pass(student, batch), Pass(teacher, batch), batch).losses).backward()
            body = next(student.model.backbone.body.parameters())
            neck = next(student.model.backbone.fpn.parameters())
            head = next(student.model.head.parameters())
            assert body.grad.any()
            assert (neck.grad is not None) is in_neck
            assert head.grad is None


class TestSwitches:
    def test_each_term_alone(self, pair, batch_for):
        student, teacher = pair("fcos")
        batch = batch_for(student)
        keys = {}
        for di, fi in [(True, False), (False, True), (True, True)]:
            method = Dist2(student, teacher, ["b2n"], di=di, fi=fi)
            told = method(Pass(student, batch), Pass(teacher, batch), batch)
            keys[di, fi] = set(told.losses) | set(told.maps)
        detection = {"dist2_di/b2n", "score/b2n"}
        features = {f"dist2_fi/b2n/{level}" for level in ("p3", "p4", "p5")} | {"error/b2n"}
        assert keys[True, False] == detection
        assert keys[False, True] == features
        assert keys[True, True] == detection | features

    def test_di_alone_never_runs_the_teacher_on_its_own_maps(self, pair, batch_for, monkeypatch):
        student, teacher = pair("fcos")
        method = Dist2(student, teacher, ["n2n"], fi=False)
        monkeypatch.setattr(teacher, "trunk", lambda batch: pytest.fail("the teacher's trunk ran"))
        batch = batch_for(student)
        assert method(Pass(student, batch), Pass(teacher, batch), batch).losses

    def test_strategies_share_the_weights(self, pair):
        student, teacher = pair("fcos")
        alone, all4 = (Dist2(student, teacher, x).weights for x in (["n2n"], "all2all"))
        assert alone == Dist2.weights == Dist2(student, teacher, ["n2n", "n2n"]).weights
        assert alone == Dist2(student, teacher, "n2n").weights
        assert {term: 4 * weight.value for term, weight in all4.items()} == {
            term: weight.value for term, weight in alone.items()
        }
        assert all4["dist2_di"].ramp == 500
        assert set(Dist2(student, teacher, di=False).weights) == {"dist2_fi"}

    def test_alignment_gives_the_teacher_its_own_moments(self, pair, batch_for):
        student, teacher = pair("fcos")
        method = Dist2(student, teacher, ["n2n"], align=True)
        batch = batch_for(student)
        seen, taught = Pass(student, batch), Pass(teacher, batch)
        for level in method.transforms["n2n"](seen, taught).levels[:3]:
            own = taught.features.at(level.stride).map
            moments = [torch.std_mean(x, dim=(0, 2, 3)) for x in (level.map, own)]
            assert_close(moments[0], moments[1], rtol=1e-3, atol=1e-4)

    def test_cross_outputs_give_boxes(self, pair, batch_for):
        student, teacher = pair("fcos")
        batch = batch_for(student)
        outputs = Dist2(student, teacher, "all2all").cross_outputs(
            Pass(student, batch), Pass(teacher, batch)
        )
        assert set(outputs) == set(PLACES)
        assert len(teacher.detections(outputs["n2n"], batch)) == 2


class TestLevels:
    def test_another_family_teaches(self, pair, batch_for):
        student, teacher = pair("retinanet", other="fcos")
        batch = batch_for(student)
        losses = Dist2(student, teacher)(Pass(student, batch), Pass(teacher, batch), batch).losses
        total(losses).backward()
        assert next(student.model.backbone.body.parameters()).grad.any()

    def test_missing_coarse_levels_come_from_the_teacher(self, pair, batch_for):
        student, teacher = pair("fasterrcnn", other="fcos")  # P2 to P6 to a reader of P3 to P7
        pairs = imitated_levels("n2n", student=student, teacher=teacher)
        assert [taught.name for _, taught in pairs] == ["p3", "p4", "p5"]
        pairs = imitated_levels("n2n", student=student, teacher=teacher, di=False)
        assert [taught.name for _, taught in pairs] == ["p3", "p4", "p5", "p6"]
        batch = batch_for(student)
        seen, taught = Pass(student, batch), Pass(teacher, batch)
        assert Dist2(student, teacher)(seen, taught, batch).losses["dist2_di/n2n"].isfinite()

    def test_missing_fine_levels_are_refused_with_di(self, pair):
        student, teacher = pair("fcos", other="fasterrcnn")
        with pytest.raises(ValueError, match=r"b2b sends .* \[8, 16, 32\] .* \[4, 8, 16, 32\]"):
            Dist2(student, teacher, ["b2b"])
        pairs = imitated_levels("b2b", student=student, teacher=teacher, di=False)
        assert [own.name for own, _ in pairs] == ["c3", "c4", "c5"]

    def test_refusals(self, pair, monkeypatch):
        student, teacher = pair("fcos")
        with pytest.raises(ValueError, match=r"unknown strategies \['x2y'\]; there are b2b, b2n"):
            Dist2(student, teacher, ["x2y"])
        with pytest.raises(ValueError, match="nothing to imitate"):
            Dist2(student, teacher, di=False, fi=False)
        with pytest.raises(ValueError, match="nothing to imitate"):
            Dist2(student, teacher, [])
        monkeypatch.setattr(teacher, "num_classes", 91)
        with pytest.raises(ValueError, match="knows 91 classes and the student 4"):
            Dist2(student, teacher)
        assert Dist2(student, teacher, di=False)
