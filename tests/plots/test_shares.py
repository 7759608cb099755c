"""Shares lie on their cells, and their colours are those of the bar."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from kdviz.plots import share_grid
from kdviz.plots.theme import DIVERGING
from kdviz.structures import Level

STRIDE = 16


def bright(row, column, rows=6, columns=10):
    values = np.full((rows, columns), 0.01)
    values[row, column] = 1.0
    return values


def warmth(colour):
    """How far a colour is on the side above an even share: red over blue."""
    return int(colour[0]) - int(colour[2])


def middle(row, column):
    return (column + 0.5) * STRIDE, (row + 0.5) * STRIDE


def test_a_cell_lies_on_its_pixels_and_not_on_the_transposed_ones(image, pixel_at):
    figure, axes = share_grid(image, {"one": bright(1, 4)}, STRIDE)
    inside, across = middle(1, 4), middle(4, 1)
    assert warmth(pixel_at(figure, axes[1], *inside)) > 60
    assert warmth(pixel_at(figure, axes[1], *across)) < -20
    # Half a stride from its middle the cell ends.
    for dx, dy in ((-9, 0), (9, 0), (0, -9), (0, 9)):
        assert warmth(pixel_at(figure, axes[1], inside[0] + dx, inside[1] + dy)) < -20
    for dx, dy in ((-6, 0), (6, 0), (0, -6), (0, 6)):
        assert warmth(pixel_at(figure, axes[1], inside[0] + dx, inside[1] + dy)) > 60


def test_units_do_not_matter_and_padding_does_not_count(image):
    values = np.random.default_rng(0).random((6, 10))
    padded = np.pad(7e-5 * values, ((0, 2), (0, 3)), constant_values=100.0)
    _, axes = share_grid(image, {"own": values, "padded": padded}, STRIDE)
    drawn = [each.images[1].get_array() for each in axes[1:]]
    assert drawn[0].shape == (6, 10)
    assert np.allclose(drawn[0], drawn[1])


def test_shares_are_powers_of_two_and_end_at_the_reach(image):
    values = np.ones((6, 10))
    values[0, 0], values[0, 1], values[0, 2] = 2.0, 0.0, 100.0
    _, axes = share_grid(image, {"a": values}, STRIDE, reach=8)
    drawn = axes[1].images[1].get_array()
    mean = values.mean()
    assert drawn[0, 0] == pytest.approx(np.log2(2 / mean))
    assert drawn[0, 1] == -3
    assert drawn[0, 2] == 3
    norm = axes[1].images[1].norm
    assert (norm.vmin, norm.vmax) == (-3, 3)


def test_an_even_map_is_pale_and_an_empty_one_shows_the_image_and_says_so(image, pixel_at):
    figure, axes = share_grid(image, {"even": np.full((6, 10), 9.0), "no": np.zeros((6, 10))}, 16)
    assert np.allclose(axes[1].images[1].get_array(), 0)
    pale = np.array(to_rgb(DIVERGING(0.5))) * 255
    grey = pixel_at(figure, axes[2], 100, 50).astype(float)
    assert np.ptp(grey) == 0
    assert [[text.get_text() for text in x.texts] for x in axes] == [[], [], ["nothing"]]
    assert pixel_at(figure, axes[1], 100, 50) == pytest.approx(0.6 * pale + 0.4 * grey, abs=4)


def test_titles_notes_levels_and_bar(image):
    level = Level("p4", STRIDE, np.stack([[bright(0, 0)], [bright(5, 9)]]))
    figure, axes = share_grid(image, {"FGFI": level}, notes={"FGFI": "weight"}, index=1)
    assert [text.get_text() for text in figure.texts] == ["image", "FGFI\nweight"]
    assert axes[1].images[1].get_array()[5, 9] == 3
    (bar,) = [each for each in figure.axes if each not in axes]
    figure.draw_without_rendering()
    ticks = [label.get_text() for label in bar.get_yticklabels()]
    assert ticks == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]


def test_a_short_bar_has_fewer_numbers(image):
    maps = {str(i): bright(1, 1) for i in range(11)}
    figure, axes = share_grid(image, maps, STRIDE, width=6)
    (bar,) = [each for each in figure.axes if each not in axes]
    figure.draw_without_rendering()
    assert [label.get_text() for label in bar.get_yticklabels()] == ["1/8", "1", "8"]


def test_what_has_no_share_is_refused(image):
    with pytest.raises(ValueError, match="error goes down to -1"):
        share_grid(image, {"error": -bright(1, 1)}, STRIDE)
    with pytest.raises(ValueError, match="above 1"):
        share_grid(image, {"a": bright(1, 1)}, STRIDE, reach=1)


@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_all_text_is_whole_and_apart(shape, image, layout_faults):
    names = ["a method with a remarkably long name", *map(str, range(16))]
    maps = {name: np.random.default_rng(1).random((6, 10)) for name in names}
    notes = dict.fromkeys(names, "weight of a long kind of map")
    caption = "Where cells are orange the method looks more than evenly. " * 4
    pixels = image if shape == "wide" else image[:, :, :60]
    boxes = [[5, 5, 40, 60]]
    figure, _ = share_grid(pixels, maps, STRIDE, boxes=boxes, notes=notes, caption=caption)
    assert not layout_faults(figure)
