"""One number of many objects against others: every object, and the mean of each bin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.results import t_interval
from kdviz.plots.sheets import small_charts
from kdviz.plots.theme import INK, theme


@dataclass(frozen=True)
class Bin:
    """Objects of similar x.

    Attributes:
        x: their mean.
        mean: of y.
        low: lower end of the 95 % interval of that mean.
        high: upper end.
        count: objects.
    """

    x: float
    mean: float
    low: float
    high: float
    count: int


def binned_means(x: Any, y: Any, bins: int = 5) -> list[Bin]:
    """The mean of y in bins of about equally many objects, along x.

    A value of x that more than one object in ``bins`` has is a bin of its own: of most objects the
    blur is exactly 0.

    Args:
        x: (n,).
        y: (n,).
        bins: how many at most, >= 1.
    """
    x, y = (as_array(values).astype(np.float64).ravel() for values in (x, y))
    values, counts = np.unique(x, return_counts=True)
    alone = values if len(values) <= bins else values[counts > len(x) / bins]
    rest = ~np.isin(x, alone)
    members = [x == value for value in alone]
    parts = max(1, min(bins - len(alone), round(bins * rest.mean()))) if rest.any() else 0
    if parts:
        inner = np.quantile(x[rest], np.linspace(0, 1, parts + 1))[1:-1]
        part = np.searchsorted(inner, x, side="left")
        members += [rest & (part == k) for k in range(parts)]
    found = [
        Bin(float(x[m].mean()), float(y[m].mean()), *t_interval(y[m]), int(m.sum()))
        for m in members
        if m.any()
    ]
    return sorted(found, key=lambda each: each.x)


@theme()
def trend_panels(
    x: Mapping[str, Any],
    y: Any | Mapping[str, Any],
    *,
    unit: str,
    titles: Mapping[str, str] | None = None,
    baseline: float | None = None,
    bins: int = 5,
    columns: int = 4,
    caption: str | None = None,
    width: float = 10.0,
) -> tuple[Figure, list[Axes]]:
    """Small charts of one scale: a number of every object against several others.

    Faint dots are objects; a black dot is the mean of a bin, its bar the 95 % interval of it.

    Args:
        x: by name, written along the axis, (n,) numbers.
        y: what all are compared with, (n,), or by name where it differs.
        unit: of y, written along its axis.
        titles: by name, above the chart.
        baseline: where y would be if nothing happened; drawn as a dotted line.
        bins: of one chart, at most.
        columns: charts of one row.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and one axes per name.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not x:
        raise ValueError("nothing to draw: give at least one number to compare with")
    heights = {name: as_array(y[name] if isinstance(y, Mapping) else y) for name in x}
    words = [(titles or {}).get(name, "") for name in x]
    figure, panels = small_charts(words, columns=columns, caption=caption, width=width)
    every = np.concatenate([np.ravel(values) for values in heights.values()])
    low, high = float(every.min()), float(every.max())
    room = max(high - low, 1e-6) * 0.05
    for number, (axes, (name, across)) in enumerate(zip(panels, x.items(), strict=True)):
        _draw_trend(axes, as_array(across), heights[name], bins)
        if baseline is not None:
            axes.axhline(baseline, color=INK, linewidth=1.0, linestyle=(0, (1, 2)), zorder=1)
        axes.set(ylim=(low - room, high + room), xlabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(True, axis="y")
        axes.tick_params(axis="y", labelleft=number % columns == 0)
        if number % columns == 0:
            axes.set_ylabel(unit)
    return figure, panels


def _draw_trend(axes: Axes, x: NDArray[Any], y: NDArray[Any], bins: int) -> None:
    axes.plot(x, y, "o", color="#8a97a3", markersize=3, alpha=0.35, markeredgewidth=0)
    found = binned_means(x, y, bins)
    means = np.array([each.mean for each in found])
    reach = np.array([(each.mean - each.low, each.high - each.mean) for each in found]).T
    axes.errorbar([each.x for each in found], means, yerr=reach, fmt="o-", color=INK, markersize=4,
                  linewidth=1.2, capsize=2.5)  # fmt: skip
