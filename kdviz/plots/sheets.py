"""Sheets of free layout: room above, caption below; and small charts in a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots.panels import CAPTION_SIZE, GAP, LINE, MARGIN, TITLE_SIZE, wrap
from kdviz.plots.theme import new_figure

_LEFT, _BELOW = 0.65, 0.42  # inches for the numbers of the axes
_HEIGHT = 1.7  # of a small chart, inches


def captioned_figure(width: float, height: float, caption: str | None) -> tuple[Figure, float]:
    """A figure with room of this height above its caption, all sizes in inches.

    Args:
        width: of the figure.
        height: of the room, without the margins of the figure.
        caption: wrapped to the width; None for none.

    Returns:
        The figure, and how far above its lower edge the room begins.
    """
    text = wrap(caption, (width - 2 * MARGIN) * 72, CAPTION_SIZE) if caption else ""
    foot = (text.count("\n") + 1) * CAPTION_SIZE * LINE + 0.08 if text else 0.0
    tall = 2 * MARGIN + height + foot
    figure = new_figure(width, tall)
    if text:
        place = MARGIN / width, (MARGIN + foot - 0.08) / tall
        figure.text(*place, text, size=CAPTION_SIZE, va="top", linespacing=1.2)
    return figure, MARGIN + foot


def small_charts(
    titles: Sequence[str], *, columns: int, caption: str | None, width: float, above: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Small charts of one size in a grid, in reading order.

    Args:
        titles: one per chart, may be empty; wrapped to two lines.
        columns: charts of one row, at most.
        caption: sentence below, wrapped; None for none.
        width: of the figure, inches.
        above: room kept over the first row, inches.
    """
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    across = (width - _LEFT - MARGIN - (columns - 1) * GAP) / columns
    words = [wrap(title, across * 72, TITLE_SIZE, lines=2) for title in titles]
    head = max((word.count("\n") + 1 for word in words if word), default=0) * TITLE_SIZE * LINE
    pitch = head + 0.06 + _HEIGHT + _BELOW
    figure, floor = captioned_figure(width, rows * pitch + above, caption)
    tall = figure.get_size_inches()[1]
    panels = []
    for number, word in enumerate(words):
        left = _LEFT + number % columns * (across + GAP)
        bottom = floor + (rows - 1 - number // columns) * pitch + _BELOW
        axes = figure.add_axes((left / width, bottom / tall, across / width, _HEIGHT / tall))
        axes.set_title(word, size=TITLE_SIZE, pad=4)
        panels.append(axes)
    return figure, panels
