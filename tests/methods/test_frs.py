"""FRS against the numbers of the release, against hand arithmetic, and in real detectors.

``reference/frs.npz`` holds inputs and outputs of the loss loop of the single-stage release.
"""

from itertools import pairwise
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import Pass
from kdviz.methods.frs import FRS, frs_class_loss, frs_feature_loss, richness


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "frs.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


def levels(reference, name):
    return [reference[f"{name}{level}"] for level in range(3)]


class TestAgainstTheRelease:
    def test_richness(self, reference):
        for logits, expected in zip(
            levels(reference, "teacher_logits"), levels(reference, "richness"), strict=True
        ):
            assert_close(richness(logits), expected, rtol=1e-9, atol=0)

    def test_losses(self, reference):
        weights = levels(reference, "richness")
        maps = [levels(reference, f"{side}_map") for side in ("student", "teacher")]
        logits = [levels(reference, f"{side}_logits") for side in ("student", "teacher")]
        feature = frs_feature_loss(student=maps[0], teacher=maps[1], richness=weights)
        classes = frs_class_loss(student=logits[0], teacher=logits[1], richness=weights)
        assert_close(feature, reference["feature_loss"], rtol=1e-9, atol=0)
        assert_close(classes, reference["class_loss"], rtol=1e-9, atol=0)
        for level, (feature, classes) in enumerate(reference["per_level"]):
            one = {"richness": weights[level : level + 1]}
            ours, theirs = (values[level : level + 1] for values in maps)
            loss = frs_feature_loss(student=ours, teacher=theirs, **one)
            assert_close(loss, feature, rtol=1e-9, atol=0)
            ours, theirs = (values[level : level + 1] for values in logits)
            loss = frs_class_loss(student=ours, teacher=theirs, **one)
            assert_close(loss, classes, rtol=1e-9, atol=0)


class TestByHand:
    """Examples small enough to do on paper."""

    def test_richness_is_the_best_score(self):
        logits = torch.tensor([-2.0, 0.0, 1.0]).view(1, 3, 1, 1)
        assert_close(richness(logits).item(), 0.7310586, rtol=1e-6, atol=0)

    def test_feature_loss(self):
        student, teacher = torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0])
        weights = torch.tensor([0.9, 0.1])
        loss = frs_feature_loss(
            student=[student.view(1, 1, 1, 2)],
            teacher=[teacher.view(1, 1, 1, 2)],
            richness=[weights.view(1, 1, 1, 2)],
        )
        assert_close(loss.item(), 1.3)

    @pytest.mark.parametrize(
        ("student", "expected"), [((0.8, 0.2), 0.361773), ((0.9, 0.1), 0.325083)]
    )
    def test_class_loss_has_the_teachers_entropy_as_floor(self, student, expected):
        teacher = torch.tensor([0.9, 0.1]).logit().view(1, 1, 1, 2)
        loss = frs_class_loss(
            student=[torch.tensor(student).logit().view(1, 1, 1, 2)],
            teacher=[teacher],
            richness=[richness(teacher)],
        )
        assert_close(loss.item(), expected, rtol=1e-5, atol=0)

    def test_undecided_student(self):
        teacher = torch.tensor([[2.0, -3.0, 0.0, -2.0], [-1.0, 0.5, 1.0, -2.0]]).T.view(1, 4, 1, 2)
        weights = richness(teacher)
        assert_close(weights.flatten(), torch.tensor([0.880797, 0.731059]), rtol=1e-5, atol=0)
        loss = frs_class_loss(
            student=[torch.zeros(1, 4, 1, 2)], teacher=[teacher], richness=[weights]
        )
        assert_close(loss.item(), 4 * log(2))

    def test_softmax_leaves_the_background_out(self):
        anchors = torch.tensor([[[8.0, 0.0, 1.0]], [[0.0, 2.0, 0.0]]])  # (A, 1, K)
        logits = anchors.reshape(1, 6, 1, 1)
        expected = anchors.softmax(dim=-1)[..., 1:].max()
        assert_close(richness(logits, "softmax", classes=3).squeeze(), expected)
        last = richness(logits, "softmax", classes=3, background=2).squeeze()
        assert_close(last, anchors.softmax(dim=-1)[..., :2].max())

    def test_warm_up(self, pair):
        weights = FRS(*pair("retinanet")).weights
        assert weights["frs_feature"].at(0, 1000) == 0
        assert_close(weights["frs_feature"].at(100, 1000), 0.2 * 0.005)
        assert weights["frs_class"].at(500, 1000) == 0.02


class TestProperties:
    def test_scale_of_the_richness_does_not_matter(self, reference):
        weights = levels(reference, "richness")
        pairs = {
            frs_feature_loss: (levels(reference, "student_map"), levels(reference, "teacher_map")),
            frs_class_loss: [levels(reference, f"{x}_logits") for x in ("student", "teacher")],
        }
        for loss, (student, teacher) in pairs.items():
            values = [
                loss(student=student, teacher=teacher, richness=[scale * w for w in weights])
                for scale in (1.0, 0.05, 30.0)
            ]
            assert all(abs(a / b - 1) < 1e-12 for a, b in pairwise(values))

    def test_naive_loops_agree(self, reference):
        weights = reference["richness2"]
        student, teacher = reference["student_logits2"], reference["teacher_logits2"]
        features = reference["student_map2"], reference["teacher_map2"]
        feature, classes, mass = 0.0, 0.0, 0.0
        for n, y, x in np.ndindex(2, 2, 3):
            weight = max(1 / (1 + np.exp(-float(z))) for z in teacher[n, :, y, x])
            mass += weight
            logits = (each[n, :, y, x].tolist() for each in (student, teacher))
            for z_s, z_t in zip(*logits, strict=True):
                p_s, p_t = 1 / (1 + np.exp(-z_s)), 1 / (1 + np.exp(-z_t))
                classes -= weight * (p_t * log(p_s) + (1 - p_t) * log(1 - p_s))
            for s, t in zip(*(each[n, :, y, x].tolist() for each in features), strict=True):
                feature += weight * (s - t) ** 2
        ours = frs_feature_loss(student=[features[0]], teacher=[features[1]], richness=[weights])
        assert_close(ours.item(), feature / mass)
        ours = frs_class_loss(student=[student], teacher=[teacher], richness=[weights])
        assert_close(ours.item(), classes / mass)

    def test_softmax_over_two_classes_is_a_sigmoid(self):
        generator = torch.Generator().manual_seed(2)
        student, teacher = torch.randn(2, 2, 3, 4, 4, generator=generator).double()
        two = [
            torch.stack([torch.zeros_like(z), z], dim=2).flatten(1, 2) for z in (student, teacher)
        ]
        weights = [richness(teacher)]
        assert_close(richness(two[1], "softmax", classes=2), weights[0])
        expected = frs_class_loss(student=[student], teacher=[teacher], richness=weights)
        found = frs_class_loss(
            student=[two[0]], teacher=[two[1]], richness=weights, score="softmax", classes=2
        )
        assert_close(found, expected)

    def test_gradients(self):
        generator = torch.Generator().manual_seed(4)
        student, teacher = torch.randn(2, 2, 6, 2, 3, generator=generator).double()
        student.requires_grad_()
        weights = [richness(teacher)]
        for score in ("sigmoid", "softmax"):
            torch.autograd.gradcheck(
                lambda s, score=score: frs_class_loss(
                    student=[s], teacher=[teacher], richness=weights, score=score, classes=3
                ),
                student,
            )
        torch.autograd.gradcheck(
            lambda s: frs_feature_loss(student=[s], teacher=[teacher], richness=weights), student
        )

    def test_richness_is_detached(self):
        logits = torch.randn(1, 6, 2, 2, requires_grad=True)
        assert not richness(logits).requires_grad
        assert not richness(logits, "softmax", classes=3).requires_grad

    def test_nothing_rich_is_an_attached_zero(self):
        student = torch.randn(1, 3, 2, 2, requires_grad=True)
        arguments = {
            "student": [student],
            "teacher": [torch.randn(1, 3, 2, 2)],
            "richness": [torch.zeros(1, 1, 2, 2)],
        }
        loss = frs_feature_loss(**arguments) + frs_class_loss(**arguments)
        loss.backward()
        assert loss == 0
        assert not student.grad.any()

    @pytest.mark.parametrize("extreme", [100.0, -100.0])
    def test_extreme_logits(self, extreme):
        teacher = torch.full((1, 4, 2, 2), extreme)
        student = (-teacher).requires_grad_()
        for score in ("sigmoid", "softmax"):
            weights = [richness(teacher, score, classes=4)]
            loss = frs_class_loss(
                student=[student], teacher=[teacher], richness=weights, score=score, classes=4
            )
            loss.backward()
            assert loss.isfinite()
        assert student.grad.isfinite().all()


class TestBadInput:
    def test_shapes(self):
        maps = torch.zeros(1, 2, 3, 3)
        with pytest.raises(ValueError, match=r"richness must have shape \(1, 1, 3, 3\)"):
            frs_feature_loss(student=[maps], teacher=[maps], richness=[maps])
        with pytest.raises(ValueError, match=r"must have the same shape"):
            frs_class_loss(student=[maps], teacher=[maps[:, :1]], richness=[maps[:, :1]])
        with pytest.raises(ValueError, match=r"5 channels, which 3 classes do not divide"):
            richness(torch.zeros(1, 5, 2, 2), "softmax", classes=3)

    def test_heads_that_cannot_be_compared(self, pair, batch_for):
        student, teacher = pair("fcos", "retinanet")
        with pytest.raises(ValueError, match=r"x \[1, 1, 1, 1, 1\] anchors .* x \[9, 9, 9, 9, 9\]"):
            FRS(student, teacher)
        method = FRS(student, teacher, class_loss=False)
        assert list(method.weights) == ["frs_feature"]
        batch = batch_for(student)
        losses = method(Pass(student, batch), Pass(teacher, batch), batch).losses
        assert list(losses) == [f"frs_feature/p{level}" for level in range(3, 8)]

    def test_no_shared_level(self, pair, monkeypatch):
        student, teacher = pair("fcos")
        coarse, fine = student.levels[2:], teacher.levels[:2]
        monkeypatch.setattr(student, "levels", coarse)
        monkeypatch.setattr(teacher, "levels", fine)
        with pytest.raises(ValueError, match=r"\[32, 64, 128\] and teacher strides \[8, 16\]"):
            FRS(student, teacher)

    def test_centerness_needs_fcos(self, pair):
        with pytest.raises(ValueError, match="needs an FCOS teacher, but this one is RetinaNet"):
            FRS(*pair("retinanet"), centerness=True)


class TestInDetectors:
    @pytest.mark.parametrize(
        ("family", "published"),
        [
            ("fcos", (0.01, 0.05)),
            ("retinanet", (0.005, 0.02)),
            ("fasterrcnn", (0.002, 0.1)),
            ("ssdlite", (0.005, 0.02)),
        ],
    )
    def test_contract(self, detectors, batch_for, family, published):
        student, teacher = detectors(family)
        method = FRS(student, teacher)
        found = method.weights["frs_feature"].value, method.weights["frs_class"].value
        assert found == published
        before = {name: values.clone() for name, values in teacher.model.state_dict().items()}
        batch = batch_for(student)
        seen = Pass(student, batch)
        result = method(seen, Pass(teacher, batch), batch)

        names = [level.name for level in student.levels]
        terms = [f"{term}/{name}" for term in ("frs_feature", "frs_class") for name in names]
        assert list(result.losses) == terms
        assert all(
            loss.isfinite() and loss.dtype == torch.float32 for loss in result.losses.values()
        )
        for level, features in zip(
            result.maps["richness"].levels, seen.features.levels, strict=True
        ):
            assert level.name == features.name
            assert level.map.shape == (2, 1, *features.map.shape[-2:])
            assert not level.map.requires_grad
            assert ((level.map > 0) & (level.map < 1)).all()

        torch.stack(list(result.losses.values())).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in method.parameters())
        assert any(p.grad is not None and p.grad.any() for p in student.model.parameters())
        assert all(p.grad is None for p in teacher.model.parameters())
        after = teacher.model.state_dict()
        assert all(torch.equal(values, after[name]) for name, values in before.items())

    def test_a_two_stage_teacher_draws_no_random_number(self, pair, batch_for):
        student, teacher = pair("fasterrcnn")
        method = FRS(student, teacher)
        batch = batch_for(student)
        seen = Pass(student, batch)
        _ = seen.output
        state = torch.random.get_rng_state()
        method(seen, Pass(teacher, batch), batch)
        assert torch.equal(state, torch.random.get_rng_state())

    def test_two_stage_richness_is_objectness(self, pair, batch_for):
        student, teacher = pair("fasterrcnn")
        batch = batch_for(student)
        taught = Pass(teacher, batch)
        weights = FRS(student, teacher).where(taught)
        objectness, _ = teacher.model.rpn.head(taught.features.maps)
        for level, logits in zip(weights.maps, objectness, strict=True):
            assert_close(level, logits.sigmoid().amax(dim=1, keepdim=True))

    def test_equal_features_cost_nothing(self, pair, batch_for):
        student, _ = pair("retinanet")
        method = FRS(student, student)
        for conv in method.adapter.convs.values():
            torch.nn.init.dirac_(conv.weight)
            torch.nn.init.zeros_(conv.bias)
        batch = batch_for(student)
        losses = method(Pass(student, batch), Pass(student, batch), batch).losses
        for name, loss in losses.items():
            if name.startswith("frs_feature"):
                assert loss < 1e-10

    def test_the_adapter_learns(self, pair, batch_for):
        torch.manual_seed(0)
        student, teacher = pair("retinanet")
        method = FRS(student, teacher, class_loss=False)
        optimizer = torch.optim.Adam(method.parameters(), lr=0.01)
        batch = batch_for(student)
        seen, taught = Pass(student, batch), Pass(teacher, batch)
        seen.features = seen.features.apply(torch.Tensor.detach)
        losses = []
        for _ in range(15):
            loss = torch.stack(list(method(seen, taught, batch).losses.values())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.8 * losses[0]

    def test_no_boxes(self, pair, batch_for):
        student, teacher = pair("fcos")
        batch = batch_for(student, boxes=0)
        losses = FRS(student, teacher)(Pass(student, batch), Pass(teacher, batch), batch).losses
        assert all(loss.isfinite() for loss in losses.values())

    def test_centerness_lowers_the_richness(self, pair, batch_for):
        student, teacher = pair("fcos")
        batch = batch_for(student)
        taught = Pass(teacher, batch)
        plain = FRS(student, teacher).where(taught)
        method = FRS(student, teacher, centerness=True)
        logits = taught.output.extras["bbox_ctrness"].split(taught.output.slots, dim=1)
        weights = method.where(taught)
        for level, before, centre in zip(weights.maps, plain.maps, logits, strict=True):
            assert_close(level.flatten(1), before.flatten(1) * centre[..., 0].sigmoid())
        shown = method(Pass(student, batch), taught, batch).maps["richness"]
        assert all(torch.equal(a, b) for a, b in zip(shown.maps, weights.maps, strict=True))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_under_autocast(self, pair, batch_for, dtype):
        student, teacher = pair("retinanet")
        method = FRS(student, teacher)
        batch = batch_for(student)
        exact = method(Pass(student, batch), Pass(teacher, batch), batch).losses
        with torch.autocast("cpu", dtype=dtype):
            half = method(Pass(student, batch), Pass(teacher, batch), batch).losses
        for name, loss in half.items():
            assert loss.dtype == torch.float32
            assert_close(loss, exact[name], rtol=1e-2, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maps_do_not_overflow(dtype):
    generator = torch.Generator().manual_seed(0)
    student, teacher = 4 * torch.randn(2, 1, 256, 50, 76, generator=generator)
    arguments = {"student": [student], "teacher": [teacher], "richness": [richness(teacher)]}
    half = {name: [values.to(dtype) for values in given] for name, given in arguments.items()}
    half["richness"] = [richness(teacher.to(dtype))]
    for loss in (frs_feature_loss, frs_class_loss):
        found = loss(**half)
        assert found.dtype == torch.float32
        assert_close(found, loss(**arguments), rtol=1e-2, atol=0)
