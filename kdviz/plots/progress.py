"""Several runs beside each other while they are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots.curves import DETECTION_TERMS
from kdviz.plots.lines import choose_scale, label_ends, running_mean, steps_axis
from kdviz.plots.panels import chart_panels
from kdviz.plots.theme import FAINT, in_role_order, name_colours, paler, theme

History = Sequence[Mapping[str, Any]]
Line = dict[int, float]
"""A value at some steps."""

_NAMES = 1.4  # inches at the right of the lines
_LEAST_SPAN = 0.05  # of the scores' axis, so that a hair's breadth looks like one


@theme()
def compare_runs(
    runs: Mapping[str, Sequence[History]],
    *,
    steps: int,
    metric: str = "AP",
    smoothing: float = 0.6,
    caption: str | None = None,
    width: float = 8.0,
) -> tuple[Figure, list[Axes]]:
    """Losses and scores of several methods over their steps, as far as their runs are.

    Above the detection loss, which means the same for every method; in the middle what the method
    adds to it, as weighted; below the score on the validation split. A pale line is one seed, a
    strong one the mean over the seeds at the steps that all begun seeds have come to. An axis is
    logarithmic where its lines span more than a factor of thirty.

    Args:
        runs: by role or method, the records of ``metrics.jsonl`` of each seed; may be empty.
        steps: that a run has in the end.
        metric: which score.
        smoothing: share of the past in the running mean of the losses, [0, 1).
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its three axes.

    Raises:
        ValueError: ``smoothing`` lies outside [0, 1).
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1) but is {smoothing}")
    titles = ["detection loss", "distillation loss, as weighted", f"{metric}, validation split"]
    figure, panels = chart_panels(
        titles, height=1.45, left=0.75, right=_NAMES + 0.1, caption=caption, width=width
    )
    order = in_role_order(runs)
    colours = name_colours(order)
    readers: list[Callable[[History], Line]] = [
        detection_loss,
        distillation_loss,
        lambda history: scores(history, metric),
    ]
    for axes, read in zip(panels, readers, strict=True):
        is_loss = axes is not panels[-1]
        axes.set_xlim(0, 1.02 * steps)
        means = {}
        for name in order:
            seeds = [line for line in map(read, runs[name]) if line]
            for line in seeds if len(seeds) > 1 else []:
                _draw(axes, line, smoothing * is_loss, paler(colours[name], 0.55), 0.9)
            mean = _mean(seeds)
            if mean:
                mark = "" if is_loss else "o"
                means[name] = _draw(axes, mean, smoothing * is_loss, colours[name], 1.8, mark)
        if is_loss and means:
            choose_scale(axes, means.values())
        elif means:
            low, high = axes.get_ylim()
            spare = max(0.0, _LEAST_SPAN - (high - low)) / 2
            axes.set_ylim(max(0.0, low - spare), high + spare)
        if not means:
            axes.set_yticks([])
            axes.text(0.5, 0.5, "nothing yet", ha="center", va="center", color=FAINT,
                      transform=axes.transAxes)  # fmt: skip
        axes.grid(True, axis="y")
        steps_axis(axes, last=axes is panels[-1])
        label_ends(axes, means, colours, _NAMES)
    return figure, panels


def detection_loss(history: History) -> Line:
    """Sum of the detector's own terms, by step."""
    return _sums(history, "terms", own=True)


def distillation_loss(history: History) -> Line:
    """Sum of all other terms, each with its weight, by step; empty for a run without any."""
    return _sums(history, "weighted", own=False)


def scores(history: History, metric: str) -> Line:
    """A score of the validation split, by the number of steps that were done."""
    return {x["step"] + 1: x["metrics"][metric] for x in history if "metrics" in x}


def _sums(history: History, values: str, own: bool) -> Line:
    line = {}
    for record in history:
        terms = record.get(values, {})
        kept = [x for key, x in terms.items() if (key.split("/")[0] in DETECTION_TERMS) == own]
        if kept:
            line[record["step"]] = float(sum(kept))
    return line


def _mean(seeds: Sequence[Line]) -> Line:
    if not seeds:
        return {}
    shared = sorted(set.intersection(*(set(line) for line in seeds)))
    return {step: sum(line[step] for line in seeds) / len(seeds) for step in shared}


def _draw(
    axes: Axes, line: Line, smoothing: float, colour: str, strength: float, mark: str = ""
) -> np.ndarray:
    values = running_mean(np.array(list(line.values()), dtype=np.float64), smoothing)
    axes.plot(list(line), values, color=colour, linewidth=strength, marker=mark, markersize=4)
    return values
