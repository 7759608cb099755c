"""Numbers with the intervals they may lie in, of several detectors beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots.rows import few_ticks, number_rows
from kdviz.plots.theme import INK, PAPER, in_role_order, theme

_CAPTION = "A dot is the number on these images, its line the 95 % interval over draws of images."
_SIGNED = " Hollow: the interval holds 0, which leaves the sign open."


class Sampled(Protocol):
    """A number that knows its interval, such as an estimate from resampled images."""

    @property
    def value(self) -> float:
        """The number, NaN where it is not defined."""

    def interval(self) -> tuple[float, float]:
        """Lower and upper end, NaN where there is none."""


Number = float | tuple[float, float, float] | Sampled
"""A number alone, with its interval as (value, low, high), or with its own `interval`."""


def span(number: Number) -> tuple[float, float, float]:
    """Value, lower and upper end of its interval; NaN for ends that are not known."""
    if isinstance(number, tuple):
        return number
    if isinstance(number, float | int):
        return number, math.nan, math.nan
    return number.value, *number.interval()


def leaves_out_zero(number: Number) -> bool:
    """Whether the interval of a number lies on one side of 0; False where there is none."""
    _, low, high = span(number)
    return low > 0 or high < 0


@theme()
def interval_rows(
    series: Mapping[str, Mapping[str, Number]],
    *,
    label: str,
    signed: bool = False,
    decimals: int = 3,
    caption: str | None = None,
    width: float = 8.5,
) -> tuple[Figure, Axes]:
    """A row for each thing, and in it a dot with its interval for each detector.

    The numbers stand at the right, under the names of the detectors in their colours; of a single
    detector with the ends of the interval.

    Args:
        series: by role or name, and in it by row; a number alone has no line. A row that a series
            does not have, or where it is NaN, stays without its dot.
        label: of the axis.
        signed: differences: a line marks 0, numbers have their sign, and a dot whose interval holds
            0 is hollow.
        decimals: of the numbers.
        caption: sentence below; by default how to read it.
        width: of the figure, inches.

    Returns:
        The figure and its axes; row 0 is at the top.

    Raises:
        ValueError: there is nothing to draw.
    """
    order = in_role_order(series)
    rows = list(dict.fromkeys(row for name in order for row in series[name]))
    spans = {name: {row: span(number) for row, number in series[name].items()} for name in order}
    if not any(math.isfinite(one[0]) for each in spans.values() for one in each.values()):
        raise ValueError("interval_rows needs at least one series with one row that is a number")
    caption = _CAPTION + _SIGNED * signed if caption is None else caption
    texts = {
        name: {row: _written(one, decimals, signed, alone=len(order) == 1)
               for row, one in each.items() if math.isfinite(one[0])}
        for name, each in spans.items()
    }  # fmt: skip
    chart = number_rows(rows, texts, label=label, caption=caption, width=width)
    for name, each in spans.items():
        for row in texts[name]:
            _draw_span(chart.axes, each[row], chart.y(name, row), chart.colours[name], signed)
    _set_reach(chart.axes, [end for each in spans.values() for one in each.values() for end in one],
               signed)  # fmt: skip
    return chart.figure, chart.axes


def _written(one: tuple[float, float, float], decimals: int, signed: bool, alone: bool) -> str:
    sign = "+" if signed else ""
    value, low, high = (f"{end:{sign}.{decimals}f}" for end in one)
    return f"{value}  [{low}, {high}]" if alone and math.isfinite(one[1]) else value


def _draw_span(
    axes: Axes, one: tuple[float, float, float], y: float, colour: str, signed: bool
) -> None:
    value, low, high = one
    known = math.isfinite(low) and math.isfinite(high)
    if known:
        axes.plot([low, high], [y, y], "-", color=colour, linewidth=1.6, solid_capstyle="butt")
    hollow = signed and known and not leaves_out_zero(one)
    axes.plot([value], [y], "o", color=colour, markersize=5.5, zorder=3,
              markerfacecolor=PAPER if hollow else colour)  # fmt: skip


def _set_reach(axes: Axes, ends: Sequence[float], signed: bool) -> None:
    known = [end for end in ends if math.isfinite(end)]
    low, high = min(0.0, *known), max(0.0, *known)
    reach = high - low or 0.01
    axes.set_xlim(low - (0.12 if signed else 0.0) * reach, high + 0.04 * reach)
    if signed:
        axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    few_ticks(axes)
