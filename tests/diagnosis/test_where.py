"""An attention is what it says it is: the weight of a cell's error in the method's own loss."""

import pytest
import torch

from kdviz.detectors import build, freeze
from kdviz.diagnosis.where import attention_of
from kdviz.methods import (
    FGD,
    GKD,
    MGD,
    Affinity,
    DeFeat,
    Dist2,
    Distillation,
    FitNets,
    Method,
)
from kdviz.methods.defeat import defeat_loss
from kdviz.methods.fgd import background_weights, channel_attention, fgd_loss, spatial_attention
from kdviz.methods.gkd import decoupled_loss
from kdviz.structures import Level, Pyramid

N, C, H, W = 2, 6, 5, 7


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    sizes = {"min_size": 64, "max_size": 64}
    return (
        build("fcos-shufflenetv2x0.5-c64", 4, **sizes),
        freeze(build("fcos-shufflenetv2x0.5-c96", 4, **sizes)),
    )


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(N, C, H, W, generator=generator) for _ in range(2)]


@pytest.fixture
def region():
    mask = torch.zeros(N, 1, H, W)
    mask[0, 0, 1:3, 4:6], mask[1, 0, 2, 0] = 0.5, 0.25
    return mask


def level(values):
    return Pyramid((Level("p3", 8, values),))


def read(method, **maps):
    told = Distillation({}, {name: level(values) for name, values in maps.items()})
    kind, found = attention_of(method, told, level(torch.zeros(N, C, H, W)))
    return kind, found.maps[0]


def test_defeat_weighs_both_regions_as_its_loss_does(pair, maps, region):
    student, teacher = maps
    method = DeFeat(*pair)
    kind, attention = read(method, mask=region > 0)
    error = (student - teacher).square().sum(1, keepdim=True)
    strong, weak = (method.weights[f"defeat_{x}"].value for x in ("foreground", "background"))
    losses = [
        defeat_loss(student=student, teacher=teacher, mask=mask)
        for mask in (region > 0, region == 0)
    ]
    assert kind == "weight"
    assert (attention * error).sum() / (2 * C) == pytest.approx(
        (strong * losses[0] + weak * losses[1]).item(), rel=1e-5
    )


def test_gkd_weighs_objects_by_their_reliability(pair, maps, region):
    student, teacher = maps
    method = GKD(*pair)
    kind, attention = read(method, reliability=region)
    error = (student - teacher).square().sum(1, keepdim=True)
    strong, weak = (method.weights[f"gkd_{x}"].value for x in ("foreground", "background"))
    foreground, background = decoupled_loss(student=student, teacher=teacher, weights=region)
    assert kind == "weight"
    assert (attention * error).sum() / (2 * C) == pytest.approx(
        (strong * foreground + weak * background).item(), rel=1e-5
    )
    assert attention[0, 0, 1, 4] / attention[1, 0, 2, 0] == pytest.approx(2, rel=1e-5)


def test_an_empty_region_weighs_nothing(pair):
    _, attention = read(DeFeat(*pair), mask=torch.zeros(N, 1, H, W, dtype=torch.bool))
    assert attention.isfinite().all()
    assert torch.equal(attention, attention[:1, :, :1, :1].expand_as(attention))


def test_fgd_weighs_regions_times_attention(pair, maps, region):
    student, teacher = maps
    method = FGD(*pair)
    background = torch.stack([background_weights(x[0]) for x in region]).unsqueeze(1)
    look = spatial_attention(teacher, method.temperature)
    kind, attention = read(method, foreground=region, background=background, attention=look)
    error = (student - teacher).square() * channel_attention(teacher, method.temperature)
    expected = sum(
        method.weights[f"fgd_{name}"].value
        * fgd_loss(student=student, teacher=teacher, mask=mask, temperature=method.temperature)
        for name, mask in (("foreground", region), ("background", background))
    )
    assert kind == "weight"
    assert (attention * error.sum(1, keepdim=True)).sum() / N == pytest.approx(
        expected.item(), rel=1e-5
    )


@pytest.mark.parametrize("kind", [FitNets, MGD, Affinity])
def test_methods_that_weigh_all_cells_alike_are_uniform(kind, pair):
    told, attention = read(kind(*pair), visible=torch.rand(N, 1, H, W) > 0.5)
    assert told == "uniform"
    assert torch.equal(attention, torch.ones(N, 1, H, W))


def test_dist2_shows_its_error_and_without_it_nothing(pair, region):
    maps = {"score/n2n": torch.rand(N, 1, H, W), "error/n2n": region}
    kind, attention = read(Dist2(*pair), **maps)
    assert kind == "error"
    assert torch.equal(attention, region)
    maps.pop("error/n2n")
    assert read(Dist2(*pair, fi=False), **maps)[0] == "uniform"


class Own(Method):
    """A method of the reader's own."""


def test_another_method_is_taken_at_its_word():
    values = torch.randn(N, 1, H, W)
    kind, attention = read(Own(), look=values)
    assert kind == "weight"
    assert torch.equal(attention, values.clamp(min=0))
    assert read(Own())[0] == "uniform"


def test_a_level_without_a_map_is_left_alone():
    cells = Pyramid(
        (Level("p3", 8, torch.zeros(N, C, 4, 4)), Level("p4", 16, torch.zeros(N, C, 2, 2)))
    )
    told = Distillation({}, {"look": Pyramid((Level("0", 16, torch.ones(N, 1, 2, 2)),))})
    _, attention = attention_of(Own(), told, cells)
    assert [x.name for x in attention.levels] == ["p3", "p4"]
    assert not attention.maps[0].any()
    assert attention.maps[1].all()
