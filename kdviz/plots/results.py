"""Results of several detectors against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.panels import chart_panels, shorten, text_size
from kdviz.plots.theme import PAPER, ROLE_COLOURS, in_role_order, name_colours, theme

LABEL_SIZE = 8.0

_CURVES = "The area below a line is the average precision: lines further up are better."
_CUT = " A diamond marks where the threshold of the detector cuts its line."

# Two-sided 95 % quantiles of Student's t, by degrees of freedom from 1.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042)  # fmt: skip


@theme()
def compare_ap(
    results: Mapping[str, Sequence[float]],
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    metric: str = "AP",
    caption: str | None = None,
    width: float = 8.0,
) -> tuple[Figure, Axes]:
    """One row a method: its mean, the interval of the mean, and above it a dot for each seed.

    A dotted line marks the mean of the student alone, which every distilled student has to beat.

    Args:
        results: by role or name, one value per seed, in [0, 1].
        intervals: (low, high) by name; by default the 95 % interval of the mean by Student's t,
            where there are two seeds or more.
        metric: written along the axis.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes; row 0 is at the top.

    Raises:
        ValueError: a name comes without any value.
    """
    order = in_role_order(results)
    if not order or any(len(results[name]) == 0 for name in order):
        raise ValueError("compare_ap needs at least one name, and a value for each name")
    colours = name_colours(order)
    figure, axes, left = _row_chart(order, caption, width)
    for row, name in enumerate(order):
        seeds, colour = np.asarray(results[name], dtype=np.float64), colours[name]
        mean = seeds.mean()
        known = intervals or {}
        low, high = known[name] if name in known else t_interval(seeds)
        axes.plot([max(low, 0.0), min(high, 1.0)], [row, row], "|-", color=colour, linewidth=1.8,
                  markersize=8)  # fmt: skip
        axes.plot(seeds, np.full(len(seeds), row - 0.25), "o", color=colour, markersize=4,
                  alpha=0.6, markeredgewidth=0)  # fmt: skip
        axes.plot([mean], [row], "D", color=colour, markersize=6.5, markeredgecolor="white")
        half = (high - low) / 2
        spread = f" ± {half:.3f}" if half > 0 else ""
        seed_count = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
        axes.text(1.02, row, f"{mean:.3f}{spread}, {seed_count}", size=LABEL_SIZE, va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip
    if "student" in results:
        alone = float(np.mean(results["student"]))
        axes.axvline(alone, color=ROLE_COLOURS["student"], linewidth=1.0,
                     linestyle=(0, (1, 2)), zorder=0)  # fmt: skip
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_yticks(range(len(order)), [shorten(name, left * 72 - 8, 9) for name in order], size=9)
    for label, name in zip(axes.get_yticklabels(), order, strict=True):
        label.set_color(colours[name])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(True, axis="x")
    axes.set_xlabel(metric)
    return figure, axes


@theme()
def ap_differences(
    differences: Mapping[str, Sequence[float]],
    *,
    intervals: Mapping[str, tuple[float, float] | None] | None = None,
    metric: str = "AP",
    baseline: str = "student",
    caption: str | None = None,
    width: float = 8.0,
) -> tuple[Figure, Axes]:
    """One row a method: how much better or worse than the baseline it is, seed by seed.

    A dot is the difference of two runs of one seed, the diamond their mean, the bar the interval of
    that mean. The line at zero is the baseline: a bar that crosses it leaves the question open, and
    its diamond is hollow.

    Args:
        differences: by method, one value per seed, in [-1, 1].
        intervals: (low, high) by method, None where there is none; by default the 95 % interval of
            the mean by Student's t, where there are two seeds or more.
        metric: written along the axis.
        baseline: what the methods are compared with.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes; row 0 is at the top.

    Raises:
        ValueError: a method comes without any difference.
    """
    order = list(differences)
    if not order or any(len(differences[name]) == 0 for name in order):
        raise ValueError("ap_differences needs at least one method, and a value for each")
    colours = name_colours(order)
    figure, axes, left = _row_chart(order, caption, width)
    reach = 0.0
    for row, name in enumerate(order):
        seeds, colour = np.asarray(differences[name], dtype=np.float64), colours[name]
        mean = float(seeds.mean())
        span = t_interval(seeds) if len(seeds) > 1 else None
        span = span if intervals is None else intervals.get(name)
        decided = span is not None and not span[0] <= 0 <= span[1]
        if span is not None:
            axes.plot(span, [row, row], "|-", color=colour, linewidth=1.8, markersize=8)
        axes.plot(seeds, np.full(len(seeds), row - 0.25), "o", color=colour, markersize=4,
                  alpha=0.6, markeredgewidth=0)  # fmt: skip
        axes.plot([mean], [row], "D", color=colour, markersize=6.5,
                  markerfacecolor=colour if decided else PAPER)  # fmt: skip
        text = f"{mean:+z.3f}"
        text += ", 1 seed" if span is None else f", {span[0]:+z.3f} to {span[1]:+z.3f}"
        axes.text(1.02, row, text, size=LABEL_SIZE, va="center",
                  transform=axes.get_yaxis_transform())  # fmt: skip
        reach = max([reach, *np.abs(seeds), *np.abs(span or ())])
    axes.axvline(0, color=ROLE_COLOURS["student"], linewidth=1.4, zorder=1)
    axes.set_xlim(-1.08 * reach or -0.01, 1.08 * reach or 0.01)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_yticks(range(len(order)), [shorten(name, left * 72 - 8, 9) for name in order], size=9)
    for label, name in zip(axes.get_yticklabels(), order, strict=True):
        label.set_color(colours[name])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(True, axis="x")
    axes.set_xlabel(
        f"{metric} minus that of the {baseline}: worse to the left, better to the right"
    )
    return figure, axes


@theme()
def precision_recall(
    curves: Mapping[str, tuple[Any, Any]],
    *,
    reached: Mapping[str, Any] | None = None,
    of: int | None = None,
    title: str = "",
    caption: str | None = None,
    width: float = 5.5,
) -> tuple[Figure, Axes]:
    """Precision over recall, one line a role.

    Args:
        curves: by role: (recall, precision), recall (n,) rising in [0, 1], precision (n,), or
            (K, n) for K classes; NaN or less than 0 means that there was no ground truth, as in
            COCO's tables, and is left out.
        reached: by role, the recall at the detector's threshold, marked on its line: a number, or
            one for each class, (K,), which are averaged or chosen from as the curves are.
        of: position of a class; None draws the mean over the classes.
        title: above, for example class and IoU.
        caption: sentence below; by default how to read it.
        width: of the figure, inches.

    Returns:
        The figure and its axes, both from 0 to 1.
    """
    caption = _CURVES + _CUT * bool(reached) if caption is None else caption
    figure, (axes,) = chart_panels([title], height=3.0, right=1.75, caption=caption, width=width)
    order = in_role_order(curves)
    colours = name_colours(order)
    for name in order:
        recall = as_array(curves[name][0]).astype(np.float64)
        precision = _of_classes(curves[name][1], of, single=1)
        label = shorten(name, 1.1 * 72, LABEL_SIZE)
        axes.plot(recall, precision, color=colours[name], label=label)
        stop = float(_of_classes((reached or {}).get(name, np.nan), of, single=0))
        some = precision > 0  # past the last box a line falls to 0, where no threshold cuts it
        if np.isfinite(stop) and some.any():
            height = np.interp(stop, recall[some], precision[some])
            axes.plot([stop], [height], "D", color=colours[name], markersize=6.5,
                      markeredgecolor=PAPER, zorder=3)  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.grid(True)
    # Not at the ends, as elsewhere: all these lines end in one corner.
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), labelcolor="linecolor", handlelength=1.2
    )
    return figure, axes


def _of_classes(values: Any, of: int | None, single: int) -> NDArray[np.float64]:
    """Values of one class or their mean over all, NaN left out; as they are with few axes."""
    array = as_array(values).astype(np.float64)
    array = np.where(array < 0, np.nan, array)
    if array.ndim == single:
        return array
    if of is not None:
        return np.asarray(array[of])
    known = ~np.isnan(array)
    total, count = np.where(known, array, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def t_interval(values: Any) -> tuple[float, float]:
    """95 % interval of the mean by Student's t; (mean, mean) for a single value."""
    array = np.asarray(values, dtype=np.float64)
    mean, count = float(array.mean()), len(array)
    if count < 2:
        return mean, mean
    quantile = _T95[count - 2] if count - 2 < len(_T95) else 1.96
    half = quantile * float(array.std(ddof=1)) / count**0.5
    return mean - half, mean + half


def _row_chart(
    names: Sequence[str], caption: str | None, width: float
) -> tuple[Figure, Axes, float]:
    """A chart with a row for each name, and the inches that the names may take."""
    left = min(2.8, 0.33 * width, max(text_size(name, 9)[0] for name in names) / 72 + 0.15)
    figure, (axes,) = chart_panels(
        [""], height=0.34 * len(names) + 0.1, left=left, right=1.95, caption=caption, width=width
    )
    return figure, axes, left
