"""Gradients that are known by hand, and everything left as it was."""

from copy import deepcopy

import pytest
import torch

from kdviz.detectors import build, freeze
from kdviz.detectors.parts import Pass, in_eval
from kdviz.diagnosis.xray import cosines, energy, fresh_methods, norms, xray
from kdviz.methods import METHODS, Distillation, FitNets, Method, TermWeight
from kdviz.structures import Level, Pyramid

SIZE = 64
KINDS = {
    "FitNets": "uniform", "FGFI": "weight", "FRS": "weight", "GKD": "weight", "Dist2": "error",
    "AT": "target", "FBKD": "weight", "DeFeat": "weight", "Affinity": "uniform", "CWD": "weight",
    "PKD": "error", "MGD": "uniform", "FGD": "weight", "GID": "weight", "CrossKD": "weight",
    "LogitKD": "error",
}  # fmt: skip


class Known(Method):
    """Two terms: one number on one cell of the first level, and the detection loss turned round."""

    def __init__(self):
        super().__init__()
        self.weights = {"known": TermWeight(2.0), "against": TermWeight(3.0)}

    def forward(self, student, teacher, batch):
        against = -sum(student.parts.losses(student.output, batch).values())
        cell = 5.0 * student.features.maps[0][1, :, 1, 6].sum()
        return Distillation({"known/p3": cell, "against": against})


class Refuses(Method):
    """A method that takes no pair."""

    def __init__(self, student, teacher):
        raise ValueError("never")


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return build("fcos-shufflenetv2x0.5-c64", 4, min_size=SIZE, max_size=SIZE)


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(1)
    return freeze(build("fcos-shufflenetv2x0.5-c96", 4, min_size=SIZE, max_size=SIZE))


@pytest.fixture(scope="module")
def batch(student):
    generator = torch.Generator().manual_seed(2)
    images = [torch.rand(3, SIZE, SIZE, generator=generator) for _ in range(2)]
    boxes = torch.tensor([[8.0, 16, 40, 32], [50, 4, 60, 20]])
    targets = [{"boxes": boxes[:count], "labels": torch.tensor([1, 3])[:count]} for count in (2, 1)]
    with in_eval(student.model):
        return student.preprocess(images, targets)


@pytest.fixture(scope="module")
def known(student, teacher, batch):
    return xray(student, teacher, batch, {"known": Known()})


@pytest.fixture(scope="module")
def every(student, teacher, batch):
    methods, refused = fresh_methods(student, teacher, batch)
    assert not refused
    return methods, xray(student, teacher, batch, methods)


def test_a_known_gradient_lands_on_its_cell_with_its_weight(known, student):
    found = energy(known.rays["known"].terms["known"])
    expected = torch.zeros(2, 1, 8, 8)
    expected[1, 0, 1, 6] = student.levels[0].channels * (2.0 * 5.0) ** 2
    assert torch.equal(found.maps[0], expected.double())
    assert not any(values.any() for values in found.maps[1:])
    channels = student.levels[0].channels
    assert norms(known.rays["known"].terms["known"])["p3"] == pytest.approx(10 * channels**0.5)


def test_the_detection_loss_turned_round_is_in_full_conflict(known):
    against = known.rays["known"].terms["against"]
    reached = [x.name for x in known.detection.levels if x.map.any()]
    assert "p3" in reached
    for name, values in cosines(against, known.detection).items():
        if name in reached:
            assert values[~values.isnan()].tolist() == pytest.approx([-1] * len(values), abs=1e-6)
    ratio = norms(against)["p3"] / norms(known.detection)["p3"]
    assert ratio == pytest.approx(3.0, rel=1e-5)


def test_detection_gradient_is_that_of_the_plain_loss(known, student, batch):
    with in_eval(student.model):
        # Cut below the pyramid: the neck makes p7 from p6, whose gradient is its own alone here.
        features = Pass(student, batch).features.apply(lambda x: x.detach().requires_grad_())
        loss = sum(student.losses(student.head(features, batch), batch).values())
    for found, expected in zip(
        known.detection.maps, torch.autograd.grad(loss, features.maps), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_terms_add_up(known):
    ray = known.rays["known"]
    for total, *terms in zip(ray.gradient.maps, *(x.maps for x in ray.terms.values()), strict=True):
        torch.testing.assert_close(total, sum(terms))


def test_objects_are_the_cells_of_the_boxes(known):
    first = known.objects.maps[0][0, 0]
    expected = torch.zeros(8, 8)
    expected[2:4, 1:5] = 1  # x 8..40, y 16..32, stride 8
    expected[0:2, 6] = 1  # x 50..60 begins in column 6; y 4..20
    assert torch.equal(first, expected)
    assert known.objects.maps[0][1, 0].sum() == 8


def test_every_method_says_where_it_looks_and_pulls(every):
    _, found = every
    assert {name: ray.kind for name, ray in found.rays.items()} == KINDS
    sizes = [values.shape[-2:] for values in found.detection.maps]
    for name, ray in found.rays.items():
        for values, size in zip(ray.attention.maps, sizes, strict=True):
            assert values.shape == (2, 1, *size), name
            assert values.isfinite().all(), name
            assert (values >= 0).all(), name
            assert not values.requires_grad, name
        for values, own in zip(ray.gradient.maps, found.detection.maps, strict=True):
            assert values.shape == own.shape, name
            assert values.isfinite().all(), name
        assert any(values.any() for values in ray.gradient.maps), name


def test_nothing_is_changed_and_nothing_is_left_behind(student, teacher, batch):
    student.model.train()
    methods, _ = fresh_methods(student, teacher, batch, [FitNets, METHODS[3], METHODS[11]])
    modules = [student.model, teacher.model, *methods.values()]
    before = [deepcopy(module.state_dict()) for module in modules]
    random = torch.get_rng_state()
    xray(student, teacher, batch, methods)
    assert torch.equal(torch.get_rng_state(), random)
    for module, state in zip(modules, before, strict=True):
        assert all(torch.equal(values, state[k]) for k, values in module.state_dict().items())
        assert all(parameter.grad is None for parameter in module.parameters())
    assert student.model.training
    assert all(p.requires_grad for p in student.model.head.parameters())
    assert not any(module.training for module in teacher.model.modules())


def test_the_same_each_time(every, student, teacher, batch):
    methods, found = every
    again = xray(student, teacher, batch, {"MGD": methods["MGD"]})
    for a, b in zip(again.rays["MGD"].gradient.maps, found.rays["MGD"].gradient.maps, strict=True):
        assert torch.equal(a, b)


def test_adapters_follow_the_seed_and_refusals_are_told(student, teacher, batch):
    kinds = [FitNets, Refuses]
    (one, refused), (same, _), (other, _) = (
        fresh_methods(student, teacher, batch, kinds, seed) for seed in (0, 0, 1)
    )
    weights = [next(m["FitNets"].parameters()) for m in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert refused == {"Refuses": "never"}


def test_a_batch_without_targets_is_refused(student, teacher):
    bare = student.preprocess([torch.rand(3, SIZE, SIZE)])
    for call in (
        lambda: xray(student, teacher, bare, {}),
        lambda: fresh_methods(student, teacher, bare),
    ):
        with pytest.raises(ValueError, match="prepare the batch with its targets"):
            call()


def test_cosines_by_hand():
    def pyramid(values):
        return Pyramid((Level("p3", 8, torch.tensor(values).view(-1, 2, 1, 1)),))

    one = pyramid([[1.0, 0.0], [1e-22, 0.0], [0.0, 0.0], [3.0, 4.0]])
    other = pyramid([[0.0, 2.0], [1e-22, 1e-22], [1.0, 1.0], [-6.0, -8.0]])
    found = cosines(one, other)["p3"].tolist()
    assert found == pytest.approx([0, 0.5**0.5, float("nan"), -1], nan_ok=True)
