"""Planes of known points."""

import math

import pytest
import torch
from torch.testing import assert_close

from kdviz.diagnosis.planes import principal_plane, turned_to


def test_keeps_the_two_directions_of_most_variance():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 6, generator=generator) * torch.tensor([5.0, 3, 1, 1, 0.5, 0.5]) + 2
    unit = features.double() / features.double().norm(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(torch.cov(unit.T))
    plane = principal_plane(features)
    assert plane.share == pytest.approx(float(values[-2:].sum() / values.sum()), abs=1e-6)
    expected = ((unit - unit.mean(0)) @ vectors[:, [-1, -2]]).float()
    assert_close(plane.points.abs(), expected.abs(), atol=1e-5, rtol=1e-4)


def test_loses_nothing_of_what_lies_on_a_plane():
    """Three unit vectors span a plane: their distances on it are those in space."""
    plane = principal_plane(torch.eye(3)[:, [2, 0, 1]] * torch.tensor([[1.0], [2], [3]]))
    assert plane.share == pytest.approx(1)
    assert_close(torch.pdist(plane.points), torch.full((3,), math.sqrt(2)))


def test_length_of_features_makes_no_difference():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    longer = principal_plane(features * torch.arange(1, 10)[:, None])
    assert_close(longer.points, principal_plane(features).points, atol=1e-5, rtol=1e-4)


def test_one_channel_or_one_instance_still_has_a_plane():
    assert principal_plane(torch.tensor([[1.0], [-2], [3]])).points.shape == (3, 2)
    assert principal_plane(torch.ones(1, 4)).points.tolist() == [[0, 0]]


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_turns_and_mirrors_back(mirror):
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(2))
    c, s = math.cos(0.8), math.sin(0.8)
    moved = points @ torch.tensor([[c, s], [-s, c]]) * torch.tensor([1.0, mirror])
    assert_close(turned_to(moved, points), points, atol=1e-5, rtol=1e-4)


def test_turning_keeps_distances():
    generator = torch.Generator().manual_seed(3)
    points, other = (torch.randn(20, 2, generator=generator) for _ in range(2))
    turned = turned_to(points, other)
    assert_close(torch.pdist(turned), torch.pdist(points))
    assert (turned - other).square().sum() <= (points - other).square().sum()
