"""GKD against the numbers of the release, against hand arithmetic, and in real detectors.

``reference/gkd.npz`` holds inputs and outputs of the release's prototype selection, reliability,
global, feature and soft-label losses. Maps too large for the file are drawn from the seeds that the
reference run drew them from.
"""

from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close
from torchvision.ops import box_iou

from kdviz.detectors import Pass, RetinaNetParts
from kdviz.detectors.assignment import matched_boxes
from kdviz.methods import gkd_positives
from kdviz.methods.gkd import (
    GKD,
    cell_owners,
    decoupled_loss,
    global_loss,
    level_owners,
    projection,
    reliability,
    select_prototypes,
    soft_label_loss,
)
from kdviz.methods.gkd_bank import PrototypeBank, collect_instances
from kdviz.methods.gkd_positives import box_instances, positives
from kdviz.methods.gkd_prototypes import box_means, densities
from kdviz.structures import Level, Pyramid

FAMILIES = ("fcos", "retinanet", "fasterrcnn", "ssdlite")


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "gkd.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


def drawn(seed, *shapes):
    stream = np.random.RandomState(seed)  # the generator of that run
    return [torch.tensor(stream.randn(*shape)) for shape in shapes]


def scene(parts, boxes=3):
    """Two images of 64 x 96 pixels, the first without a box; the last box of the other is small."""
    generator = torch.Generator().manual_seed(5)
    images = [torch.rand(3, 64, 96, generator=generator) for _ in range(2)]
    corners = torch.tensor([[8.0, 8, 40, 40], [50, 10, 90, 60], [20, 44, 32, 56]])[:boxes]
    labels = torch.tensor([1, 3, 3])[:boxes]
    full = {"boxes": corners, "labels": labels, "image_id": torch.tensor(11)}
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "image_id": torch.tensor(12),
    }
    return parts.preprocess(images, [empty, full])


def passes(student, teacher, batch):
    yield Pass(student, batch), Pass(teacher, batch), batch


def ready(student, teacher, batch, **options):
    """A method with prototypes from this batch."""
    method = GKD(student, teacher, **options)
    method.refresh(passes(student, teacher, batch))
    return method


def decided(seen):
    """Class logits forty times as far apart: those of an untrained head are all but equal."""
    seen.output = replace(seen.output, logits=40 * seen.output.logits)
    return seen


def class_features(count, seed=0, channels=(6, 5)):
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    mixes = [torch.randn(4, c, generator=generator, dtype=torch.float64) for c in channels]
    return [
        1 + shared @ mix + 0.2 * torch.randn(count, mix.shape[1], generator=generator).double()
        for mix in mixes
    ]


def residual_errors(student, teacher, alpha):
    """What each atom leaves at the first step, by the objective itself."""
    a, b = (F.normalize(values, dim=1) for values in (student, teacher))
    errors = []
    for g in range(len(a)):
        total = 0.0
        for row_a, row_b in zip(a, b, strict=True):
            i, j = a[g] @ row_a, b[g] @ row_b
            u = (alpha * (i + j) + i) / (1 + 2 * alpha)
            v = (alpha * (i + j) + j) / (1 + 2 * alpha)
            error = (row_a - u * a[g]).square().sum() + (row_b - v * b[g]).square().sum()
            total += error + alpha * (u - v) ** 2
        errors.append(float(total))
    return errors


def naive_pursuit(student, teacher, count, alpha):
    """The greedy choice with explicit residuals, one atom at a time; returns errors too."""
    a, b = (F.normalize(values, dim=1) for values in (student, teacher))
    dense = torch.ones(len(a), dtype=torch.bool)
    for unit in (a, b):
        density = torch.stack([(-(((1 - unit @ x) / 0.1) ** 2)).exp().sum() for x in unit])
        dense &= density > sorted(density.tolist())[int(0.4 * len(a))]
    rest_a, rest_b = a.clone(), b.clone()
    taken, errors = [], []
    for _ in range(count):
        best = (torch.inf,)
        for g in dense.nonzero().flatten().tolist():
            i, j = rest_a @ a[g], rest_b @ b[g]
            u = (alpha * (i + j) + i) / (1 + 2 * alpha)
            v = (alpha * (i + j) + j) / (1 + 2 * alpha)
            left_a, left_b = rest_a - u[:, None] * a[g], rest_b - v[:, None] * b[g]
            error = float(
                left_a.square().sum() + left_b.square().sum() + alpha * (u - v).square().sum()
            )
            best = min(best, (error, g, left_a, left_b), key=lambda found: found[0])
        errors.append(best[0])
        taken.append(best[1])
        rest_a, rest_b = best[2:]
    return taken, errors


class TestAgainstTheRelease:
    @pytest.mark.parametrize("alpha", [10, 1, 0])
    def test_selection(self, reference, alpha):
        student, teacher = (reference[f"instances_{x}"] for x in ("student", "teacher"))
        chosen = select_prototypes(student, teacher, 5, alpha=alpha)
        assert chosen.tolist() == reference[f"selected_alpha{alpha}"].tolist()
        half = select_prototypes(student.float(), teacher.float(), 5, alpha=alpha)
        assert torch.equal(half, chosen)

    def test_densities_and_candidates(self, reference):
        for side in ("student", "teacher"):
            unit = F.normalize(reference[f"instances_{side}"], dim=1)
            expected = reference[f"density_{side}"]
            assert_close(densities(unit @ unit.T), expected, rtol=1e-9, atol=0)
        every = select_prototypes(
            reference["instances_student"], reference["instances_teacher"], 40, unique=True
        )
        assert sorted(every.tolist()) == reference["candidates"].tolist()

    def test_reliability_and_global_loss(self, reference):
        maps = drawn(2211, (2, 6, 16, 20), (2, 6, 16, 20))
        boxes = [reference["boxes0"], reference["boxes1"]]
        codes = [
            projection(box_means(values, boxes, 8), reference[f"prototypes_{side}"])
            for values, side in zip(maps, ("student", "teacher"), strict=True)
        ]
        found = reliability(
            student_codes=codes[0],
            teacher_codes=codes[1],
            labels=reference["labels"],
            prototype_labels=reference["prototype_labels"],
        )
        assert_close(found, reference["reliability"], rtol=1e-9, atol=0)
        loss = global_loss(student_codes=codes[0], teacher_codes=codes[1], reliability=found)
        assert_close(5 * loss, reference["global_loss"], rtol=1e-9, atol=0)

    def test_weights_of_a_level(self, reference):
        trust = reference["reliability"]
        images = [(reference["boxes0"], trust[:2]), (reference["boxes1"], trust[2:])]
        for (boxes, own), expected in zip(images, reference["weights0"][:, 0], strict=True):
            owner = cell_owners((64, 80), boxes, own, 4)
            assert_close(F.pad(own, (0, 1))[owner], expected, rtol=1e-9, atol=0)

    def test_feature_and_soft_losses(self, reference):
        student1, teacher1, student0, teacher0, *logits = drawn(
            2212, *[(2, 6, 32, 40)] * 2, *[(2, 6, 64, 80)] * 2, (3, 4), (3, 4)
        )
        levels = [
            (student0, teacher0, reference["weights0"]),
            (student1, teacher1, torch.zeros(2, 1, 32, 40)),
        ]
        for (student, teacher, weights), expected in zip(
            levels, reference["point_losses"], strict=True
        ):
            found = decoupled_loss(student=student, teacher=teacher, weights=weights)
            weighted = torch.stack(found) * torch.tensor([1.0, 4.0])
            assert_close(weighted, expected, rtol=1e-9, atol=0)
        loss = soft_label_loss(
            student=logits[0], teacher=logits[1], reliability=reference["soft_weights"]
        )
        assert_close(loss, reference["soft_loss"], rtol=1e-9, atol=0)


class TestByHand:
    """Examples small enough to do on paper."""

    @pytest.mark.parametrize(
        ("alpha", "expected"), [(10, 1.2761905), (0, 1.2), (1, 1.2533333), (100, 1.279602)]
    )
    def test_error_of_one_atom(self, alpha, expected):
        """An instance at cosine .8 from the atom in one space and .4 in the other."""
        student = torch.tensor([[1.0, 0.0], [0.8, 0.6]], dtype=torch.float64)
        teacher = torch.tensor([[1.0, 0.0], [0.4, 0.84**0.5]], dtype=torch.float64)
        error = residual_errors(student, teacher, alpha)[0]  # the atom itself is left with nothing
        assert_close(error, expected, rtol=1e-6, atol=0)
        gain = (alpha * 1.2**2 + 0.8**2 + 0.4**2) / (1 + 2 * alpha)
        assert_close(2 - gain, expected, rtol=1e-6, atol=0)

    @pytest.mark.parametrize("alpha", [0.0, 1.0, 10.0])
    def test_first_choice(self, alpha):
        points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=torch.float64)
        assert_close(residual_errors(points, points, alpha), [3.28, 2.72, 2.0])
        assert select_prototypes(points, points, 1, alpha=alpha, quantile=0.0).tolist() == [2]

    def test_reliability_and_global_loss(self):
        axes = torch.eye(2, dtype=torch.float64)
        student, teacher = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]], dtype=torch.float64)
        codes = projection(student, axes), projection(teacher, axes)
        found = reliability(
            student_codes=codes[0],
            teacher_codes=codes[1],
            labels=torch.tensor([4]),
            prototype_labels=torch.tensor([4, 4]),
        )
        assert_close(found.item(), 0.5**0.5)
        loss = global_loss(student_codes=codes[0], teacher_codes=codes[1], reliability=found)
        assert_close(loss.item(), 0.0732233, rtol=1e-6, atol=0)

    def test_foreground_and_background(self):
        student = torch.tensor([2.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 4)
        weights = torch.tensor([0.5, 0.5, 0.0, 0.0]).view(1, 1, 1, 4)
        found = decoupled_loss(student=student, teacher=torch.zeros(1, 1, 1, 4), weights=weights)
        assert [loss.item() for loss in found] == [1.0, 2.5]

    def test_attenuation(self, pair):
        weights = GKD(*pair("retinanet")).weights
        assert weights["gkd_global"].at(6, 24) == 0.75 * 5
        assert weights["gkd_foreground"].at(6, 24) == 0.75
        assert weights["gkd_background"].at(6, 24) == 0.75 * 4
        assert weights["gkd_soft"].at(6, 24) == 1

    def test_ends_of_a_box_are_pooled(self):
        cells = torch.arange(16.0).view(1, 1, 4, 4)
        boxes = torch.tensor(
            [[8.0, 0.0, 16.0, 8.0], [9.0, 9.0, 10.0, 10.0], [0.0, 0.0, 99.0, 99.0]]
        )
        means = box_means(cells, [boxes], 8)
        assert means.flatten().tolist() == [(1 + 2 + 5 + 6) / 4, 5.0, 7.5]


class TestSelection:
    @pytest.mark.parametrize("alpha", [0.0, 0.5, 10.0])
    def test_naive_pursuit_agrees_and_improves(self, alpha):
        for seed in range(3):
            student, teacher = class_features(30, seed)
            expected, errors = naive_pursuit(student, teacher, 6, alpha)
            assert select_prototypes(student, teacher, 6, alpha=alpha).tolist() == expected
            if alpha == 0:
                assert all(b <= a + 1e-9 for a, b in pairwise(errors))

    def test_length_of_a_feature_does_not_matter(self):
        student, teacher = class_features(30)
        scale = 0.1 + torch.rand(30, 1, generator=torch.Generator().manual_seed(1)).double()
        expected = select_prototypes(student, teacher, 5)
        assert torch.equal(select_prototypes(scale * student, teacher / scale, 5), expected)

    def test_planted_groups_are_found(self):
        generator = torch.Generator().manual_seed(3)
        groups = torch.eye(6)[torch.arange(60) % 3]
        student = groups[:, :4] + 0.02 * torch.randn(60, 4, generator=generator)
        teacher = groups + 0.02 * torch.randn(60, 6, generator=generator)
        student[:5] = torch.randn(5, 4, generator=generator)  # noise in one space is enough
        chosen = select_prototypes(student, teacher, 3, quantile=0.1)
        assert sorted((chosen % 3).tolist()) == [0, 1, 2]
        assert (chosen >= 5).all()

    def test_unique(self):
        student, teacher = class_features(30)
        repeated = select_prototypes(student, teacher, 12)
        once = select_prototypes(student, teacher, 12, unique=True)
        assert len(repeated) == 12
        assert len(set(repeated.tolist())) < 12
        assert len(set(once.tolist())) == len(once)
        first = next(n for n in range(12) if repeated[n] in repeated[:n])
        assert torch.equal(once[:first], repeated[:first])

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_few_instances(self, count):
        """So few that none is dense in both spaces: then all compete."""
        student, teacher = class_features(count)
        assert len(select_prototypes(student, teacher, 4)) == 4
        once = select_prototypes(student, teacher, 4, unique=True)
        assert 1 <= len(once) <= count

    def test_equal_instances_and_empty_ones(self):
        same = torch.ones(5, 3)
        assert len(select_prototypes(same, same, 2)) == 2
        nothing = torch.zeros(5, 3)
        assert len(select_prototypes(nothing, nothing, 2)) == 2

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_features(self, dtype):
        student, teacher = (100 * values for values in class_features(40))
        halves = [values.to(dtype) for values in (student, teacher)]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            chosen = select_prototypes(*halves, 5)
        assert torch.equal(chosen, select_prototypes(*(x.float() for x in halves), 5))

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_gpu_agrees(self):
        student, teacher = class_features(200)
        chosen = select_prototypes(student.cuda(), teacher.cuda(), 10)
        assert chosen.tolist() == select_prototypes(student, teacher, 10).tolist()

    @pytest.mark.parametrize(
        "wrong", [{"count": 0}, {"alpha": -1.0}, {"sigma": 0.0}, {"quantile": 1.0}]
    )
    def test_bad_arguments(self, wrong):
        with pytest.raises(ValueError, match=r"needs count >= 1, alpha >= 0"):
            select_prototypes(torch.ones(3, 2), torch.ones(3, 2), **({"count": 2} | wrong))

    def test_nothing_to_choose_from(self):
        with pytest.raises(ValueError, match="there is no instance"):
            select_prototypes(torch.ones(0, 2), torch.ones(0, 2), 1)
        with pytest.raises(ValueError, match=r"teacher must have shape \(3, C\)"):
            select_prototypes(torch.ones(3, 2), torch.ones(4, 2), 1)


class TestProperties:
    def test_box_means_naive(self):
        generator = torch.Generator().manual_seed(6)
        features = torch.randn(2, 3, 9, 7, generator=generator).double()
        corners = torch.rand(2, 4, 2, generator=generator) * 60 - 10  # some begin outside
        boxes = torch.cat([corners, corners + torch.rand(2, 4, 2, generator=generator) * 50], -1)
        means = box_means(features, list(boxes), 8)
        for n, g in product(range(2), range(4)):
            x1, y1, x2, y2 = (int(x / 8) for x in boxes[n, g].tolist())
            x1, y1 = min(max(x1, 0), 6), min(max(y1, 0), 8)
            x2, y2 = max(min(x2, 6), x1), max(min(y2, 8), y1)
            expected = features[n, :, y1 : y2 + 1, x1 : x2 + 1].mean(dim=(1, 2))
            assert_close(means[4 * n + g], expected)

    def test_cell_owners_naive(self):
        generator = torch.Generator().manual_seed(7)
        for _ in range(20):
            corners = torch.rand(6, 2, generator=generator) * 40
            sides = torch.rand(6, 2, generator=generator) * 24
            boxes = torch.cat([corners, corners + sides], dim=1)
            trust = torch.rand(6, generator=generator)
            owner = torch.full((6, 6), -1)
            painted = torch.zeros(6, 6)
            for g, box in enumerate(boxes.tolist()):
                x1, y1, x2, y2 = (int(x / 8) for x in box)
                if x1 < x2 and y1 < y2:
                    owner[y1:y2, x1:x2] = g
                    painted[y1:y2, x1:x2] = trust[g]
                elif trust[g] > painted[y1, x1]:
                    owner[y1, x1] = g
                    painted[y1, x1] = trust[g]
            assert torch.equal(cell_owners((6, 6), boxes, trust, 8), owner)

    def test_each_box_speaks_on_one_level(self):
        sides = [400.0, 200.0, 500.0, 30.0]
        boxes = [torch.tensor([[8.0, 8.0, 8 + side, 8 + side]]) for side in sides]
        features = Pyramid(
            tuple(Level(f"p{n}", 2**n, torch.zeros(2, 1, 512 >> n, 512 >> n)) for n in (3, 4, 5))
        )
        owners = level_owners(
            features, [torch.cat(boxes[:2]), torch.cat(boxes[2:])], torch.ones(3, 4)
        )
        found = [[set(image.unique().tolist()) for image in level] for level in owners]
        assert found == [[{-1, 1}, {-1, 3}], [{-1, 0}, {-1}], [{-1}, {-1, 2}]]

    def test_reliability_of_equal_codes_and_of_strange_classes(self):
        codes = torch.rand(3, 4)
        given = {"labels": torch.tensor([1, 2, 9]), "prototype_labels": torch.tensor([1, 1, 2, 2])}
        same = reliability(student_codes=codes, teacher_codes=codes, **given)
        assert torch.equal(same, torch.ones(3))
        other = reliability(student_codes=codes, teacher_codes=1 - codes, **given)
        assert other[2] == 1  # no prototype of class 9
        assert (other[:2] < 1).all()
        none = torch.zeros(3, 0)
        found = reliability(
            student_codes=none,
            teacher_codes=none,
            labels=given["labels"],
            prototype_labels=torch.zeros(0, dtype=torch.int64),
        )
        assert torch.equal(found, torch.ones(3))

    def test_reliability_is_within_its_range(self):
        generator = torch.Generator().manual_seed(8)
        axes = torch.randn(5, 4, generator=generator)
        student, teacher = torch.randn(2, 200, 4, generator=generator)
        codes = projection(student, axes), projection(teacher, axes)
        assert codes[0].abs().max() <= 1 + 1e-6
        found = reliability(
            student_codes=codes[0],
            teacher_codes=codes[1],
            labels=torch.arange(200) % 3,
            prototype_labels=torch.tensor([0, 0, 1, 1, 2]),
        )
        assert found.min() < 0 < found.max() <= 1
        assert found.min() >= -1

    def test_gradients(self):
        generator = torch.Generator().manual_seed(9)
        maps = torch.randn(2, 3, 4, 5, generator=generator).double().requires_grad_()
        boxes = [torch.tensor([[0.0, 0, 20, 20], [9, 9, 39, 30]]), torch.tensor([[8.0, 0, 9, 31]])]
        axes = torch.randn(4, 3, generator=generator).double()
        codes = torch.rand(3, 4, generator=generator).double()
        trust = torch.rand(3, generator=generator).double()
        weights = (torch.rand(2, 1, 4, 5, generator=generator) - 0.5).clamp(min=0).double()
        target = torch.randn(2, 3, 4, 5, generator=generator).double()
        torch.autograd.gradcheck(
            lambda x: global_loss(
                student_codes=projection(box_means(x, boxes, 8), axes),
                teacher_codes=codes,
                reliability=trust,
            ),
            maps,
        )
        torch.autograd.gradcheck(
            lambda x: decoupled_loss(student=x, teacher=target, weights=weights), maps
        )
        torch.autograd.gradcheck(
            lambda x: soft_label_loss(student=x, teacher=codes, reliability=trust),
            torch.randn(3, 4, generator=generator).double().requires_grad_(),
        )

    def test_nothing_there_is_an_attached_zero(self):
        maps = torch.randn(1, 3, 4, 4, requires_grad=True)
        codes = projection(box_means(maps, [torch.zeros(0, 4)], 8), torch.randn(2, 3))
        trust = torch.zeros(0)
        losses = [
            global_loss(student_codes=codes, teacher_codes=codes.detach(), reliability=trust),
            soft_label_loss(student=codes, teacher=codes.detach(), reliability=trust),
            decoupled_loss(student=maps, teacher=maps + 1, weights=torch.zeros(1, 1, 4, 4))[0],
        ]
        torch.stack(losses).sum().backward()
        assert all(loss == 0 for loss in losses)
        assert maps.grad.isfinite().all()

    def test_an_empty_feature_has_a_finite_gradient(self):
        features = torch.zeros(1, 3, requires_grad=True)
        projection(features, torch.ones(2, 3)).sum().backward()
        assert features.grad.abs().max() < 1e5

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_does_not_overflow(self, dtype):
        generator = torch.Generator().manual_seed(0)
        student, teacher = 4 * torch.randn(2, 1, 256, 50, 76, generator=generator)
        weights = torch.rand(1, 1, 50, 76, generator=generator)
        exact = decoupled_loss(student=student, teacher=teacher, weights=weights)
        half = decoupled_loss(student=student.to(dtype), teacher=teacher.to(dtype), weights=weights)
        boxes = [torch.tensor([[0.0, 0.0, 600.0, 390.0], [80.0, 40.0, 100.0, 60.0]])]
        axes = torch.randn(5, 256, generator=generator)
        codes = projection(box_means(student + 1, boxes, 8), axes)
        with torch.autocast("cpu", dtype=dtype):
            found = projection(box_means((student + 1).to(dtype), boxes, 8), axes)
        rounded = box_means((student + 1).to(dtype).float(), boxes, 8)
        assert_close(found, projection(rounded, axes), rtol=0, atol=1e-6)
        assert all(x.dtype == torch.float32 for x in (*half, found))
        assert_close(half, exact, rtol=1e-2, atol=0)
        assert_close(found, codes, rtol=0, atol=1e-2)


class TestInDetectors:
    @pytest.mark.parametrize(
        ("family", "instances"),
        [*((family, "boxes") for family in FAMILIES), ("fasterrcnn", "proposals")],
    )
    def test_contract(self, detectors, family, instances):
        student, teacher = detectors(family)
        batch = scene(student)
        before = {name: values.clone() for name, values in teacher.model.state_dict().items()}
        method = ready(student, teacher, batch, instances=instances)
        seen = Pass(student, batch)
        result = method(seen, Pass(teacher, batch), batch)

        names = [level.name for level in student.levels]
        by_level = ("gkd_global", "gkd_foreground", "gkd_background")
        expected = {f"{term}/{name}" for term in by_level for name in names} | {"gkd_soft"}
        assert set(result.losses) == expected
        assert {key.split("/")[0] for key in result.losses} == set(method.weights)
        for loss in result.losses.values():
            assert loss.isfinite()
            assert loss.dtype == torch.float32
            assert loss.requires_grad
        for level, features in zip(
            result.maps["reliability"].levels, seen.features.levels, strict=True
        ):
            assert level.name == features.name
            assert level.map.shape == (2, 1, *features.map.shape[-2:])
            assert not level.map.requires_grad
            assert ((level.map >= 0) & (level.map <= 1)).all()
            assert not level.map[0].any()  # the first image has no box
        assert any(level.map[1].any() for level in result.maps["reliability"].levels)

        torch.stack(list(result.losses.values())).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in method.parameters())
        assert any(p.grad is not None and p.grad.any() for p in student.model.parameters())
        assert all(p.grad is None for p in teacher.model.parameters())
        after = teacher.model.state_dict()
        assert all(torch.equal(values, after[name]) for name, values in before.items())

    @pytest.mark.parametrize("family", ["fcos", "fasterrcnn"])
    def test_a_student_equal_to_its_teacher_has_nothing_to_learn(self, pair, family):
        _, teacher = pair(family)
        batch = scene(teacher)
        method = ready(teacher, teacher, batch)
        for conv in method.adapter.convs.values():
            torch.nn.init.dirac_(conv.weight)
            torch.nn.init.zeros_(conv.bias)
        seen = Pass(teacher, batch)
        result = method(seen, seen, batch)
        for loss in result.losses.values():
            assert abs(loss) < 1e-6
        weights = torch.cat([values.flatten() for values in result.maps["reliability"].maps])
        assert set(weights.tolist()) == {0.0, 1.0}

    def test_the_map_weighs_the_loss(self, pair):
        student, teacher = pair("retinanet")
        batch = scene(student)
        method = ready(student, teacher, batch)
        seen, taught = Pass(student, batch), Pass(teacher, batch)
        result = method(seen, taught, batch)
        for level in method.adapter(seen.features).levels:
            foreground, background = decoupled_loss(
                student=level.map,
                teacher=taught.features.at(level.stride).map,
                weights=result.maps["reliability"].at(level.stride).map,
            )
            # The release takes the mean over the five levels.
            assert foreground / 5 == result.losses[f"gkd_foreground/{level.name}"]
            assert background / 5 == result.losses[f"gkd_background/{level.name}"]

    @pytest.mark.parametrize("family", FAMILIES)
    def test_no_boxes(self, detectors, family):
        student, teacher = detectors(family)
        method = ready(student, teacher, scene(student))
        batch = scene(student, boxes=0)
        result = method(Pass(student, batch), Pass(teacher, batch), batch)
        torch.stack(list(result.losses.values())).sum().backward()
        assert all(loss.isfinite() and loss.requires_grad for loss in result.losses.values())
        assert result.losses["gkd_soft"] == 0
        assert all(result.losses[f"gkd_global/{x.name}"] == 0 for x in student.levels)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_two_images_are_as_good_as_each_alone(self, detectors, family):
        student, teacher = detectors(family)
        student.model.eval()
        generator = torch.Generator().manual_seed(5)
        images = [torch.rand(3, 64, 96, generator=generator) for _ in range(2)]
        boxes = torch.tensor([[8.0, 8, 40, 40], [50, 10, 90, 60], [20, 4, 60, 62]])
        targets = [
            {"boxes": boxes[rows], "labels": torch.tensor([1, 3, 2])[rows]}
            for rows in (slice(0, 1), slice(1, 3))
        ]
        both = student.preprocess(images, targets)
        method = ready(student, teacher, both)
        # The prototypes of another student: else all reliabilities would be 1 or nearly so.
        for bank in method.banks.values():
            bank.student += bank.student.std() * torch.randn(bank.student.shape)
        found, counts = [], []
        for n in (slice(0, 2), slice(0, 1), slice(1, 2)):
            batch = student.preprocess(images[n], targets[n])
            seen, taught = Pass(student, batch), Pass(teacher, batch)
            if family == "fasterrcnn":  # the same proposals each time, and not a random sample
                near = torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 0], [-2, 1, 4, 2]])
                given = [(x["boxes"] + near[:, None]).flatten(0, 1) for x in batch.targets]
                seen.output = student.head(seen.features, batch, proposals=given)
            seen, taught = decided(seen), decided(taught)
            result = method(seen, taught, batch)
            strides = method.adapter.strides
            owners = [torch.full((len(batch.images), 1, 1), -1)] * len(strides)
            instances = box_instances(seen)
            counts.append(len(positives(seen, taught, instances, owners, strides).level))
            found.append(result)
        joint, *alone = found
        for level, *parts in zip(*(x.maps["reliability"].maps for x in found), strict=True):
            assert_close(level, torch.cat(parts), rtol=1e-4, atol=1e-5)
        soft = [count * x.losses["gkd_soft"] for count, x in zip(counts, found, strict=True)]
        assert counts[1] > 0
        assert_close(soft[0], soft[1] + soft[2], rtol=1e-3, atol=1e-7)
        for level in student.levels:
            key = f"gkd_global/{level.name}"
            expected = (alone[0].losses[key] + 2 * alone[1].losses[key]) / 3
            assert_close(joint.losses[key], expected, rtol=1e-3, atol=1e-7)

    def test_soft_labels_by_hand(self, pair):
        """Each positive slot weighs as its box is reliable on the level of the slot."""
        student, teacher = pair("retinanet")
        batch = scene(student)
        batch.targets[1]["boxes"][1] = torch.tensor([2.0, 2.0, 92.0, 62.0])  # anchors of P4
        method = ready(student, teacher, batch)
        for bank in method.banks.values():
            bank.student += bank.student.std() * torch.randn(bank.student.shape)
        seen, taught = decided(Pass(student, batch)), decided(Pass(teacher, batch))
        boxes = [x["boxes"] for x in batch.targets]
        labels = batch.targets[1]["labels"]
        matched = matched_boxes(student, seen.output, boxes)[1].split(seen.output.slots)
        logits = [x.output.logits[1].split(seen.output.slots) for x in (seen, taught)]
        rows = []
        for i, (level, bank) in enumerate(zip(student.levels, method.banks.values(), strict=True)):
            for slot in (matched[i] >= 0).nonzero().flatten().tolist():
                box, best = int(matched[i][slot]), []
                for x, axes in ((seen, bank.student), (taught, bank.teacher)):
                    mean = box_means(x.features.at(level.stride).map, boxes, level.stride)[box]
                    own = axes[bank.labels == labels[box]]
                    best.append(float(F.cosine_similarity(mean[None], own).max().detach()))
                soft = [(z[i][slot].detach() / 2).log_softmax(dim=0) for z in logits]
                divergence = 4 * (soft[1].exp() * (soft[1] - soft[0])).mean()
                rows.append(max(0, 1 - abs(best[0] - best[1])) * divergence)
        assert (matched[0] >= 0).any()
        assert (matched[1] >= 0).any()
        loss = method(seen, taught, batch).losses["gkd_soft"]
        assert_close(loss, torch.stack(rows).mean(), rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("family", ["fcos", "retinanet", "ssdlite"])
    def test_slots_of_no_instance_change_nothing(self, detectors, family, monkeypatch):
        """On a GPU they stay, so that nobody has to count the others."""
        student, teacher = detectors(family)
        batch = scene(student)
        told = []
        for keep in (lambda every: every, gkd_positives.only_positives):
            monkeypatch.setattr(gkd_positives, "only_positives", keep)
            seen, taught = Pass(student, batch), Pass(teacher, batch)
            for seed, x in enumerate((seen, taught)):  # those of an untrained SSD can all be 0
                generator = torch.Generator().manual_seed(seed)
                maps = [torch.randn(m.shape, generator=generator) for m in x.features.maps]
                x.features = x.features.with_maps(maps)
                logits = torch.randn(x.output.logits.shape, generator=generator)
                x.output = replace(x.output, logits=logits.requires_grad_(x is seen))
            method = GKD(student, teacher)
            method.refresh([(seen, taught, batch)])
            loss = method(seen, taught, batch).losses["gkd_soft"]
            told.append((loss, *torch.autograd.grad(loss, seen.output.logits)))
        assert told[0][0] > 0
        assert_close(told[0], told[1], rtol=1e-4, atol=1e-8)

    def test_switches(self, pair):
        student, teacher = pair("retinanet")
        batch = scene(student)
        shipped = ready(student, teacher, batch, global_term=False)
        losses = shipped(Pass(student, batch), Pass(teacher, batch), batch).losses
        assert {key.split("/")[0] for key in losses} == set(shipped.weights)
        assert "gkd_global" not in shipped.weights
        plain = ready(student, teacher, batch, soft_labels=False)
        losses = plain(Pass(student, batch), Pass(teacher, batch), batch).losses
        assert "gkd_soft" not in losses
        assert "gkd_soft" not in plain.weights

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_under_autocast(self, pair, dtype):
        student, teacher = pair("retinanet")
        batch = scene(student)
        method = ready(student, teacher, batch)
        exact = method(Pass(student, batch), Pass(teacher, batch), batch).losses
        with torch.autocast("cpu", dtype=dtype):
            half = method(Pass(student, batch), Pass(teacher, batch), batch).losses
        assert all(loss.dtype == torch.float32 for loss in half.values())
        # Codes are differences of cosines that the network's own rounding moves; in sum it is less.
        total = [
            sum(method.weights[key.split("/")[0]].value * loss for key, loss in losses.items())
            for losses in (half, exact)
        ]
        assert_close(total[0], total[1], rtol=1e-2, atol=0)
        for name, loss in half.items():
            assert_close(loss, exact[name], rtol=1e-2, atol=1e-2)


class TestPositives:
    def found(self, student, teacher=None):
        batch = scene(student)
        seen = Pass(student, batch)
        taught = seen if teacher is None else Pass(teacher, batch)
        instances = box_instances(seen)
        strides = seen.features.strides
        owners = [torch.full((2, *values.shape[-2:]), -1) for values in seen.features.maps]
        owners[1][1, 2, 3] = 0
        owners[2][1, 0, 0] = 2
        return seen, positives(seen, taught, instances, owners, strides)

    def test_owned_cells_of_a_detector_of_the_users_own(self, pair, monkeypatch):
        student, _ = pair("fcos")
        monkeypatch.setattr("kdviz.methods.gkd_positives.FCOSParts", RetinaNetParts)  # a stranger
        seen, found = self.found(student)
        assert found.level.tolist() == [1, 2]
        assert found.instance.tolist() == [0, 2]
        width = seen.features.maps[1].shape[-1]
        slot = seen.output.slots[0] + 2 * width + 3
        assert torch.equal(found.student[0], seen.output.logits[1, slot])

    @pytest.mark.parametrize("family", ["fcos", "retinanet", "ssdlite"])
    def test_slots_that_the_students_own_loss_trains(self, detectors, family):
        student, _ = detectors(family)
        seen, found = self.found(student)
        anchors = seen.output.extras["anchors"][1]
        boxes = seen.batch.targets[1]["boxes"]
        if family == "fcos":
            expected = matched_boxes(student, seen.output, [boxes[:0], boxes])[1]
        else:
            expected = student.model.proposal_matcher(box_iou(boxes, anchors))
        chosen = expected >= 0
        assert chosen.any()
        assert torch.equal(found.instance, expected[chosen])
        assert torch.equal(found.student, seen.output.logits[1][chosen])
        ends = torch.tensor(seen.output.slots).cumsum(0)
        slots = chosen.nonzero().squeeze(1)
        assert torch.equal(found.level, torch.searchsorted(ends, slots, right=True))

    def test_proposals_of_faster_rcnn_are_scored_by_both(self, pair):
        seen, found = self.found(*pair("fasterrcnn"))
        labels = torch.cat(seen.output.extras["labels"])
        assert torch.equal(found.student, seen.output.extras["class_logits"][labels > 0])
        assert found.student.shape == found.teacher.shape
        assert len(found.student)
        assert not found.teacher.requires_grad
        assert not found.level.any()  # all below 112 pixels
        own = seen.batch.targets[1]["labels"][found.instance]
        assert torch.equal(own, labels[labels > 0])


class TestPrototypes:
    def test_they_are_means_of_real_boxes(self, pair):
        student, teacher = pair("retinanet")
        batch = scene(student)
        method = ready(student, teacher, batch)
        bank = method.banks["p3"]
        assert bank.labels.tolist() == [1, 3]  # the third box is small, and its class has a large
        assert bank.image_ids.tolist() == [11, 11]
        assert_close(bank.boxes, batch.targets[1]["boxes"][:2])  # the image was not resized
        teacher_map = Pass(teacher, batch).features.at(8).map
        expected = box_means(teacher_map, [x["boxes"] for x in batch.targets], 8)[:2]
        assert_close(bank.teacher, expected)
        assert not bank.student.requires_grad

    def test_a_class_of_small_boxes_uses_them(self, pair):
        student, teacher = pair("retinanet")
        method = ready(student, teacher, scene(student), min_size=60.0)
        assert sorted(method.banks["p4"].labels.tolist()) == [1, 3, 3]

    def test_reading_stops_when_there_is_enough(self, pair):
        student, teacher = pair("retinanet")
        batch = scene(student)
        given = []

        def endless():
            while True:
                given.append(1)
                yield Pass(student, batch), Pass(teacher, batch), batch

        GKD(student, teacher, refresh_images=3).refresh(endless())
        assert len(given) == 2
        found = collect_instances(
            [*passes(student, teacher, batch)] * 3, [8], min_size=30.0, limit=1
        )
        assert sorted(found.labels.tolist()) == [1, 3, 3]  # one large, one small of class 3

    def test_a_refresh_leaves_no_trace_in_the_student(self, pair):
        student, teacher = pair("fcos")
        batch = scene(student)
        before = {name: values.clone() for name, values in student.model.state_dict().items()}
        ready(student, teacher, batch)
        assert student.model.training
        after = student.model.state_dict()
        assert all(torch.equal(values, after[name]) for name, values in before.items())

    def test_an_instance_that_is_a_prototype_is_fully_reliable(self, pair):
        """In training too: the prototypes are made under the statistics of training."""
        student, teacher = pair("retinanet")
        batch = scene(student)
        method = ready(student, teacher, batch)
        weights = method(Pass(student, batch), Pass(teacher, batch), batch).maps["reliability"]
        assert_close(weights.levels[0].map.max().item(), 1.0)

    def test_they_are_saved_and_restored(self, pair):
        student, teacher = pair("fcos")
        batch = scene(student)
        method = ready(student, teacher, batch)
        copy = GKD(student, teacher)
        copy.load_state_dict(method.state_dict())
        for name, values in method.state_dict().items():
            assert torch.equal(copy.state_dict()[name], values)
        seen, taught = Pass(student, batch), Pass(teacher, batch)
        ours, theirs = method(seen, taught, batch).losses, copy(seen, taught, batch).losses
        assert all(torch.equal(loss, theirs[name]) for name, loss in ours.items())
        copy.load_state_dict(GKD(student, teacher).state_dict())  # and back to none
        with pytest.raises(RuntimeError, match="no prototypes yet"):
            copy(seen, taught, batch)

    def test_a_bank_of_other_channels_is_refused(self):
        bank = PrototypeBank(student_channels=4, teacher_channels=6)
        other = PrototypeBank(student_channels=5, teacher_channels=6)
        with pytest.raises(RuntimeError, match="size mismatch for student"):
            bank.load_state_dict(other.state_dict())


class TestBadInput:
    def test_before_the_first_refresh(self, pair):
        student, teacher = pair("fcos")
        batch = scene(student)
        with pytest.raises(RuntimeError, match=r"no prototypes yet; call refresh\(passes\)"):
            GKD(student, teacher)(Pass(student, batch), Pass(teacher, batch), batch)

    def test_a_data_set_without_boxes(self, pair):
        student, teacher = pair("fcos")
        with pytest.raises(ValueError, match="no ground-truth box in any of the passes"):
            ready(student, teacher, scene(student, boxes=0))

    def test_no_targets(self, pair):
        student, teacher = pair("retinanet")
        method = ready(student, teacher, scene(student))
        batch = student.preprocess([torch.rand(3, 128, 128)])
        with pytest.raises(ValueError, match="GKD needs targets"):
            method(Pass(student, batch), Pass(teacher, batch), batch)

    def test_heads_that_cannot_be_compared(self, pair):
        student, teacher = pair("fcos", "retinanet")
        with pytest.raises(ValueError, match=r"class logits are compared one by one"):
            GKD(student, teacher)
        batch = scene(student)
        method = ready(student, teacher, batch, soft_labels=False)
        losses = method(Pass(student, batch), Pass(teacher, batch), batch).losses
        assert all(loss.isfinite() for loss in losses.values())
        with pytest.raises(ValueError, match=r"take a teacher of the student's kind"):
            GKD(*pair("fcos", "fasterrcnn"))

    def test_no_shared_level(self, pair, monkeypatch):
        student, teacher = pair("fcos")
        coarse, fine = student.levels[2:], teacher.levels[:2]
        monkeypatch.setattr(student, "levels", coarse)
        monkeypatch.setattr(teacher, "levels", fine)
        with pytest.raises(ValueError, match=r"\[32, 64, 128\] and teacher strides \[8, 16\]"):
            GKD(student, teacher)

    def test_proposals_of_a_one_stage_student(self, pair):
        with pytest.raises(ValueError, match="only a two-stage student has proposals"):
            GKD(*pair("retinanet"), instances="proposals")

    def test_shapes(self):
        with pytest.raises(ValueError, match=r"prototypes must have shape \(P, 3\)"):
            projection(torch.zeros(2, 3), torch.zeros(2, 4))
        with pytest.raises(ValueError, match="1 lists of boxes for 2 images"):
            box_means(torch.zeros(2, 3, 4, 4), [torch.zeros(0, 4)], 8)
        with pytest.raises(ValueError, match=r"weights must have shape \(1, 1, 4, 4\)"):
            decoupled_loss(
                student=torch.zeros(1, 3, 4, 4),
                teacher=torch.zeros(1, 3, 4, 4),
                weights=torch.zeros(1, 3, 4, 4),
            )
