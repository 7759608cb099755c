"""Each damage changes what it says, by as much as it says."""

import pytest
import torch
from torch.testing import assert_close

from kdviz.diagnosis.damage import blurred, covered, faded


@pytest.fixture
def image():
    return torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))


def test_blur_spreads_a_dot_by_its_deviation():
    dot = torch.zeros(3, 41, 41)
    dot[:, 20, 20] = 1
    across = blurred(dot, 2.0)[0].sum(dim=0)
    place = torch.arange(41) - 20.0
    assert_close((across * place.square()).sum().sqrt().item(), 2.0, atol=0.03, rtol=0)
    assert_close(across.sum().item(), 1.0)


def test_no_blur_and_a_tiny_image(image):
    assert blurred(image, 0) is image
    assert blurred(image[:, :3, :2], 4.0).shape == (3, 3, 2)


def test_bar_stands_upright_in_the_middle_of_each_box(image):
    boxes = torch.tensor([[10.0, 4, 20, 12], [0, 15, 4, 20]])
    changed = (covered(image, boxes, 0.4) != image).any(dim=0)
    expected = torch.zeros(20, 30, dtype=torch.bool)
    expected[4:12, 13:17] = True
    expected[15:20, 1:3] = True
    assert torch.equal(changed, expected)
    assert_close(covered(image, boxes, 0.4)[:, 5, 14], image.mean(dim=(1, 2)))


def test_bar_of_no_width_or_over_all(image):
    box = torch.tensor([[10.0, 4, 20, 12]])
    assert torch.equal(covered(image, box, 0.0), image)
    assert torch.equal(covered(image, torch.zeros(0, 4), 1.0), image)
    whole = covered(image, box, 1.0)[:, 4:12, 10:20].flatten(1)
    assert_close(whole, image.mean(dim=(1, 2))[:, None].expand(3, 80))


def test_fading_keeps_the_mean_and_scales_the_rest(image):
    found = faded(image, 0.25)
    assert_close(found.mean(dim=(1, 2)), image.mean(dim=(1, 2)))
    assert_close(found.std(dim=(1, 2)), 0.25 * image.std(dim=(1, 2)))
    assert_close(faded(image, 1.0), image)
