"""Where things stand in a figure: a grid of image panels, titles, bars, a caption that fits.

All positions are computed in inches before anything is drawn, from the sizes of image and text.
That is exact, and many times faster than a layout engine that draws in order to measure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.scale import LinearScale
from matplotlib.ticker import NullFormatter, NullLocator

from kdviz.plots.theme import DPI, FIGURE_WIDTH, INK, new_figure

MARGIN = 0.1
GAP = 0.14
BAR = 0.75
"""Width kept for a colour bar with its numbers, inches."""
TITLE_SIZE = 10.0
CAPTION_SIZE = 9.0
LINE = 1.3 / 72
"""Height of a line of text, inches per point of its size."""
TALLEST = 6.0
NARROWEST = 3.2


class ImageAxes(Axes):
    """Axes of an image, which has neither ticks nor grid: none are made.

    Others make some as soon as they exist, to set grid, marks and clipping on them; in a figure of
    images that is a fifth of the time of painting.
    """

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = (
            _TicklessXAxis(self, clear=False),
            _TicklessYAxis(self, clear=False),
        )
        for side in ("bottom", "top"):
            self.spines[side].register_axis(self.xaxis)
        for side in ("left", "right"):
            self.spines[side].register_axis(self.yaxis)

    def grid(self, *_: Any, **__: Any) -> None:
        """Nothing: an image has no grid."""

    def tick_params(self, *_: Any, **__: Any) -> None:
        """Nothing: an image has no ticks."""


class _TicklessXAxis(XAxis):
    def clear(self) -> None:
        _untick(self)

    def set_clip_path(self, path: Any, transform: Any = None) -> None:
        Artist.set_clip_path(self, path, transform)


class _TicklessYAxis(YAxis):
    def clear(self) -> None:
        _untick(self)

    def set_clip_path(self, path: Any, transform: Any = None) -> None:
        Artist.set_clip_path(self, path, transform)


def _untick(axis: Any) -> None:
    axis._set_scale(_TicklessScale(axis))


class _TicklessScale(LinearScale):
    def set_default_locators_and_formatters(self, axis: Axis) -> None:
        axis.set_major_locator(NullLocator())
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(NullFormatter())
        axis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class Panels:
    """A figure with its empty panels.

    Attributes:
        figure: carries titles and caption already.
        axes: one per panel, in reading order.
        bars: axes for colour bars, by the index of the panel to their left.
        foot: middle of the strip below the panels, as a fraction of the figure's height.
    """

    figure: Figure
    axes: list[Axes]
    bars: dict[int, Axes]
    foot: float


@lru_cache(maxsize=4096)
def text_size(text: str, size: float) -> tuple[float, float]:
    """Width and height of one line of text in points (1/72 inch).

    Measured at the resolution of our figures, since hinting widens small letters by up to 6 %.
    """
    width, height, _ = _renderer().get_text_width_height_descent(
        text, FontProperties(family=["DejaVu Sans"], size=size), False
    )
    return width * 72 / DPI + 0.5, height * 72 / DPI


@lru_cache(maxsize=1)
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, DPI)


def shorten(text: str, width: float, size: float) -> str:
    """The text, cut with an ellipsis where it is wider than ``width`` points."""
    if text_size(text, size)[0] <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_size(text[:middle].rstrip() + "…", size)[0] <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "…"


def wrap(text: str, width: float, size: float, lines: int | None = None) -> str:
    """The text broken into lines of at most ``width`` points.

    Args:
        text: line breaks in it are kept.
        width: points.
        size: of the font, points.
        lines: most lines; the last one ends in an ellipsis where more text follows. A text with as
            many lines of its own keeps them, each cut alone.
    """
    if lines is not None and text.count("\n") == lines - 1:
        return "\n".join(shorten(line, width, size) for line in text.split("\n"))
    done: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if not line or text_size(longer, size)[0] <= width:
                line = longer
            else:
                done.append(line)
                line = word
        done.append(line)
    if lines is not None and len(done) > lines:
        done = [*done[: lines - 1], " ".join(done[lines - 1 :])]
    return "\n".join(shorten(line, width, size) for line in done)


def image_panels(
    size: tuple[int, int],
    titles: Sequence[str],
    *,
    colours: Sequence[str] | None = None,
    columns: int | None = None,
    bars: Collection[int] = (),
    caption: str | None = None,
    width: float | None = None,
    foot: float = 0.0,
) -> Panels:
    """A grid of equal panels, each of exactly the shape of the image.

    Args:
        size: (height, width) of the images, any unit: only the ratio counts.
        titles: one per panel, may be empty; wrapped to two lines, then cut.
        colours: of the titles.
        columns: panels of one row; by default at most four, in rows as even as can be.
        bars: indices of the panels with a colour bar at their right.
        caption: sentence below the figure, wrapped.
        width: of the figure, inches; by default as wide as the panels need.
        foot: height kept free between panels and caption, inches.

    Raises:
        ValueError: no panel is asked for.
    """
    if not titles:
        raise ValueError("nothing to draw: give at least one image or map")
    count = len(titles)
    columns = min(count, columns or math.ceil(count / math.ceil(count / 4)))
    rows = math.ceil(count / columns)
    extra = [BAR if any(i % columns == c for i in bars) else 0.0 for c in range(columns)]
    fixed = 2 * MARGIN + (columns - 1) * GAP + sum(extra)
    wide = min(FIGURE_WIDTH, fixed + columns * 4.5) if width is None else width
    ratio = size[0] / size[1]
    panel = max(0.4, min((wide - fixed) / columns, TALLEST / rows / ratio))
    wide = max(NARROWEST, fixed + columns * panel) if width is None else wide
    # Spare room (a tall image under a caption) goes between the panels, with their titles.
    cell = (wide - fixed) / columns
    titles = [wrap(title, cell * 72, TITLE_SIZE, lines=2) for title in titles]
    heads = []
    for row in range(rows):
        shown = [t for t in titles[row * columns : (row + 1) * columns] if t]
        deepest = max((t.count("\n") + 1 for t in shown), default=0)
        heads.append(deepest * TITLE_SIZE * LINE + (0.06 if shown else 0.0))
    caption = wrap(caption, (wide - 2 * MARGIN) * 72, CAPTION_SIZE) if caption else ""
    below = _caption_height(caption) + foot
    tall = 2 * MARGIN + sum(heads) + rows * panel * ratio + (rows - 1) * GAP + below
    figure = new_figure(wide, tall)
    axes: list[Axes] = []
    bar_axes: dict[int, Axes] = {}
    top = tall - MARGIN
    for row in range(rows):
        top -= heads[row]
        bottom = top - panel * ratio
        left = MARGIN
        for column in range(columns):
            index = row * columns + column
            if index < len(titles):
                box = (left / wide, bottom / tall, panel / wide, panel * ratio / tall)
                axes.append(figure.add_axes(box, axes_class=ImageAxes))
                if titles[index]:
                    colour = colours[index] if colours else INK
                    figure.text(left / wide, (top + 0.09) / tall, titles[index], color=colour,
                                size=TITLE_SIZE, va="baseline", linespacing=1.15)  # fmt: skip
                if index in bars:
                    box = ((left + panel + 0.08) / wide, box[1], 0.12 / wide, box[3])
                    bar_axes[index] = figure.add_axes(box)
            left += cell + GAP + extra[column]
        top = bottom - GAP
    if caption:
        _write_caption(figure, caption)
    middle = MARGIN + _caption_height(caption) + foot / 2
    return Panels(figure, axes, bar_axes, middle / tall)


def chart_panels(
    titles: Sequence[str],
    *,
    height: float,
    width: float,
    left: float = 0.7,
    right: float = MARGIN,
    caption: str | None = None,
) -> tuple[Figure, list[Axes]]:
    """Charts of one height below each other, with room for numbers and for names at the right.

    Args:
        titles: one per chart, may be empty.
        height: of one chart, inches.
        width: of the figure, inches.
        left: kept for the numbers of the vertical axis, inches.
        right: kept for names beside the lines, inches.
        caption: sentence below the figure, wrapped.
    """
    caption = wrap(caption, (width - 2 * MARGIN) * 72, CAPTION_SIZE) if caption else ""
    head = TITLE_SIZE * LINE + 0.06
    heads = [head if title else 0.0 for title in titles]
    numbers = 0.46  # numbers and name of the last horizontal axis
    below = _caption_height(caption) + numbers
    tall = 2 * MARGIN + sum(heads) + len(titles) * height + (len(titles) - 1) * GAP + below
    figure = new_figure(width, tall)
    panels: list[Axes] = []
    top = tall - MARGIN
    room = width - left - right
    for title, above in zip(titles, heads, strict=True):
        top -= above + height
        axes = figure.add_axes((left / width, top / tall, room / width, height / tall))
        if title:
            axes.set_title(shorten(title, room * 72, TITLE_SIZE), size=TITLE_SIZE, pad=4)
        panels.append(axes)
        top -= GAP
    if caption:
        _write_caption(figure, caption)
    return figure, panels


def _caption_height(caption: str) -> float:
    return (caption.count("\n") + 1) * CAPTION_SIZE * LINE + 0.08 if caption else 0.0


def _write_caption(figure: Figure, caption: str) -> None:
    width, height = figure.get_size_inches()
    top = MARGIN + _caption_height(caption) - 0.08
    figure.text(MARGIN / width, top / height, caption, size=CAPTION_SIZE, va="top",
                linespacing=1.2)  # fmt: skip


def one_panel(
    axes: Axes | None,
    size: tuple[int, int],
    title: str,
    caption: str | None,
    width: float | None,
    bar: bool = False,
) -> tuple[Figure, Axes, Axes | None]:
    """A new figure of one panel, or the caller's axes with title and caption set on them.

    Returns:
        The figure, its axes, and the axes of the colour bar where ``bar`` asks for one.
    """
    if axes is None:
        shown = [0] if bar else []
        panels = image_panels(size, [title], caption=caption, width=width, bars=shown)
        return panels.figure, panels.axes[0], panels.bars.get(0)
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure any more; make new ones")
    room = axes.get_window_extent().width / figure.dpi * 72
    axes.set_title(wrap(title, room, TITLE_SIZE, lines=2), size=TITLE_SIZE, loc="left")
    if caption:
        text = wrap(caption, room, CAPTION_SIZE)
        axes.annotate(text, (0, 0), (0, -4), "axes fraction", "offset points", va="top",
                      size=CAPTION_SIZE, annotation_clip=False)  # fmt: skip
    beside = axes.inset_axes((1.02, 0, 0.03, 1)) if bar else None
    return figure, axes, beside


def points_per_unit(axes: Axes) -> float:
    """Points (1/72 inch) on paper for one pixel of the image shown in these axes."""
    axes.apply_aspect()
    figure = axes.get_figure(root=True)
    dpi = figure.dpi if figure is not None else DPI
    low, high = axes.get_xlim()
    return float(axes.get_window_extent().width * 72 / dpi / abs(high - low))
