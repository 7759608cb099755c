"""Names at the left of the rows of a chart."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from kdviz.plots.panels import shorten, text_size

ROW_SIZE = 8.5


def row_room(names: Sequence[str], most: float, size: float = ROW_SIZE) -> float:
    """Inches that the names take, at most this many."""
    longest = max((text_size(name, size)[0] for name in names), default=0.0)
    return min(most, longest / 72 + 0.2)


def name_rows(axes: Axes, names: Sequence[str], room: float, size: float = ROW_SIZE) -> None:
    """Write the name of row i at y = i, cut where it is longer than its room of inches."""
    short = [shorten(name, room * 72 - 10, size) for name in names]
    axes.set_yticks(range(len(names)), short, size=size)
    axes.tick_params(axis="y", length=0)
