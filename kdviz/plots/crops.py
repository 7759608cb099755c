"""Objects cut out of their images, and rows of such crops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kdviz.plots.images import as_boxes, as_image, show_image
from kdviz.plots.panels import MARGIN, NARROWEST, shorten, text_size
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.theme import DPI, FAINT, FIGURE_WIDTH, INK, theme

NAME_SIZE = 9.0
NOTE_SIZE = 7.0
_NAME_ROOM = 1.3  # most inches for the name of a row
_TILE = 0.56  # side of a crop, inches
_SPACE = 0.06  # between crops, inches
_NOTE_ROOM = 0.16  # below a crop with a note, inches


def crop_around(image: Any, box: Any, margin: float = 0.3) -> NDArray[np.uint8]:
    """The square around a box, with some of what is beside it; grey where the image ends.

    Args:
        image: (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        box: (4,) xyxy, pixels of the image.
        margin: added to the longer side of the box, as a share of it, >= 0.

    Returns:
        (side, side, 3), whose middle is that of the box to within half a pixel.
    """
    pixels = as_image(image)
    x1, y1, x2, y2 = as_boxes([box])[0]
    side = max(1, round(max(x2 - x1, y2 - y1) * (1 + margin)))
    left, top = (math.floor((low + high - side) / 2 + 0.5) for low, high in ((x1, x2), (y1, y2)))
    crop = np.full((side, side, 3), np.array(to_rgb(FAINT)) * 255, dtype=np.uint8)
    inside = pixels[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    row, column = max(-top, 0), max(-left, 0)
    crop[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return crop


@theme()
def crop_rows(
    rows: Mapping[str, Sequence[Any]],
    *,
    notes: Mapping[str, Sequence[str]] | None = None,
    colours: Mapping[str, str] | None = None,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, Axes]:
    """Rows of crops of one size, each row with its name, each crop with a word below.

    Args:
        rows: by name: crops, each (3, h, w) float in [0, 1] or (h, w, 3) uint8. Crops for which the
            figure is too narrow are left out; the name of the row then says how many.
        notes: by name, one short text for each crop; may be empty.
        colours: of the names.
        caption: sentence below.
        width: of the figure, inches; by default as wide as the longest row needs.

    Returns:
        The figure and its one axes, whose unit is a pixel of the figure.

    Raises:
        ValueError: there is no crop, or a row has not one note for each crop.
    """
    longest = max((len(crops) for crops in rows.values()), default=0)
    if not longest:
        raise ValueError("nothing to draw: every row of crops is empty")
    for name, crops in rows.items():
        if notes is not None and len(notes[name]) != len(crops):
            raise ValueError(f"{len(notes[name])} notes for the {len(crops)} crops of {name!r}")
    room = min(_NAME_ROOM, max(text_size(name, NAME_SIZE)[0] for name in rows) / 72 + 0.12)
    step = _TILE + _SPACE
    columns = int(((width or FIGURE_WIDTH) - 2 * MARGIN - room + _SPACE) / step)
    columns = max(1, min(longest, columns))
    pitch = step + (_NOTE_ROOM if notes is not None and any(map(any, notes.values())) else 0.0)
    wide, high = room + columns * step - _SPACE, len(rows) * pitch - _SPACE
    figure, floor = captioned_figure(width or max(NARROWEST, wide + 2 * MARGIN), high, caption)
    lefts = [room + j * step for j in range(columns)]
    tops = [i * pitch for i in range(len(rows))]
    full = figure.get_size_inches()
    box = (MARGIN / full[0], floor / full[1], wide / full[0], high / full[1])
    axes = figure.add_axes(box)
    show_image(axes, _sheet(list(rows.values()), lefts, tops, (high, wide)))
    for top, (name, crops) in zip(tops, rows.items(), strict=True):
        more = len(crops) - columns
        text = shorten(name, (room - 0.1) * 72, NAME_SIZE) + (f"\n+{more} more" if more > 0 else "")
        axes.text(0, (top + _TILE / 2) * DPI, text, size=NAME_SIZE, va="center",
                  color=(colours or {}).get(name, INK))  # fmt: skip
        for left, note in zip(lefts, (notes or {}).get(name, []), strict=False):
            place = (left + _TILE / 2) * DPI, (top + _TILE + 0.02) * DPI
            text = shorten(note, (step - 0.01) * 72, NOTE_SIZE)
            axes.text(*place, text, size=NOTE_SIZE, ha="center", va="top")
    return figure, axes


def _sheet(
    rows: Sequence[Sequence[Any]],
    lefts: Sequence[float],
    tops: Sequence[float],
    size: tuple[float, float],
) -> NDArray[np.uint8]:
    """All crops on one white image: one picture is drawn many times faster than one for each."""
    sheet = np.full((round(size[0] * DPI), round(size[1] * DPI), 3), 255, dtype=np.uint8)
    side = round(_TILE * DPI)
    for top, crops in zip(tops, rows, strict=True):
        for left, crop in zip(lefts, crops, strict=False):
            y, x = round(top * DPI), round(left * DPI)
            sheet[y : y + side, x : x + side] = resized(as_image(crop), side)
    return sheet


def resized(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square crop at another size, with five bits a colour.

    Args:
        pixels: (s, s, 3).
        side: of the result, pixels.
    """
    kind = Image.Resampling.BOX if max(pixels.shape) > side else Image.Resampling.NEAREST
    small = np.asarray(Image.fromarray(pixels).resize((side, side), kind))
    # They look the same at this size, and the PNG of a grainy crop needs half of its bytes.
    return np.round(np.round(small * (31 / 255)) * (255 / 31)).astype(np.uint8)
