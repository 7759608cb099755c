"""Evidence for or against the usual bugs of a distillation run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from kdviz.plots.panels import chart_panels
from kdviz.plots.rows import name_rows, row_room
from kdviz.plots.theme import CLASS_COLOURS, INK, MISSED, ROLE_COLOURS, paler, theme

_ROW = 0.26  # inches
_MOST_ROWS = 16


@theme()
def share_bars(
    values: Mapping[str, float],
    *,
    unit: str,
    suspects: Collection[str] = (),
    limit: float | None = None,
    caption: str | None = None,
    width: float = 7.0,
) -> Figure:
    """One bar a name, the longest first; the suspects stand out.

    Args:
        values: by name, 0 or more; the sixteen largest are drawn.
        unit: written along the axis.
        suspects: names that the bug is about.
        limit: a dashed line, from which on a value is suspect.
        caption: sentence below.
        width: of the figure, inches.
    """
    names = sorted(values, key=lambda name: -values[name])[:_MOST_ROWS]
    left = row_room(names, 0.5 * width)
    figure, (axes,) = chart_panels(
        [""], height=_ROW * len(names) + 0.1, left=left, right=0.6, caption=caption, width=width
    )
    for row, name in enumerate(names):
        colour = MISSED if name in suspects else ROLE_COLOURS["teacher"]
        axes.barh(row, values[name], height=0.62, color=colour)
        axes.text(values[name], row, f" {values[name]:.2g}", va="center", size=8)
    if limit is not None:
        axes.axvline(limit, color=INK, linestyle="--", linewidth=0.9)
    axes.set_xlim(0, max([1e-12, limit or 0, *values.values()]) * 1.02)
    _rows(axes, names, left)
    axes.set_xlabel(unit)
    return figure


@theme()
def level_shares(shares: Mapping[str, Mapping[str, float]], *, width: float = 7.0) -> Figure:
    """What each pyramid level has of each term, as one stacked bar a term.

    Args:
        shares: by term, then by level; each term's sum to 1.
        width: of the figure, inches.
    """
    names = list(shares)
    levels = sorted({level for levels in shares.values() for level in levels})
    left = row_room(names, 0.5 * width)
    figure, (axes,) = chart_panels(
        [""], height=_ROW * len(names) + 0.1, left=left, right=0.2, width=width,
        caption="Levels from fine (left, dark) to coarse. One colour from end to end: that level "
        "is all the term has.",
    )  # fmt: skip
    for index, level in enumerate(levels):
        colour = paler(CLASS_COLOURS[0], 0.8 * index / max(1, len(levels) - 1))
        for row, name in enumerate(names):
            share = shares[name].get(level, 0.0)
            start = sum(shares[name].get(before, 0.0) for before in levels[:index])
            axes.barh(row, share, left=start, height=0.62, color=colour)
            if share > 0.08:
                axes.text(start + share / 2, row, level, ha="center", va="center", size=8,
                          color="white" if index < len(levels) / 2 else INK)  # fmt: skip
    axes.set_xlim(0, 1)
    _rows(axes, names, left)
    axes.set_xlabel("share of the term, summed over the run")
    return figure


@theme()
def rate_band(
    rate: float,
    images: int,
    bounds: Callable[[int], tuple[float, float]],
    *,
    caption: str | None = None,
    width: float = 6.0,
) -> Figure:
    """A run's learning rate over its images a step, and the band of what is usual.

    Args:
        rate: peak learning rate.
        images: in one step, over all devices.
        bounds: lowest and highest usual rate for a number of images.
        caption: sentence below.
        width: of the figure, inches.
    """
    figure, (axes,) = chart_panels([""], height=2.2, width=width, left=0.8, caption=caption)
    counts = 2 ** np.arange(0, 11)
    low, high = np.array([bounds(int(count)) for count in counts]).T
    axes.fill_between(counts, low, high, color=paler(ROLE_COLOURS["teacher"], 0.7), linewidth=0)
    inside = bounds(images)[0] <= rate <= bounds(images)[1]
    axes.plot([images], [rate], "o", color=ROLE_COLOURS["teacher"] if inside else MISSED, ms=8)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("images a step")
    axes.set_ylabel("learning rate")
    axes.grid(True)
    return figure


def _rows(axes: Axes, names: list[str], left: float) -> None:
    name_rows(axes, names, left)
    axes.set_ylim(len(names) - 0.5, -0.5)
