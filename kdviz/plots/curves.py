"""Numbers over a training run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.lines import choose_scale, label_ends, running_mean, steps_axis
from kdviz.plots.panels import chart_panels
from kdviz.plots.theme import CLASS_COLOURS, in_role_order, name_colours, paler, theme

DETECTION_TERMS = frozenset(
    {
        *("classification", "bbox_regression", "bbox_ctrness"),
        *("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"),
    }
)
"""Loss terms of torchvision's detectors; every other term counts as distillation."""


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
        smooth = {key: running_mean(lines[key][1], smoothing) for key in keys}
        choose_scale(axes, smooth.values())
        for key in keys:
            steps, raw = lines[key]
            if smoothing:
                axes.plot(steps, raw, color=colours[key], linewidth=0.8, alpha=0.25)
            axes.plot(steps, smooth[key], color=colours[key], label=key)
        axes.grid(True, axis="y")
        axes.set_ylabel("loss")
        steps_axis(axes, last=axes is panels[-1])
        label_ends(axes, {key: smooth[key] for key in keys}, colours, 1.65)
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
    steps_axis(axes, last=True)
    label_ends(axes, ends, colours, 1.65)
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
