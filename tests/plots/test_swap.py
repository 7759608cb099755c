import numpy as np
import pytest
from matplotlib.colors import to_rgb

from kdviz.plots.swap import CHOSEN, nearness_and_ap, swap_grid
from kdviz.plots.theme import SEQUENTIAL, to_png

NAMES = ["teacher", "student", "a student with a long name"]
AP = np.array([[0.6, 0.1, 0.2], [0.0, 0.4, 0.3], [0.05, 0.35, np.nan]])


def cell_colour(figure, axes, row, column, pixel_at):
    """Off the number and the frame."""
    return pixel_at(figure, axes, column - 0.33, row - 0.3)


def test_rows_are_necks_and_columns_heads_on_one_scale(pixel_at):
    grids = {"raw": AP, "stitched": AP / 2}
    figure, panels = swap_grid(grids, NAMES, NAMES)
    assert len(panels) == 2
    for axes, values in zip(panels, grids.values(), strict=True):
        for row, column in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 0)]:
            expected = 255 * np.array(SEQUENTIAL(values[row, column] / 0.6)[:3])
            found = cell_colour(figure, axes, row, column, pixel_at)
            assert np.abs(found - expected).max() < 3, (row, column)
        assert cell_colour(figure, axes, 2, 2, pixel_at).tolist() == [255, 255, 255]
    assert panels[0].get_ylim() == (2.5, -0.5)


def test_numbers_and_names_stand_at_their_cells():
    _, (axes,) = swap_grid({"raw": AP}, NAMES, NAMES)
    written = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert written[1, 0] == "0.10"
    assert written[0, 1] == "0.00"
    assert written[2, 2] == "-"
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == NAMES[:2]
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == NAMES[:2]


def test_the_chosen_pair_is_framed_in_its_grid_alone(pixel_at):
    figure, panels = swap_grid(
        {"raw": AP, "stitched": AP}, NAMES, NAMES, chosen=("stitched", "student", "teacher")
    )
    colour = [round(255 * c) for c in to_rgb(CHOSEN)]
    edges = {
        (number, row, column)
        for number, axes in enumerate(panels)
        for row in range(3)
        for column in range(3)
        if pixel_at(figure, axes, column, row + 0.465).tolist() == colour
    }
    assert edges == {(1, 1, 0)}


def test_a_grid_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"3 necks and 2 heads are named, but 'raw' has shape"):
        swap_grid({"raw": AP}, NAMES, NAMES[:2])


WAYS = {
    "as they are": {"student": (1.5, 0.0), "dist2": (1.55, 0.0), "fgfi": (1.52, 0.0)},
    "stitched": {"student": (0.46, 0.16), "dist2": (0.41, 0.28)},
    "trained adapter": {"dist2": (0.54, 0.41)},
}


def test_points_lie_at_distance_and_ap():
    _, axes = nearness_and_ap(WAYS, reference=("teacher", 0.65))
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["stitched"] == [[0.46, 0.16], [0.41, 0.28]]
    assert drawn["trained adapter"] == [[0.54, 0.41]]
    assert drawn["teacher: its own maps"] == [[0, 0.65]]
    joined = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()) == 2]
    assert [[0.41, 0.28], [0.54, 0.41]] in joined
    named = [(text.get_text(), text.xy) for text in axes.texts]
    assert ("dist2", (0.54, 0.41)) in named
    assert len(named) == 6


def test_no_name_lies_on_a_line():
    ways = {
        "stitched": {"a": (0.4, 0.2), "b": (0.4, 0.3)},
        "adapter": {"a": (0.6, 0.2), "b": (0.2, 0.3)},
    }
    figure, axes = nearness_and_ap(ways)
    to_png(figure)
    joined = [line.get_transform().transform(line.get_xydata()) for line in axes.lines[:2]]
    along = np.concatenate([np.linspace(*ends, 200) for ends in joined])
    for text in axes.texts:
        box = text.get_window_extent()
        assert not any(box.contains(x, y) for x, y in along), text.get_text()


@pytest.mark.parametrize("count", [1, 3])
def test_all_text_is_whole_and_apart(count, layout_faults):
    caption = "How much of AP survives the swap is how much the head reads. " * 4
    grids = {f"grid {i}": AP for i in range(count)}
    assert not layout_faults(swap_grid(grids, NAMES, NAMES, caption=caption)[0])
    assert not layout_faults(nearness_and_ap(WAYS, reference=("teacher", 0.65), caption=caption)[0])
