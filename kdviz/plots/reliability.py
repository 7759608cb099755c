"""What the scores of detectors are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kdviz.plots.images import as_array
from kdviz.plots.panels import LINE, MARGIN, shorten
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.theme import DPI, FAINT, INK, PAPER, in_role_order, name_colours, theme

FEW = 20
"""Boxes below which the share that is right says little."""

_SIZE = 8.0
_LEFT, _RIGHT = 0.7, 1.75  # inches for numbers and names
_HEIGHT, _LOW = 2.9, 0.85  # inches of the charts
_GAP, _BELOW = 0.14, 0.42
_CAPTION = (
    "Of the boxes of a score, the share that is right. On the dotted line a score can be taken at "
    "its word; below it a detector is too sure of itself, above it too modest. Hollow: fewer than "
    f"{FEW} boxes. The error is the mean distance from the dotted line, each box weighing the "
    "same: the line counts most where the lower chart is high."
)


@theme()
def reliability_diagram(
    curves: Mapping[str, Any],
    *,
    caption: str | None = _CAPTION,
    width: float = 6.5,
) -> tuple[Figure, tuple[Axes, Axes]]:
    """How often boxes of a score are right, and how many have it, a line a detector.

    Args:
        curves: by role or name, each with ``edges``, the bins of the score (B + 1,), rising from 0
            to 1; ``boxes``, how many each holds (B,); ``score``, their mean score, and
            ``precision``, the share of them that is right, NaN where there is none (B,); and
            ``error``, the calibration error, NaN without boxes.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure, and the axes of the shares and of the numbers of boxes.

    Raises:
        ValueError: there are no curves.
    """
    if not curves:
        raise ValueError("reliability_diagram needs at least one detector")
    order = in_role_order(curves)
    colours = name_colours(order)
    figure, shares, numbers = _charts(caption, width)
    shares.plot([0, 1], [0, 1], color=INK, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
    for words, place, align in (("too modest", (0.03, 0.95), "left"),
                                ("too sure", (0.97, 0.05), "right")):  # fmt: skip
        shares.text(*place, words, size=_SIZE, color="#8a97a3", ha=align, va="center_baseline")
    for row, name in enumerate(order):
        one, colour = curves[name], colours[name]
        boxes = as_array(one.boxes)
        known = boxes > 0
        score, right = (as_array(x)[known] for x in (one.score, one.precision))
        shares.plot(score, right, "-", color=colour, linewidth=1.3)
        shares.scatter(score, right, s=22, zorder=3, edgecolors=colour, linewidths=1.2,
                       color=[colour if n >= FEW else PAPER for n in boxes[known]])  # fmt: skip
        numbers.stairs(np.where(known, boxes, np.nan), as_array(one.edges), color=colour,
                       baseline=None, linewidth=1.3)  # fmt: skip
        _write_name(shares, row, name, colour, one.error, int(boxes.sum()))
    _dress(shares, numbers)
    return figure, (shares, numbers)


def _charts(caption: str | None, width: float) -> tuple[Figure, Axes, Axes]:
    figure, floor = captioned_figure(width, _HEIGHT + _GAP + _LOW + _BELOW, caption)
    tall = figure.get_size_inches()[1]
    left, room = _LEFT / width, (width - _LEFT - _RIGHT) / width
    low = (floor + _BELOW) / tall
    numbers = figure.add_axes((left, low, room, _LOW / tall))
    shares = figure.add_axes((left, low + (_LOW + _GAP) / tall, room, _HEIGHT / tall))
    return figure, shares, numbers


def _write_name(axes: Axes, row: int, name: str, colour: str, error: float, boxes: int) -> None:
    step = 3.4 * _SIZE * LINE / _HEIGHT
    told = f"error {error:.3f}\n" if math.isfinite(error) else ""
    text = f"{shorten(name, (_RIGHT - MARGIN) * 72 - 8, _SIZE)}\n{told}{boxes:,} boxes"
    axes.text(1.03, 1 - row * step, text, size=_SIZE, color=colour, va="top", linespacing=1.25,
              transform=axes.transAxes)  # fmt: skip


def _dress(shares: Axes, numbers: Axes) -> None:
    shares.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
    shares.tick_params(axis="x", labelbottom=False)
    shares.grid(True)
    numbers.set_yscale("log")
    low, high = numbers.get_ylim()
    numbers.set(xlim=(0, 1), ylim=(min(0.8, low), high), xlabel="score", ylabel="boxes")
    numbers.yaxis.set_major_locator(LogLocator(numticks=4))
    numbers.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    numbers.yaxis.set_minor_formatter(NullFormatter())
    for axes in (shares, numbers):
        inches = axes.get_window_extent().width / DPI
        axes.yaxis.set_label_coords((0.2 - _LEFT) / inches, 0.5)
    numbers.grid(True, color=FAINT, alpha=0.5)
