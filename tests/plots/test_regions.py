import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from kdviz.plots.images import greyed
from kdviz.plots.maps import OPACITY
from kdviz.plots.regions import (
    DROPPED_INSIDE,
    KEPT_INSIDE,
    KEPT_OUTSIDE,
    inside_outside,
    kept_cells,
    signed_weights,
)
from kdviz.plots.theme import ROLE_COLOURS
from kdviz.structures import Level


@pytest.fixture
def plain():
    """(h, w, 3) of one grey, so that every colour of a picture comes from its map."""
    return np.full((96, 160, 3), 200, np.uint8)


def cells(*places, shape=(6, 10)):
    values = np.zeros(shape, np.float32)
    for row, column in places:
        values[row, column] = 1.0
    return values


def over(plain, colour):
    """What a colour at the opacity of maps gives over the greyed image."""
    return OPACITY * np.multiply(255, to_rgb(colour)) + (1 - OPACITY) * greyed(plain)[0, 0]


def area_of(figure, axes, pixels_of, colour):
    """(x1, y1, x2, y2) in data, of where the panel has this colour."""
    drawn = pixels_of(figure)[::-1].astype(int)
    rows, columns = np.nonzero(np.abs(drawn - colour).max(axis=2) < 12)
    panel = axes.get_window_extent()
    within = (rows >= panel.y0) & (rows < panel.y1) & (columns >= panel.x0) & (columns < panel.x1)
    rows, columns = rows[within], columns[within]
    corners = [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    (x1, y2), (x2, y1) = axes.transData.inverted().transform(corners)
    return x1, y1, x2, y2


@pytest.mark.parametrize(("offset", "centre"), [(0.0, (64, 32)), (0.5, (72, 40))])
def test_a_square_stands_around_the_point_of_its_cell(plain, pixels_of, offset, centre):
    figure, axes = kept_cells(plain, cells((2, 4)), cells(), 0.5, 16, offset=offset)
    area = area_of(figure, axes, pixels_of, over(plain, KEPT_OUTSIDE))
    expected = [centre[0] - 8, centre[1] - 8, centre[0] + 8, centre[1] + 8]
    assert np.allclose(area, expected, atol=1)


def test_the_three_kinds_of_cells(plain, pixel_at):
    weights, inside = cells((1, 1), (3, 5)), cells((1, 1), (4, 8))
    figure, axes = kept_cells(plain, weights, inside, 0.5, 16)
    for place, colour in [
        ((16, 16), KEPT_INSIDE),
        ((80, 48), KEPT_OUTSIDE),
        ((128, 64), DROPPED_INSIDE),
    ]:
        assert np.allclose(pixel_at(figure, axes, *place), over(plain, colour), atol=3)
    assert np.allclose(pixel_at(figure, axes, 40, 80), greyed(plain)[0, 0], atol=3)
    words = [text.get_text() for text in figure.texts]
    assert words == ["weight ≥ 0.50", "inside, kept: 1", "outside, kept: 1", "inside, dropped: 1"]


def test_the_threshold_itself_is_kept(plain):
    weights = 0.25 * cells((0, 0), (0, 1))
    figure, _ = kept_cells(plain, weights, cells((0, 0)), 0.25, 16)
    assert {"inside, kept: 1", "outside, kept: 1"} <= {t.get_text() for t in figure.texts}


def test_signed_weights_are_weights_minus_mask(plain):
    weights, inside = 0.75 * cells((1, 1), (3, 5)), cells((1, 1), (4, 8)) > 0
    figure, axes = signed_weights(plain, weights, inside, 16)
    drawn = axes.images[1]
    expected = np.zeros((7, 11))
    expected[1, 1], expected[3, 5], expected[4, 8] = -0.25, 0.75, -1.0
    assert np.array_equal(drawn.get_array(), expected)
    assert drawn.get_extent() == [-8, 168, 104, -8]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 160), (96, 0))
    assert (drawn.norm.vmin, drawn.norm.vmax) == (-1, 1)
    assert figure.axes[1].get_ylabel() == "weight minus mask"


def test_kept_is_warm_and_dropped_is_cold_as_the_legend_says(plain, pixel_at):
    figure, axes = signed_weights(plain, cells((3, 5)), cells((4, 8)), 16)
    warm, cold = pixel_at(figure, axes, 80, 48), pixel_at(figure, axes, 128, 64)
    assert warm[0] > warm[2] + 20
    assert cold[2] > cold[0] + 20
    words = [text.get_text() for text in figure.texts if text.get_text()]
    assert words == ["outside, kept", "inside, dropped"]
    first, second = (artist.get_facecolor() for artist in figure.artists)
    assert first[0] > first[2]
    assert second[2] > second[0]


def test_one_image_of_a_batch_of_a_level(plain):
    maps = torch.stack([torch.zeros(1, 6, 10), torch.ones(1, 6, 10)])
    level, mask = Level("p4", 16, maps), Level("p4", 16, maps > 2)
    _, axes = signed_weights(plain, level, mask, index=1, title="teacher")
    assert axes.images[1].get_array()[:6, :10].min() == 1
    figure, _ = kept_cells(plain, level, mask, 0.5, index=1)
    assert "outside, kept: 60" in [text.get_text() for text in figure.texts]


def test_a_stride_is_needed(plain):
    with pytest.raises(ValueError, match="stride"):
        signed_weights(plain, cells(), cells())


SUMS = {
    "teacher": ([20.0, 10.0, 1.0], torch.tensor([5.0, 6.0, 7.0])),
    "student": ([15.0, 9.0, 1.5], np.array([7.0, 8.0, 9.0])),
    "untrained": ([0.4, 0.5, 0.2], [3.0, 2.9, 3.1]),
}


def test_one_point_for_each_image_in_the_colour_of_its_role():
    _, axes = inside_outside(SUMS)
    places = [points.get_offsets().tolist() for points in axes.collections]
    assert places[0] == [[20, 5], [10, 6], [1, 7]]
    assert places[1] == [[15, 7], [9, 8], [1.5, 9]]
    colours = [points.get_facecolor()[0][:3] for points in axes.collections]
    assert np.allclose(colours[0], to_rgb(ROLE_COLOURS["teacher"]))
    assert np.allclose(colours[1], to_rgb(ROLE_COLOURS["student"]))
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0
    assert axes.get_xlim()[1] > 20
    assert axes.get_ylim()[1] > 9
    assert [t.get_text() for t in axes.get_legend().get_texts()] == list(SUMS)


def test_the_line_of_equal_sums_is_there():
    _, axes = inside_outside(SUMS)
    line = axes.lines[0].get_xydata()
    assert np.array_equal(line[:, 0], line[:, 1])
    assert line.max() > 9


def test_the_chosen_image_has_a_ring():
    _, axes = inside_outside(SUMS, chosen=1)
    rings = [c for c in axes.collections if len(c.get_offsets()) == 1]
    assert [ring.get_offsets()[0].tolist() for ring in rings] == [[10, 6], [9, 8], [0.5, 2.9]]


def test_inside_and_outside_belong_to_the_same_images():
    with pytest.raises(ValueError, match="teacher: 2 sums inside and 1 outside"):
        inside_outside({"teacher": ([1, 2], [1])})


def test_no_images_and_no_weight():
    assert inside_outside({"teacher": ([], [])})[1].get_xlim()[1] > 0
    assert inside_outside({"teacher": ([0.0], [0.0])})[1].get_ylim()[1] > 0


@pytest.mark.parametrize("width", [3.2, 6.0])
def test_nothing_is_cut_or_written_over(plain, layout_faults, width):
    box = [[8, 8, 60, 60]]
    words = "A caption that is long enough to need two lines or three in a narrow figure like this."
    for figure, _ in (
        signed_weights(plain, cells((1, 1)), cells((1, 2)), 16, boxes=box, title="teacher",
                       caption=words, width=width),
        kept_cells(plain, cells((1, 1)), cells((1, 2)), 0.1, 16, boxes=box, caption=words,
                   width=max(width, 4.2)),
        inside_outside(SUMS, caption=words, title="finest level", width=max(width, 4.0)),
    ):  # fmt: skip
        assert layout_faults(figure) == []
