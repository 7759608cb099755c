"""How many times as fast: bars that begin at 1."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kdviz.plots.rows import number_rows
from kdviz.plots.theme import INK, theme

_CAPTION = (
    "Right of the line is faster, left of it slower; twice as fast is as far from it as half as "
    "fast."
)


@theme()
def gain_rows(
    gains: Mapping[str, Mapping[str, float]],
    *,
    label: str,
    caption: str | None = _CAPTION,
    width: float = 8.5,
) -> tuple[Figure, Axes]:
    """A row for each thing that was tried, and in it a bar from 1 to how many times as fast it is.

    Args:
        gains: by series, in it by row, each above 0; a series may lack a row.
        label: of the axis.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes; row 0 is at the top, the axis is logarithmic.

    Raises:
        ValueError: there is nothing to draw, or a gain is not above 0.
    """
    rows = list(dict.fromkeys(row for each in gains.values() for row in each))
    if not rows:
        raise ValueError("gain_rows needs at least one series with one row")
    values = [value for each in gains.values() for value in each.values()]
    if min(values) <= 0:
        raise ValueError(f"a gain is a ratio of times, above 0, not {min(values)}")
    texts = {
        name: {row: f"{value:.2f}" for row, value in each.items()} for name, each in gains.items()
    }
    chart = number_rows(rows, texts, label=label, caption=caption, width=width)
    axes = chart.axes
    axes.set_xscale("log", base=2)
    for name, each in gains.items():
        places = [chart.y(name, row) for row in each]
        lengths = [value - 1 for value in each.values()]
        axes.barh(places, lengths, left=1, height=0.82 * chart.step, color=chart.colours[name])
    axes.axvline(1, color=INK, linewidth=0.9)
    axes.set_xlim(min(0.8, 0.92 * min(values)), max(1.25, 1.08 * max(values)))
    _plain_ticks(axes)
    return chart.figure, axes


def _plain_ticks(axes: Axes) -> None:
    low, high = axes.get_xlim()
    subs = (1.0, 1.25, 1.5, 1.75) if high / low < 3 else (1.0, 1.5) if high / low < 12 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(base=2, subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
