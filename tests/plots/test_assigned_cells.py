"""Cells light up where the assignment says, for the box that was chosen."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from kdviz.detectors.assignment import IGNORED as TOLD_AS_IGNORED
from kdviz.plots import box_at, draw_assignment
from kdviz.plots.assigned_cells import IGNORED, OTHERS
from kdviz.plots.cells import KEPT
from kdviz.plots.theme import class_colour
from kdviz.structures import Level, Pyramid

BOXES = [[60.0, 14.0, 98.0, 50.0], [0.0, 0.0, 16.0, 16.0], [64.0, 16.0, 80.0, 32.0]]


def assigned(**cells):
    """Levels p4 (6 x 10 cells) and p5 (3 x 5), two slots a cell, all background but these."""
    maps = {"p4": torch.full((2, 2, 6, 10), -1), "p5": torch.full((2, 2, 3, 5), -1)}
    for name, places in cells.items():
        for place, value in places.items():
            maps[name][place] = value
    return Pyramid(tuple(Level(name, 2 ** int(name[1]), values) for name, values in maps.items()))


ONE = assigned(p4={(1, 0, 1, 4): 2, (1, 1, 1, 5): 0, (1, 1, 1, 4): 0, (1, 0, 5, 9): IGNORED})


def tints(axes):
    """Cells by the colour they are tinted in, None for those that are not."""
    tint = axes.images[1].get_array()
    return {
        (row, column): tuple(np.round(tint[row, column, :3], 3))
        for row, column in np.argwhere(tint[..., 3] > 0)
    }


def colour(name):
    return tuple(np.round(to_rgb(name), 3))


def test_the_numbers_are_those_of_the_detectors():
    assert IGNORED == TOLD_AS_IGNORED


def test_cells_lie_on_their_pixels(image, pixel_at):
    only = assigned(p4={(0, 0, 1, 4): 1})
    figure, (fine, coarse) = draw_assignment(image, {"FCOS": only}, BOXES[1:], chosen=1)
    kept = pixel_at(figure, fine, 68, 28).astype(int)
    assert kept[0] - kept[2] > 60
    for x, y in [(20, 72), (56, 24), (88, 24), (72, 8), (72, 40)]:
        assert np.ptp(pixel_at(figure, fine, x, y).astype(int)) < 10
    assert np.ptp(pixel_at(figure, coarse, 72, 24).astype(int)) < 10
    assert fine.images[1].get_extent() == [0, 160, 96, 0]


def test_the_chosen_box_has_one_colour_and_the_others_another(image):
    _, (fine, coarse) = draw_assignment(image, {"RetinaNet": ONE}, BOXES, chosen=2, index=1)
    found = tints(fine)
    assert found.keys() == {(1, 4), (1, 5)}
    assert found[1, 4] == colour(KEPT)
    assert found[1, 5] == colour(OTHERS)
    assert not tints(coarse)


def test_a_cell_counts_for_every_box_of_its_slots(image):
    for chosen, cells in ((0, {(1, 4), (1, 5)}), (1, set()), (2, {(1, 4)})):
        _, panels = draw_assignment(image, {"RetinaNet": ONE}, BOXES, chosen=chosen, index=1)
        strong = {cell for cell, tint in tints(panels[0]).items() if tint == colour(KEPT)}
        assert strong == cells


def test_without_a_choice_cells_have_the_colour_of_their_box(image):
    cells = assigned(p4={(0, ..., 2, 3): 1}, p5={(0, ..., 2, 4): 0})
    _, (fine, coarse) = draw_assignment(image, {"FCOS": cells}, BOXES)
    assert tints(fine) == {(2, 3): colour(class_colour(2))}
    assert tints(coarse) == {(2, 4): colour(class_colour(1))}
    edges = [c.get_edgecolor() for c in fine.collections if len(c.get_edgecolor()) == 3]
    expected = [to_rgb(class_colour(k)) for k in (1, 2, 3)]
    assert any(np.allclose(edge[:, :3], expected) for edge in edges)


def test_ignored_cells_are_slanted_and_no_positive_one_is(image):
    both = assigned(p4={(0, 0, 5, 9): IGNORED, (0, 0, 0, 0): IGNORED, (0, 1, 0, 0): 1})
    _, panels = draw_assignment(image, {"RetinaNet": both}, BOXES, chosen=1)
    slants = [
        segment.tolist()
        for collection in panels[0].collections
        if isinstance(collection, LineCollection)
        for segment in collection.get_segments()
        if (segment[0] != segment[1]).all()
    ]
    assert slants == [[[144, 96], [160, 80]]]


def test_titles_count_cells_and_anchors(image):
    figure, panels = draw_assignment(
        image, {"FCOS": assigned(), "RetinaNet": ONE}, BOXES, chosen=0, index=1
    )
    assert [text.get_text() for text in figure.texts] == [
        "FCOS p4, stride 16\nnone",
        "FCOS p5, stride 32\nnone",
        "RetinaNet p4, stride 16\n2 cells",
        "RetinaNet p5, stride 32\nnone",
    ]
    assert len(panels) == 4
    both = assigned(p4={(0, ..., 0, 0): 0})
    figure, _ = draw_assignment(image, {"RetinaNet": both}, BOXES, strides=[16])
    assert [t.get_text() for t in figure.texts] == ["RetinaNet p4, stride 16\n1 cell, 2 anchors"]


def test_levels_that_a_detector_lacks_are_left_out(image):
    fine = Pyramid(ONE.levels[:1])
    _, panels = draw_assignment(image, {"FCOS": fine, "RetinaNet": ONE}, BOXES, chosen=0)
    assert [axes.images[1].get_array().shape[:2] for axes in panels] == [(6, 10), (6, 10), (3, 5)]


def test_points_of_the_chosen_box_are_drawn(image):
    rows, columns = np.mgrid[0:6, 0:10] * 16.0
    points = {"RetinaNet": [np.stack([columns, rows], -1), np.zeros((3, 5, 2))]}
    _, panels = draw_assignment(image, {"RetinaNet": ONE}, BOXES, chosen=0, index=1, points=points)
    assert panels[0].lines[0].get_xydata().tolist() == [[64, 16], [80, 16]]
    assert panels[0].get_xlim() == (0, 160)


def test_a_box_that_is_not_there_and_an_image_without_boxes(image):
    with pytest.raises(ValueError, match="3 boxes, from 0"):
        draw_assignment(image, {"FCOS": ONE}, BOXES, chosen=3)
    _, panels = draw_assignment(image, {"FCOS": assigned()}, np.zeros((0, 4)))
    assert not tints(panels[0])


def test_nothing_is_cut_or_written_twice(image, layout_faults):
    names = {"FCOS": ONE, "RetinaNet": ONE}
    figure, _ = draw_assignment(image, names, BOXES, chosen=0, index=1, caption="How to read. " * 9)
    assert not layout_faults(figure)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(70, 20, 2), (90, 40, 0), (8, 8, 1), (16, 16, 1), (120, 90, None), (20, 70, None)],
)
def test_a_click_finds_the_smallest_box_round_it(x, y, expected):
    assert box_at(BOXES, x, y) == expected
    assert box_at(torch.tensor(BOXES), x, y) == expected
    assert box_at([], x, y) is None
