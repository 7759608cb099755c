"""Which level takes a box, as the box grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from kdviz.plots.assigned_cells import slots_found
from kdviz.plots.images import as_array, as_boxes
from kdviz.plots.marks import outline
from kdviz.plots.panels import CAPTION_SIZE, GAP, LINE, MARGIN, TITLE_SIZE, wrap
from kdviz.plots.theme import FIGURE_WIDTH, INK, new_figure, theme
from kdviz.structures import Pyramid


@theme()
def draw_level_by_size(
    sizes: Sequence[float],
    counts: Mapping[str, Any],
    assigned: Mapping[str, Pyramid],
    box: Any,
    *,
    caption: str | None = None,
    width: float = FIGURE_WIDTH,
) -> tuple[Figure, list[Axes]]:
    """How many slots of each level a box of each size is given, and where they lie for one size.

    Args:
        sizes: sides of a square box, pixels, rising.
        counts: by detector, (S, L): positive slots of each level at each size.
        assigned: by detector, for ``box`` alone, int (1, A, H, W) per level, as in
            `draw_assignment`.
        box: the box that is shown on the left, xyxy; its side is marked in the charts.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes: for each detector the picture, then the chart.

    Raises:
        ValueError: a detector has counts of other sizes or levels than it should.
    """
    (shown,) = as_boxes([box])
    caption = wrap(caption, (width - 2 * MARGIN) * 72, CAPTION_SIZE) if caption else ""
    lines = caption.count("\n") + 1 if caption else 0
    head, side, foot = TITLE_SIZE * LINE + 0.06, 2.0, 0.42
    below = lines * CAPTION_SIZE * LINE
    tall = 2 * MARGIN + len(assigned) * (head + side) + (len(assigned) - 1) * GAP + foot + below
    figure = new_figure(width, tall)
    left = MARGIN + side + 0.65
    panels: list[Axes] = []
    top = tall - MARGIN - head
    for number, (name, pyramid) in enumerate(assigned.items()):
        rows = as_array(counts[name])
        if rows.shape != (len(sizes), len(pyramid.levels)):
            raise ValueError(
                f"counts of {name} must be ({len(sizes)}, {len(pyramid.levels)}), sizes and "
                f"levels, but are {rows.shape}"
            )
        picture = figure.add_axes((MARGIN / width, (top - side) / tall, side / width, side / tall))
        chart = figure.add_axes(
            (left / width, (top - side) / tall, (width - left - 0.25) / width, side / tall)
        )
        told = [
            f"{level.name}: {slots_found(as_array(level.map)[0], 0)}"
            for level in pyramid.levels
            if (as_array(level.map)[0] == 0).any()
        ]
        title = f"{name}, {shown[2] - shown[0]:.0f} pixels: {'; '.join(told) or 'no cell'}"
        figure.text(MARGIN / width, (top + 0.07) / tall, title, size=TITLE_SIZE, va="baseline")
        colours = _level_colours(len(pyramid.levels))
        _draw_levels(picture, pyramid, shown, colours)
        _draw_counts(chart, sizes, rows, [x.name for x in pyramid.levels], colours)
        chart.axvline(shown[2] - shown[0], color=INK, linewidth=1.0, linestyle=(0, (2, 2)))
        chart.set_ylabel("positive " + ("anchors" if _slots_a_cell(pyramid) > 1 else "cells"))
        last = number == len(assigned) - 1
        chart.tick_params(labelbottom=last)
        if last:
            chart.set_xlabel("side of the box, pixels")
        panels += [picture, chart]
        top -= head + side + GAP
    if caption:
        figure.text(MARGIN / width, (MARGIN + below) / tall, caption, size=CAPTION_SIZE, va="top",
                    linespacing=1.2)  # fmt: skip
    return figure, panels


def _slots_a_cell(pyramid: Pyramid) -> int:
    return max(values.shape[1] for values in pyramid.maps)


def _level_colours(count: int) -> list[str]:
    """From fine (dark) to coarse; the palest yellow is left out, since it is lost on paper."""
    return [to_hex(c) for c in mpl.colormaps["plasma"](np.linspace(0.0, 0.85, count))]


def _draw_levels(
    axes: Axes, pyramid: Pyramid, box: NDArray[np.float64], colours: Sequence[str]
) -> None:
    """Positive cells of all levels as squares round the box, coarse ones below."""
    x, y = (box[:2] + box[2:]) / 2
    reach = max(32.0, 0.9 * float((box[2:] - box[:2]).max()))
    axes.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach), aspect="equal")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    for level, colour in reversed(list(zip(pyramid.levels, colours, strict=True))):
        cells = np.argwhere((as_array(level.map)[0] >= 0).any(axis=0))
        corners = cells[:, None, ::-1] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        squares = PolyCollection(
            list(corners * float(level.stride)),
            facecolors=to_rgba(colour, 0.35),
            edgecolors=colour,
            linewidths=0.9,
        )
        axes.add_collection(squares, autolim=False)
    outline(axes, box[None], INK, line_width=1.6)


def _draw_counts(
    axes: Axes,
    sizes: Sequence[float],
    counts: NDArray[Any],
    names: Sequence[str],
    colours: Sequence[str],
) -> None:
    axes.set_xscale("log", base=2)
    top = max(1, counts.max())
    axes.set(xlim=(min(sizes), max(sizes)), ylim=(0, 1.15 * top))
    powers = [2**k for k in range(1, 13) if min(sizes) <= 2**k <= max(sizes)]
    axes.xaxis.set_major_locator(FixedLocator(powers))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, axis="y")
    for name, colour, height in zip(names, colours, counts.T, strict=True):
        at_work = np.flatnonzero(height)
        if not len(at_work):
            continue
        first, last = max(0, at_work[0] - 1), at_work[-1] + 2
        axes.fill_between(sizes[first:last], height[first:last], color=colour, alpha=0.15, lw=0)
        axes.plot(sizes[first:last], height[first:last], color=colour)
        # All names in one row, each over the middle of the sizes that its level gets most of.
        most = np.flatnonzero(height > 0.5 * height.max())
        middle = float(np.sqrt(sizes[most[0]] * sizes[most[-1]]))
        axes.text(min(middle, 0.95 * max(sizes)), 1.02 * top, name, color=colour, size=9,
                  ha="center", va="bottom")  # fmt: skip
