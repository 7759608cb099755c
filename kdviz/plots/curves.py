"""Numbers over a training run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from kdviz.plots.panels import chart_panels, shorten
from kdviz.plots.theme import CLASS_COLOURS, in_role_order, name_colours, paler, theme

DETECTION_TERMS = frozenset(
    {
        *("classification", "bbox_regression", "bbox_ctrness"),
        *("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"),
    }
)
"""Loss terms of torchvision's detectors; every other term counts as distillation."""

LABEL_SIZE = 8.0


@theme()
def loss_curves(
    history: Sequence[Mapping[str, Any]],
    *,
    values: Literal["terms", "weighted"] = "terms",
    smoothing: float = 0.9,
    detection_terms: Collection[str] = DETECTION_TERMS,
    caption: str | None = None,
    width: float = 9.0,
) -> tuple[Figure, list[Axes]]:
    """Every loss term over the steps of a run: the detector's own above, the distillation below.

    A strong line is the running mean, the faint one the logged values. The levels of a term share
    its colour, paler from fine to coarse. An axis is logarithmic where its terms span more than a
    factor of thirty.

    Args:
        history: records of ``metrics.jsonl``: ``step`` and ``terms`` (and ``weighted``), each a
            dict of ``term`` or ``term/level``. A term may be missing in some records.
        values: the unweighted terms, or those the optimiser saw.
        smoothing: share of the past in the running mean, [0, 1); 0 draws the logged values alone.
        detection_terms: names that belong in the upper panel.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and one axes per kind of loss that occurs.

    Raises:
        ValueError: no record has any term, or ``smoothing`` lies outside [0, 1).
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1) but is {smoothing}")
    lines = _series(history, values)
    if not lines:
        raise ValueError(f"none of the {len(history)} records has '{values}'; is the run young?")
    kinds = {
        "detection losses": [key for key in lines if key.split("/")[0] in detection_terms],
        "distillation terms": [key for key in lines if key.split("/")[0] not in detection_terms],
    }
    kinds = {kind: keys for kind, keys in kinds.items() if keys}
    suffix = ", weighted" if values == "weighted" else ""
    figure, panels = chart_panels(
        [kind + suffix for kind in kinds],
        height=2.3,
        left=0.85,
        right=1.75,
        caption=caption,
        width=width,
    )
    every = np.concatenate([steps for steps, _ in lines.values()])
    margin = 0.02 * (every.max() - every.min()) or 1.0
    for axes, keys in zip(panels, kinds.values(), strict=True):
        axes.set_xlim(every.min() - margin, every.max() + margin)
        colours = _term_colours(keys)
        smooth = {key: _running_mean(lines[key][1], smoothing) for key in keys}
        _choose_scale(axes, smooth.values())
        for key in keys:
            steps, raw = lines[key]
            if smoothing:
                axes.plot(steps, raw, color=colours[key], linewidth=0.8, alpha=0.25)
            axes.plot(steps, smooth[key], color=colours[key], label=key)
        axes.grid(True, axis="y")
        axes.set_ylabel("loss")
        _steps_axis(axes, last=axes is panels[-1])
        _label_ends(axes, {key: smooth[key] for key in keys}, colours, 1.65)
    return figure, panels


@theme()
def ap_curve(
    curves: Mapping[str, Sequence[Sequence[tuple[float, float]]]],
    *,
    metric: str = "AP",
    caption: str | None = None,
    width: float = 7.0,
) -> tuple[Figure, Axes]:
    """AP over training, one line a role: the mean over its seeds in a band from least to greatest.

    Args:
        curves: by role; each a list of runs (seeds), each run a list of (step, AP) in the order of
            training. Runs of one role are joined where they share a step.
        metric: written along the axis; values in [0, 1].
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes.
    """
    figure, (axes,) = chart_panels([""], height=2.6, right=1.75, caption=caption, width=width)
    order = in_role_order(curves)
    colours = name_colours(order)
    ends = {}
    for name in order:
        runs = [{float(step): float(ap) for step, ap in run} for run in curves[name] if len(run)]
        if not runs:
            continue
        steps = sorted(set.intersection(*(set(run) for run in runs)))
        table = np.array([[run[step] for step in steps] for run in runs])
        if len(runs) > 1:
            low, high = table.min(0), table.max(0)
            axes.fill_between(steps, low, high, color=colours[name], alpha=0.18, linewidth=0)
        mark = "o" if len(steps) < 30 else ""
        axes.plot(
            steps, table.mean(0), marker=mark, markersize=3.5, color=colours[name], label=name
        )
        ends[name] = table.mean(0)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(metric)
    axes.grid(True, axis="y")
    _steps_axis(axes, last=True)
    _label_ends(axes, ends, colours, 1.65)
    return figure, axes


def _series(
    history: Sequence[Mapping[str, Any]], values: str
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    keys = dict.fromkeys(key for record in history for key in record.get(values, {}))
    steps = {key: [r["step"] for r in history if key in r.get(values, {})] for key in keys}
    return {
        key: (
            np.array(steps[key], dtype=np.float64),
            np.array([r[values][key] for r in history if key in r.get(values, {})], dtype=float),
        )
        for key in keys
    }


def _running_mean(values: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """Exponential mean without the pull towards zero at the start; NaN and inf are left out."""
    total = weight = 0.0
    means = np.empty(len(values))
    for index, value in enumerate(values):
        if np.isfinite(value):
            total = smoothing * total + value
            weight = smoothing * weight + 1.0
        means[index] = total / weight if weight else np.nan
    return means


def _term_colours(keys: Sequence[str]) -> dict[str, str]:
    """One colour a term; its levels grow paler towards the last."""
    terms = list(dict.fromkeys(key.split("/")[0] for key in keys))
    colours = {}
    for key in keys:
        term = key.split("/")[0]
        family = [other for other in keys if other.split("/")[0] == term]
        fade = 0.5 * family.index(key) / max(1, len(family) - 1)
        colours[key] = paler(CLASS_COLOURS[terms.index(term) % len(CLASS_COLOURS)], fade)
    return colours


def _choose_scale(axes: Axes, lines: Iterable[NDArray[np.float64]]) -> None:
    every = np.concatenate([line[np.isfinite(line)] for line in lines])
    if every.size and every.min() > 0 and every.max() > 30 * every.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))


def _steps_axis(axes: Axes, last: bool) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(axis="x", labelbottom=last)
    if last:
        axes.set_xlabel("step")


def _label_ends(
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
