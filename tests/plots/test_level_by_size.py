"""Which level takes a box of which size."""

import numpy as np
import pytest
import torch

from kdviz.plots import draw_level_by_size
from kdviz.structures import Level, Pyramid

SIZES = [8.0, 16.0, 32.0, 64.0, 128.0]
COUNTS = {
    "FCOS": torch.tensor([[0, 0], [1, 0], [9, 0], [4, 8], [0, 9]]),
    "RetinaNet": np.array([[3, 0], [1, 0], [20, 0], [0, 22], [0, 40]]),
}
BOX = [32.0, 16.0, 96.0, 80.0]


def lit(slots, *cells):
    """Two levels on 128 pixels; these (level, row, column) stand for the box."""
    maps = [torch.full((1, slots, 16, 16), -1), torch.full((1, slots, 8, 8), -1)]
    for level, row, column in cells:
        maps[level][0, :, row, column] = 0
    return Pyramid((Level("p3", 8, maps[0]), Level("p4", 16, maps[1])))


ASSIGNED = {"FCOS": lit(1, (0, 4, 7), (1, 2, 3)), "RetinaNet": lit(2, (0, 5, 5))}


def squares(axes):
    return {
        (*path.vertices.min(0), *path.vertices.max(0))
        for collection in axes.collections
        if len(collection.get_facecolor())
        for path in collection.get_paths()
    }


def test_cells_are_squares_on_their_pixels():
    _, (fcos, _, retinanet, _) = draw_level_by_size(SIZES, COUNTS, ASSIGNED, BOX)
    assert squares(fcos) == {(56, 32, 64, 40), (48, 32, 64, 48)}
    assert squares(retinanet) == {(40, 40, 48, 48)}


def test_the_view_holds_the_box_upright():
    _, panels = draw_level_by_size(SIZES, COUNTS, ASSIGNED, BOX)
    left, right = panels[0].get_xlim()
    bottom, top = panels[0].get_ylim()
    assert left < 32 < 96 < right
    assert top < 16 < 80 < bottom
    assert (left + right, top + bottom) == (128, 96)


def test_a_line_is_the_count_of_its_level():
    _, panels = draw_level_by_size(SIZES, COUNTS, ASSIGNED, BOX)
    fine, coarse, mark = panels[1].lines
    assert dict(fine.get_xydata().tolist()) == {8: 0, 16: 1, 32: 9, 64: 4, 128: 0}
    assert dict(coarse.get_xydata().tolist()) == {32: 0, 64: 8, 128: 9}
    assert set(mark.get_xdata()) == {64}
    names = {text.get_text(): text.get_position()[0] for text in panels[1].texts}
    assert names.keys() == {"p3", "p4"}
    assert names["p3"] == 32
    assert names["p3"] < names["p4"]


def test_titles_say_where_this_size_goes():
    figure, panels = draw_level_by_size(SIZES, COUNTS, ASSIGNED, BOX)
    titles = [text.get_text() for text in figure.texts]
    assert titles == [
        "FCOS, 64 pixels: p3: 1 cell; p4: 1 cell",
        "RetinaNet, 64 pixels: p3: 1 cell, 2 anchors",
    ]
    assert [panels[1].get_ylabel(), panels[3].get_ylabel()] == [
        "positive cells",
        "positive anchors",
    ]
    nobody = {"FCOS": lit(1), "RetinaNet": lit(2)}
    figure, _ = draw_level_by_size(SIZES, COUNTS, nobody, BOX)
    assert figure.texts[0].get_text() == "FCOS, 64 pixels: no cell"


def test_nothing_is_cut_or_written_twice(layout_faults):
    figure, _ = draw_level_by_size(SIZES, COUNTS, ASSIGNED, BOX, caption="How to read. " * 20)
    assert not layout_faults(figure)


def test_counts_must_fit_the_sizes_and_levels():
    with pytest.raises(ValueError, match=r"counts of FCOS must be \(4, 2\)"):
        draw_level_by_size(SIZES[:4], COUNTS, ASSIGNED, BOX)
