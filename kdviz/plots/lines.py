"""Lines over training steps: running means, axes, and names at the lines' ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from kdviz.plots.panels import shorten

LABEL_SIZE = 8.0


def running_mean(values: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """Exponential mean without the pull towards zero at the start; NaN and inf are left out."""
    total = weight = 0.0
    means = np.empty(len(values))
    for index, value in enumerate(values):
        if np.isfinite(value):
            total = smoothing * total + value
            weight = smoothing * weight + 1.0
        means[index] = total / weight if weight else np.nan
    return means


def choose_scale(axes: Axes, lines: Iterable[NDArray[np.float64]]) -> None:
    """A logarithmic axis where the lines are positive and span more than a factor of thirty."""
    every = np.concatenate([line[np.isfinite(line)] for line in lines])
    if every.size and every.min() > 0 and every.max() > 30 * every.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))


def steps_axis(axes: Axes, last: bool) -> None:
    """Whole steps along x, with numbers and name below the last panel only."""
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(axis="x", labelbottom=last)
    if last:
        axes.set_xlabel("step")


def label_ends(
    axes: Axes, lines: Mapping[str, NDArray[np.float64]], colours: Mapping[str, str], room: float
) -> None:
    """Names at the right of the lines' ends, moved apart where they would touch."""
    figure = axes.get_figure(root=True)
    ends = {name: line[np.isfinite(line)][-1:] for name, line in lines.items()}
    names = [name for name, end in ends.items() if len(end)]
    if figure is None or not names:
        return
    to_axes = axes.transData + axes.transAxes.inverted()
    wish = {n: float(to_axes.transform((axes.get_xlim()[1], ends[n][0]))[1]) for n in names}
    names.sort(key=lambda name: wish[name])
    tall = axes.get_window_extent().height / figure.dpi * 72
    step = min(LABEL_SIZE * 1.25 / tall, 1.0 / max(1, len(names) - 1))
    places: list[float] = []
    for name in names:
        places.append(max(wish[name], places[-1] + step if places else 0.0))
    places[-1] = min(places[-1], 1.0)
    for index in range(len(places) - 2, -1, -1):
        places[index] = min(places[index], places[index + 1] - step)
    for name, place in zip(names, places, strict=True):
        text = shorten(name, room * 72 - 8, LABEL_SIZE)
        axes.text(1.015, place, text, size=LABEL_SIZE, color=colours[name], va="center",
                  transform=axes.transAxes)  # fmt: skip
