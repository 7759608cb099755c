"""How several methods learn beside the baseline: a small chart for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from kdviz.plots.lines import running_mean
from kdviz.plots.progress import Line
from kdviz.plots.sheets import small_charts
from kdviz.plots.theme import ROLE_COLOURS, theme

METHOD, BASELINE = ROLE_COLOURS["distilled"], ROLE_COLOURS["student"]
"""Colours of a method's lines and of the baseline's."""
_CAPTION = "A line is the mean over the seeds, its band reaches from the least to the greatest."


@theme()
def learning_charts(
    runs: Mapping[str, Sequence[Line]],
    *,
    unit: str,
    baseline: Sequence[Line] = (),
    smoothing: float = 0.8,
    skip: float = 0.05,
    linear: bool = False,
    columns: int = 4,
    caption: str | None = None,
    width: float = 10.0,
) -> tuple[Figure, list[Axes]]:
    """A small chart for each method: its values over the steps, and behind it the baseline's.

    All charts have one vertical axis, logarithmic where all is positive and spans more than a
    factor of three, unless ``linear``. Lines end where the first of their seeds ends.

    Args:
        runs: by method, for each seed a value at some steps; a method without any is left out.
        unit: of the values, written along the axis.
        baseline: the same of the student alone, drawn in every chart.
        smoothing: share of the past in the running mean, [0, 1); 0 draws the values themselves.
        skip: share of the steps at the beginning that the vertical axis does not have to show.
        linear: for values that are no losses: never a logarithmic axis.
        columns: charts of one row.
        caption: sentence below; by default how to read it.
        width: of the figure, inches.

    Returns:
        The figure and one axes per method that has a line.

    Raises:
        ValueError: there is no line, or ``smoothing`` lies outside [0, 1).
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1) but is {smoothing}")
    bands = {name: _band(lines, smoothing) for name, lines in runs.items()}
    shown = {name: band for name, band in bands.items() if band is not None}
    if not shown:
        raise ValueError("learning_charts needs at least one method with values at some steps")
    behind = _band(baseline, smoothing)
    if caption is None:
        caption = f"{_CAPTION} Orange: the baseline." if behind else _CAPTION
    figure, panels = small_charts(list(shown), columns=columns, caption=caption, width=width)
    last = max(float(band.steps[-1]) for band in shown.values())
    for number, (axes, band) in enumerate(zip(panels, shown.values(), strict=True)):
        if behind is not None:
            _draw(axes, behind, BASELINE)
        _draw(axes, band, METHOD)
        _set_height(axes, [*shown.values(), *([behind] if behind else [])], skip * last, linear)
        axes.set_xlim(0, 1.01 * last)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(True, axis="y")
        axes.tick_params(axis="y", which="both", labelleft=number % columns == 0)
        if number % columns == 0:
            axes.set_ylabel(unit)
        if number >= len(panels) - columns:
            axes.set_xlabel("step")
    return figure, panels


class _Band:
    """Mean, least and greatest of several lines at the steps that all of them have."""

    def __init__(self, steps: Sequence[int], values: NDArray[np.float64]) -> None:
        self.steps = np.asarray(steps)
        self.mean, self.low, self.high = values.mean(0), values.min(0), values.max(0)


def _band(lines: Sequence[Line], smoothing: float) -> _Band | None:
    known = [line for line in lines if line]
    steps = sorted(set.intersection(*(set(line) for line in known))) if known else []
    if not steps:
        return None
    smooth = [running_mean(np.array([line[s] for s in steps], dtype=float), smoothing)
              for line in known]  # fmt: skip
    return _Band(steps, np.array(smooth))


def _draw(axes: Axes, band: _Band, colour: str) -> None:
    axes.fill_between(band.steps, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
    mark = "o" if len(band.steps) < 12 else ""
    axes.plot(band.steps, band.mean, color=colour, linewidth=1.4, marker=mark, markersize=3)


def _set_height(axes: Axes, bands: Sequence[_Band], first: float, linear: bool) -> None:
    kept = [band.steps >= first for band in bands]
    kept = [some if some.any() else ~some for some in kept]
    low = min(float(band.low[some].min()) for band, some in zip(bands, kept, strict=True))
    high = max(float(band.high[some].max()) for band, some in zip(bands, kept, strict=True))
    if not (math.isfinite(low) and math.isfinite(high)):
        return
    if low > 0 and high > 3 * low and not linear:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.05, high * 1.05)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        room = 0.05 * (high - low) or 0.05 * abs(high) or 0.01
        axes.set_ylim(low - room, high + room)
        axes.yaxis.set_major_locator(MaxNLocator(5))
