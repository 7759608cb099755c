"""When one cell of a map changes, its own pixels change in the picture, and no others.

So for every function that draws maps over an image: a map that is transposed, mirrored, or half a
stride away fails here.
"""

import numpy as np
import pytest
import torch

from kdviz.plots import (
    assigned_cells,
    cells,
    code_agreement,
    compare_maps,
    draw_assignment,
    instance_in_spaces,
    maps,
    mask_grid,
    overlay,
    pyramid_row,
    regions,
    share_grid,
    shares,
)
from kdviz.plots.images import show_map
from kdviz.plots.regions import kept_cells, signed_weights
from kdviz.structures import Level, Pyramid

SIZE = 96, 160
WHOLE = {"limits": (0, 1)}


def one_cell(stride, cell=None):
    """Zero, but for one cell that keeps the scale and, if asked for, another."""
    values = np.zeros((SIZE[0] // stride, SIZE[1] // stride), np.float32)
    values[-1, 0] = 1.0
    if cell is not None:
        values[cell] = 1.0
    return values


def levels(values, stride):
    """The map as the level of its stride in a pyramid of two."""
    given = torch.from_numpy(values)[None, None]
    other = {16: 32, 32: 16}[stride]
    plain = torch.from_numpy(one_cell(other))[None, None]
    return sorted(
        [Level("this", stride, given), Level("other", other, plain)], key=lambda level: level.stride
    )


def compared(panel):
    """`compare_maps` whose panel shows the map: student, teacher, or student minus teacher."""

    def draw(image, values):
        pair = {"student": values, "teacher": 0 * values}
        if panel == 1:
            pair = {"student": 0 * values, "teacher": values}
        figure, panels = compare_maps(image, pair, 16, **WHOLE)
        return figure, panels[panel]

    return draw


def row(stride):
    def draw(image, values):
        figure, panels = pyramid_row(image, levels(values, stride), **WHOLE)
        return figure, panels[stride == 32]

    return draw


def assignment(image, values):
    slots = torch.from_numpy(values)[None, None].int() - 1  # the cells of box 0, and background
    pyramid = Pyramid((Level("p4", 16, slots),))
    figure, panels = draw_assignment(image, {"fcos": pyramid}, [[8, 8, 40, 30]])
    return figure, panels[0]


def shared(image, values):
    figure, panels = share_grid(image, {"fgfi": values}, 16)
    return figure, panels[1]


# How each draws a map, its stride, and where a cell's middle is, in strides from its corner.
DRAWN = {
    "overlay": (lambda image, values: overlay(image, values, 16, **WHOLE), 16, 0.5),
    "pyramid_row, fine": (row(16), 16, 0.5),
    "pyramid_row, coarse": (row(32), 32, 0.5),
    "compare_maps, student": (compared(0), 16, 0.5),
    "compare_maps, teacher": (compared(1), 16, 0.5),
    "compare_maps, difference": (compared(2), 16, 0.5),
    "mask_grid": (lambda image, values: mask_grid(image, values, 16), 16, 0.5),
    "share_grid": (shared, 16, 0.5),
    "draw_assignment": (assignment, 16, 0.5),
    "signed_weights": (
        lambda image, values: signed_weights(image, values, 0 * values, 16),
        16,
        0.0,
    ),
    "signed_weights, offset": (
        lambda image, values: signed_weights(image, values, 0 * values, 16, offset=0.5),
        16,
        0.5,
    ),
    "kept_cells": (
        lambda image, values: kept_cells(image, values, 0 * values, 0.5, 16),
        16,
        0.0,
    ),
}
MODULES = (assigned_cells, cells, maps, regions, shares)


def changed(draw, image, stride, cell, pixels_of):
    """(x1, y1, x2, y2) in pixels of the image, and how much of that changed with the cell."""
    before, _ = draw(image, one_cell(stride))
    after, axes = draw(image, one_cell(stride, cell))
    differs = (pixels_of(before) != pixels_of(after)).any(axis=2)[::-1]
    panel = axes.get_window_extent()
    low, high = (np.round(edge).astype(int) for edge in (panel.min, panel.max))
    rows, columns = np.nonzero(differs[low[1] : high[1], low[0] : high[0]])
    if not rows.size:
        return np.full(4, np.nan), 0.0
    corners = np.array([(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)])
    (x1, y2), (x2, y1) = axes.transData.inverted().transform(corners + low)
    return np.array([x1, y1, x2, y2]), rows.size / np.ptp(corners, axis=0).prod()


def own_pixels(stride, cell, middle):
    """Of a cell, as far as the image goes."""
    y, x = ((i + middle - 0.5) * stride for i in cell)
    height, width = SIZE
    return np.clip([x, y, x + stride, y + stride], 0, [width, height, width, height])


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("cell", [(0, 2), (1, 4)])
def test_a_cell_is_drawn_on_its_own_pixels(name, cell, image, pixels_of):
    draw, stride, middle = DRAWN[name]
    area, share = changed(draw, image, stride, cell, pixels_of)
    assert np.allclose(area, own_pixels(stride, cell, middle), atol=1.2)
    assert share > 0.95


def transposed(axes, values, stride, **options):
    return show_map(axes, values.swapaxes(0, 1), stride, **options)


def upside_down(axes, values, stride, **options):
    return show_map(axes, values[::-1], stride, **options)


def half_a_stride_away(axes, values, stride, **options):
    drawn = show_map(axes, values, stride, **options)
    drawn.set_extent([edge + stride / 2 for edge in drawn.get_extent()])
    return drawn


@pytest.mark.parametrize(
    "name", ["overlay", "mask_grid", "share_grid", "draw_assignment", "kept_cells"]
)
@pytest.mark.parametrize("wrong", [transposed, upside_down, half_a_stride_away])
def test_a_wrong_picture_is_noticed(name, wrong, image, pixels_of, monkeypatch):
    """One function of each module that draws maps."""
    for module in MODULES:
        monkeypatch.setattr(module, "show_map", wrong)
    draw, stride, middle = DRAWN[name]
    area, _ = changed(draw, image, stride, (0, 2), pixels_of)
    assert not np.allclose(area, own_pixels(stride, (0, 2), middle), atol=stride / 4)


def test_of_two_spaces_x_goes_right_and_y_up(pixel_at):
    points = np.array([[0.0, 0], [1, 0], [0, 1], [0.5, 0.5]])
    figure, axes = instance_in_spaces(
        np.zeros((4, 4, 3), np.uint8),
        3,
        points={"student": points, "teacher": 1 - points},
        codes=dict.fromkeys(("student", "teacher"), np.eye(4)[:, :3]),
        labels=np.array([1, 2, 3, 1]),
        prototypes=np.array([0, 1, 2]),
        names=["disc", "ring", "star"],
    )
    for panel, turned in zip(axes, (False, True), strict=False):
        left, low, right, high = panel.get_window_extent().extents
        for x, y in points[:3]:
            across, up = (left + right) / 2, (low + high) / 2
            drawn = panel.transData.transform((1 - x, 1 - y) if turned else (x, y))
            assert (drawn[0] > across) == bool(x) ^ turned
            assert (drawn[1] > up) == bool(y) ^ turned
            place = panel.transData.inverted().transform(drawn)
            assert np.ptp(pixel_at(figure, panel, *place).astype(int)) > 60  # a class's colour


def test_of_codes_the_student_is_across_and_the_teacher_up(pixel_at):
    ours, theirs = np.full(50, 0.2), np.full(50, 0.8)
    ours[0] = theirs[0] = 0.0
    figure, (panel,) = code_agreement({"student": ours}, theirs)
    assert pixel_at(figure, panel, 0.2, 0.8).max() < 120
    assert pixel_at(figure, panel, 0.8, 0.2).min() == 255
