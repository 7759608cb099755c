"""Where close-ups stand: the part of an image that each shows, and the place of its panel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdviz.plots.images import as_boxes
from kdviz.plots.panels import LINE, MARGIN
from kdviz.plots.theme import DPI, FIGURE_WIDTH

CONTEXT = 1.8
"""Side of the part that is shown, in longer sides of the object."""
LEAST_SIDE = 32
"""Least side of the part that is shown, pixels of the image."""
_FARTHEST = 3.0  # longer sides of the object up to which the part grows to hold other boxes

TITLE_SIZE, HEAD_SIZE, NOTE_SIZE = 8.5, 9.5, 7.5
_PANELS_A_ROW = 8
_LARGEST = 160  # side of a panel; this and what follows in pixels of the figure
BETWEEN_PANELS, _BETWEEN_STRIPS, _BETWEEN_ROWS = 6, 30, 12
BAR = 4
"""Height of the coloured bar above a panel."""


def view_around(
    box: Any, others: Iterable[Any] = (), *, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A square around an object with some of what is beside it, inside the image where it can be.

    Args:
        box: (4,) xyxy of the object, pixels of the image.
        others: boxes (4,) that should be seen whole, too, unless they are much larger.
        size: (height, width) of the image.

    Returns:
        x1, y1, x2, y2; beyond the image only where its shorter side is too short.
    """
    own = as_boxes([box])[0]
    longest = float(max(own[2] - own[0], own[3] - own[1], 1.0))
    every = as_boxes([own, *others])
    union = np.concatenate([every[:, :2].min(0), every[:, 2:].max(0)])
    extent = 1.1 * float((union[2:] - union[:2]).max())
    middle = union if extent <= _FARTHEST * longest else own
    wish = max(CONTEXT * longest, LEAST_SIDE, min(extent, _FARTHEST * longest))
    side = math.ceil(min(wish, max(size)))
    left, top = (
        _start((middle[axis] + middle[axis + 2] - side) / 2, side, size[1 - axis])
        for axis in (0, 1)
    )
    return left, top, left + side, top + side


def _start(wish: float, side: int, extent: int) -> int:
    """Where a range of this length begins inside [0, extent), centred where it is longer."""
    if side > extent:
        return math.floor((extent - side) / 2)
    return min(max(0, round(wish)), extent - side)


@dataclass(frozen=True)
class StripLayout:
    """Where the panels of some strips stand, pixels of the figure from the upper left of its axes.

    Attributes:
        side: of every panel.
        corners: left and top of each panel, (strips, panels, 2).
        size: height and width of the axes.
    """

    side: int
    corners: NDArray[np.int64]
    size: tuple[int, int]

    def place(self, strip: int, panel: int, view: Any, box: Any) -> NDArray[np.float64]:
        """Where a box (4,) xyxy in pixels of the image lies in a panel that shows this view."""
        x1, y1, x2, _ = as_boxes([view])[0]
        inside = (as_boxes([box])[0] - [x1, y1, x1, y1]) * (self.side / (x2 - x1))
        return np.asarray(inside + np.tile(self.corners[strip, panel], 2))


def lay_out(
    notes: Sequence[Sequence[int]], columns: int | None = None, width: float | None = None
) -> StripLayout:
    """Places for strips of equal panels in rows.

    Args:
        notes: lines of text below each panel of each strip.
        columns: strips of one row; by default as many as make eight panels.
        width: of the figure, inches.
    """
    count = len(notes[0])
    columns = columns or max(1, _PANELS_A_ROW // count)
    room = round(((width or FIGURE_WIDTH) - 2 * MARGIN) * DPI)
    strip = (room + _BETWEEN_STRIPS) // columns - _BETWEEN_STRIPS
    side = min(_LARGEST, (strip + BETWEEN_PANELS) // count - BETWEEN_PANELS)
    step = count * (side + BETWEEN_PANELS) - BETWEEN_PANELS + _BETWEEN_STRIPS
    corners = np.zeros((len(notes), count, 2), np.int64)
    top = text_height(HEAD_SIZE) + 6
    for start in range(0, len(notes), columns):
        row = range(start, min(start + columns, len(notes)))
        top += text_height(TITLE_SIZE) + BAR + 3
        for column, index in enumerate(row):
            corners[index, :, 0] = column * step + np.arange(count) * (side + BETWEEN_PANELS)
            corners[index, :, 1] = top
        deepest = max(max(notes[index]) for index in row)
        top += side + 3 + deepest * text_height(NOTE_SIZE) + _BETWEEN_ROWS
    wide = min(columns, len(notes)) * step - _BETWEEN_STRIPS
    return StripLayout(side, corners, (top - _BETWEEN_ROWS, wide))


def text_height(size: float) -> int:
    """Height of a line of text of this size in points, pixels of the figure."""
    return math.ceil(size * LINE * DPI)
