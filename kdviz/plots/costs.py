"""What each kind of error costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots.rows import few_ticks, number_rows
from kdviz.plots.theme import INK, in_role_order, theme

KINDS = {
    "class": "wrong class",
    "localisation": "badly localised",
    "both": "both wrong",
    "duplicate": "found twice",
    "background": "on background",
    "missed": "missed",
}
_SUMS = {"false_positives": "all wrong boxes", "false_negatives": "all unfound objects"}
_CAPTION = (
    "How much AP50 would rise if all errors of one kind were mended and all else stayed, the "
    "dearest kind at the top. Below the line: all wrong boxes, and all objects that were not "
    "found. Errors hide one another, so that the kinds do not sum to these."
)


class Costs(Protocol):
    """Average precision that mending errors would win, each in [0, 1]."""

    @property
    def gains(self) -> Mapping[str, float]:
        """By the kind of error; those of `KINDS` are written in their words."""

    @property
    def false_positives(self) -> float:
        """Of all wrong boxes."""

    @property
    def false_negatives(self) -> float:
        """Of all objects that were not found."""


@theme()
def error_costs(
    costs: Mapping[str, Costs],
    *,
    label: str = "AP50 that mending these errors would win",
    caption: str | None = _CAPTION,
    width: float = 8.5,
) -> tuple[Figure, Axes]:
    """What each kind of error costs each detector, as bars, the dearest kind at the top.

    Args:
        costs: by role or name.
        label: of the axis.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes; row 0 is at the top.

    Raises:
        ValueError: there are no costs.
    """
    order = in_role_order(costs)
    kinds = list(dict.fromkeys(kind for name in order for kind in costs[name].gains))
    if not kinds:
        raise ValueError("error_costs needs at least one detector with the costs of its errors")
    kinds.sort(key=lambda kind: -max(costs[name].gains.get(kind, 0.0) for name in order))
    bars = {
        name: {
            **{KINDS.get(kind, kind): costs[name].gains.get(kind, 0.0) for kind in kinds},
            **{words: float(getattr(costs[name], end)) for end, words in _SUMS.items()},
        }
        for name in order
    }
    texts = {
        name: {row: f"{value:.3f}" for row, value in each.items()} for name, each in bars.items()
    }
    chart = number_rows(list(bars[order[0]]), texts, label=label, caption=caption, width=width)
    for name, each in bars.items():
        places = [chart.y(name, row) for row in each]
        chart.axes.barh(places, list(each.values()), height=0.82 * chart.step,
                        color=chart.colours[name])  # fmt: skip
    chart.axes.axhline(len(kinds) - 0.5, color=INK, linewidth=0.8)
    most = max(value for each in bars.values() for value in each.values())
    chart.axes.set_xlim(0, 1.04 * most or 0.01)
    few_ticks(chart.axes)
    return chart.figure, chart.axes
