"""Strips of close-ups: the same part of an image side by side, once for each detector or place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kdviz.plots.crops import crop_around, resized
from kdviz.plots.labels import SMALL_LABEL_SIZE, Label, Labels, place_label
from kdviz.plots.panels import MARGIN, NARROWEST, ImageAxes, shorten, text_size, wrap
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.strip_layout import (
    BAR,
    BETWEEN_PANELS,
    HEAD_SIZE,
    NOTE_SIZE,
    TITLE_SIZE,
    StripLayout,
    lay_out,
    text_height,
)
from kdviz.plots.theme import DPI, INK, MISSED, PAPER, theme

_HALO = (*to_rgb(PAPER), 0.7)
_DOTS = (0.0, (1.0, 3.0))  # the ends of each dot reach half a width further
_WIDTHS = {"solid": 1.6, "thin": 0.8, "dotted": 1.6}


@dataclass(frozen=True)
class Mark:
    """A box in a close-up.

    Attributes:
        box: (4,) xyxy, pixels of the image.
        colour: of its outline and label.
        name: written at it, may be empty.
        score: written after the name, [0, 1].
        line: ``thin`` for what stands in the background, ``dotted`` for what does not count.
    """

    box: Any
    colour: str
    name: str = ""
    score: float | None = None
    line: Literal["solid", "thin", "dotted"] = "solid"


@dataclass(frozen=True)
class CloseUp:
    """One panel of a strip.

    Attributes:
        marks: drawn in this order, labelled in this order.
        note: below the panel, two lines at most.
        is_wrong: the note is written in the colour of what is missed.
    """

    marks: Sequence[Mark]
    note: str = ""
    is_wrong: bool = False


@dataclass(frozen=True)
class Strip:
    """Close-ups of one place.

    Attributes:
        image: (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        view: (4,) xyxy, the square to show, pixels of the image; see `view_around`.
        title: above.
        panels: one for each column of the figure.
    """

    image: Any
    view: Any
    title: str
    panels: Sequence[CloseUp]


@theme()
def draw_strips(
    strips: Sequence[Strip],
    heads: Sequence[str],
    colours: Sequence[str],
    *,
    columns: int | None = None,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, Axes]:
    """Strips in rows, the first row under the names of its panels.

    Everything stands on one axes, which is painted several times faster than one for each panel.

    Args:
        strips: each with one panel for each head.
        heads: names of the panels.
        colours: of the heads, and of a bar above every panel.
        columns: strips of one row; by default as many as make eight panels.
        caption: sentence below.
        width: of the figure, inches; by default as wide as needed.

    Returns:
        The figure and its one axes, whose unit is a pixel of the figure; `lay_out` tells where
        each panel is.

    Raises:
        ValueError: there is no strip, or one has not a panel for each head.
    """
    if not strips:
        raise ValueError("nothing to draw: give at least one object")
    for strip in strips:
        if len(strip.panels) != len(heads):
            raise ValueError(f"{len(strip.panels)} panels of {strip.title!r} for {list(heads)}")
    side = lay_out([[0] * len(heads)], columns, width).side
    notes = [[_fit(panel.note, side) for panel in strip.panels] for strip in strips]
    lines = [[note.count("\n") + 1 if note else 0 for note in row] for row in notes]
    layout = lay_out(lines, columns, width)
    high, wide = layout.size
    full = width or max(NARROWEST, wide / DPI + 2 * MARGIN)
    figure, floor = captioned_figure(full, high / DPI, caption)
    tall = figure.get_size_inches()[1]
    box = (MARGIN / full, floor / tall, wide / DPI / full, high / DPI / tall)
    axes = figure.add_axes(box, axes_class=ImageAxes)
    axes.set(xlim=(0, wide), ylim=(high, 0))
    axes.set_axis_off()
    axes.add_artist(_Crops(axes, _sheet(strips, layout, colours)))
    axes.add_collection(_outlines(strips, layout), autolim=False)
    axes.add_artist(Labels(axes, list(_labels(strips, layout)), SMALL_LABEL_SIZE))
    _write(axes, strips, notes, layout)
    for x, head, colour in zip(layout.corners[0, :, 0], heads, colours, strict=True):
        text = shorten(head, side * 72 / DPI, HEAD_SIZE)
        axes.text(x, text_height(HEAD_SIZE), text, size=HEAD_SIZE, color=colour)
    return figure, axes


class _Crops(Artist):
    """The sheet under everything, put there as it is: matplotlib's own images cost half a repaint.

    Attributes:
        pixels: (h, w, 3), each for one pixel of the figure at its own resolution.
    """

    def __init__(self, axes: Axes, pixels: NDArray[np.uint8]) -> None:
        super().__init__()
        self.pixels = pixels
        self._panel = axes
        self.set_zorder(0)

    def draw(self, renderer: RendererBase) -> None:
        """Put the sheet in its place; in a figure of another resolution it is resized."""
        place = self._panel.get_window_extent()
        size = round(place.width), round(place.height)
        shown = Image.fromarray(self.pixels)
        if size != shown.size:
            shown = shown.resize(size, Image.Resampling.NEAREST)
        gc = renderer.new_gc()
        corner = round(place.x0), round(place.y0)
        renderer.draw_image(gc, *corner, np.asarray(shown.convert("RGBA"))[::-1].copy())
        gc.restore()
        self.stale = False


def _fit(note: str, side: int) -> str:
    return wrap(note, (side + BETWEEN_PANELS - 2) * 72 / DPI, NOTE_SIZE, lines=2) if note else ""


def _sheet(
    strips: Sequence[Strip], layout: StripLayout, colours: Sequence[str]
) -> NDArray[np.uint8]:
    sheet = np.full((*layout.size, 3), 255, dtype=np.uint8)
    side, bars = layout.side, [np.array(to_rgb(colour)) * 255 for colour in colours]
    for strip, corners in zip(strips, layout.corners, strict=True):
        shown = resized(crop_around(strip.image, strip.view, margin=0), side)
        for bar, (x, y) in zip(bars, corners, strict=True):
            sheet[y - BAR - 1 : y - 1, x : x + side] = bar
            sheet[y : y + side, x : x + side] = shown
    return sheet


def _outlines(strips: Sequence[Strip], layout: StripLayout) -> LineCollection:
    """All boxes of all panels as one artist, each line on its halo."""
    lines, colours, widths, dashes = [], [], [], []
    for strip, panel, mark in _every_mark(strips):
        box = layout.place(strip, panel, strips[strip].view, mark.box)
        x, y = layout.corners[strip, panel].tolist()
        pieces = list(_pieces(box, (x, y, x + layout.side, y + layout.side)))
        for halo in (True, False):
            lines += pieces
            colours += [_HALO if halo else to_rgba(mark.colour)] * len(pieces)
            widths += [_WIDTHS[mark.line] + 1.4 * halo] * len(pieces)
            dotted = mark.line == "dotted" and not halo
            dashes += [_DOTS if dotted else "solid"] * len(pieces)
    return LineCollection(
        lines, colors=colours, linewidths=widths, linestyles=dashes, capstyle="projecting"
    )  # fmt: skip


def _every_mark(strips: Sequence[Strip]) -> Iterator[tuple[int, int, Mark]]:
    for index, strip in enumerate(strips):
        for panel, close in enumerate(strip.panels):
            yield from ((index, panel, mark) for mark in close.marks)


def _pieces(
    box: NDArray[np.float64], panel: tuple[int, int, int, int]
) -> Iterator[list[tuple[float, float]]]:
    """The outline of a box as far as it lies in the panel: one closed line, or some of its sides.

    A side that lies outside is not drawn at the edge, so that a box is seen to go on.
    """
    x1, y1, x2, y2 = box.tolist()
    left, top, right, bottom = panel
    if left <= x1 and x2 <= right and top <= y1 and y2 <= bottom:
        yield [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
        return
    low, high = max(x1, left), min(x2, right)
    yield from ([(low, y), (high, y)] for y in (y1, y2) if top <= y <= bottom and low < high)
    low, high = max(y1, top), min(y2, bottom)
    yield from ([(x, low), (x, high)] for x in (x1, x2) if left <= x <= right and low < high)


def _labels(strips: Sequence[Strip], layout: StripLayout) -> Iterator[Label]:
    unit, size = 72 / DPI, SMALL_LABEL_SIZE
    room = layout.side * unit
    for index, strip in enumerate(strips):
        for panel, close in enumerate(strip.panels):
            corner = layout.corners[index, panel] * unit
            taken: list[Label] = []
            for mark in close.marks:
                score = "" if mark.score is None else f"{mark.score:.2f}".removeprefix("0")
                spare = room - text_size(f" {score}", size)[0] - 4
                text = f"{shorten(mark.name, spare, size) if mark.name else ''} {score}".strip()
                box = layout.place(index, panel, strip.view, mark.box) * unit - np.tile(corner, 2)
                x1, y1, x2, y2 = box.tolist()
                if not text or x1 >= room or y1 >= room or x2 <= 0 or y2 <= 0:
                    continue
                label = place_label(text, mark.colour, (x1, y1, x2, y2), (room, room), size, taken)
                if label is not None:
                    taken.append(label)
                    yield label._replace(x=label.x + corner[0], y=label.y + corner[1])


def _write(
    axes: Axes, strips: Sequence[Strip], notes: Sequence[Sequence[str]], layout: StripLayout
) -> None:
    side = layout.side
    for strip, words, corners in zip(strips, notes, layout.corners, strict=True):
        left, top = corners[0]
        title = shorten(strip.title, (corners[-1, 0] + side - left) * 72 / DPI, TITLE_SIZE)
        axes.text(left, top - BAR - 5, title, size=TITLE_SIZE)
        for note, panel, (x, y) in zip(words, strip.panels, corners, strict=True):
            if note:
                axes.text(x + side / 2, y + side + 3, note, size=NOTE_SIZE, ha="center", va="top",
                          linespacing=1.15, color=MISSED if panel.is_wrong else INK)  # fmt: skip
