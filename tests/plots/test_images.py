import numpy as np
import pytest
import torch

from kdviz.plots import network_image
from kdviz.plots.images import as_array, as_boxes, as_image, as_map, stride_of
from kdviz.structures import Batch, Level


def test_all_kinds_of_images_become_the_same_bytes(image):
    pixels = as_image(image)
    assert pixels.shape == (96, 160, 3)
    assert np.array_equal(as_image(torch.from_numpy(image)), pixels)
    assert np.array_equal(as_image(pixels), pixels)
    assert np.array_equal(as_image(np.moveaxis(pixels, -1, 0)), pixels)


def test_float_and_bytes_of_three_pixels_are_told_apart():
    values = np.arange(27).reshape(3, 3, 3)
    assert np.array_equal(as_image(values.astype(np.uint8)), values)
    assert np.array_equal(as_image(values / 255.0), np.moveaxis(values, 0, -1))


def test_a_grey_image_gets_three_channels():
    assert as_image(np.full((1, 4, 5), 0.5)).shape == (4, 5, 3)


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5), (1, 3, 4, 5)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="an image must be"):
        as_image(np.zeros(shape))


def test_a_normalised_image_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match="network_image"):
        as_image(np.full((3, 4, 5), 1.8))


def test_network_image_undoes_the_normalisation_and_cuts_the_padding(image):
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    padded = torch.zeros(1, 3, 128, 192)
    padded[0, :, :96, :160] = (torch.from_numpy(image) - mean) / std
    seen = network_image(Batch(padded, ((96, 160),), ((96, 160),)))
    assert np.allclose(seen, image, atol=1e-6)


def test_half_precision_and_gradients_are_no_hindrance():
    values = torch.ones(2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert as_array(values).dtype == np.float32


def test_map_of_one_image_is_taken_from_a_level():
    level = Level("p3", 8, torch.arange(12.0).reshape(2, 1, 2, 3))
    assert np.array_equal(as_map(level, index=1), np.arange(6, 12).reshape(2, 3))
    assert stride_of(level, None) == 8


def test_channels_are_not_reduced_silently():
    with pytest.raises(ValueError, match="reduce the channels"):
        as_map(torch.zeros(1, 2, 3, 4))


def test_a_bare_map_needs_its_stride():
    with pytest.raises(ValueError, match="stride"):
        stride_of(np.zeros((2, 3)), None)


def test_boxes_may_be_none_but_not_crooked():
    assert as_boxes([]).shape == (0, 4)
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        as_boxes(np.zeros((2, 5)))
