"""How a cost grows along several axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from kdviz.plots.sheets import small_charts
from kdviz.plots.theme import FAINT, INK, name_colours, theme

_CAPTION = (
    "Both scales are logarithmic: a line as steep as the dotted one doubles with every doubling, a "
    "flat one does not grow at all."
)


@theme()
def growth_charts(
    costs: Mapping[str, Mapping[str, Mapping[float, float]]],
    *,
    unit: str,
    columns: int = 3,
    caption: str | None = _CAPTION,
    width: float = 9.5,
) -> tuple[Figure, list[Axes]]:
    """Small charts, one for each axis: lines of what something costs, on logarithmic scales.

    Args:
        costs: by the name of the axis, in it by the name of the line, in it cost by value; values
            and costs above 0.
        unit: of the costs, written above each chart.
        columns: charts of one row.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and one axes for each axis, in their order.

    Raises:
        ValueError: there is nothing to draw, or a number is not above 0.
    """
    numbers = [number for lines in costs.values() for line in lines.values()
               for pair in line.items() for number in pair]  # fmt: skip
    if not numbers or min(numbers) <= 0:
        raise ValueError("growth_charts needs lines, and every number of them lies above 0")
    figure, panels = small_charts(
        [f"{unit} by {axis}" for axis in costs], columns=columns, caption=caption, width=width
    )
    colours = name_colours(list(dict.fromkeys(name for lines in costs.values() for name in lines)))
    low, high = min(_costs(costs)), max(_costs(costs))
    high = max(high, 4 * low)
    most = max(len(lines) for lines in costs.values())
    for number, (axes, lines) in enumerate(zip(panels, costs.values(), strict=True)):
        for name, line in lines.items():
            axes.loglog(list(line), list(line.values()), "o-", color=colours[name], markersize=4,
                        label=name)  # fmt: skip
        _steepness(axes, lines, high)
        values = sorted({value for line in lines.values() for value in line})
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.xaxis.set_minor_locator(NullLocator())
        # All charts share a scale, with room above the lines for their names.
        axes.set_ylim(low / 1.25, high * (high / low) ** (0.15 + 0.12 * most))
        _plain_numbers(axes, shown=number % columns == 0)
        axes.legend(loc="upper left", handlelength=1.2, borderaxespad=0.2)
    return figure, panels


def _costs(costs: Mapping[str, Mapping[str, Mapping[float, float]]]) -> list[float]:
    return [cost for lines in costs.values() for line in lines.values() for cost in line.values()]


def _steepness(axes: Axes, lines: Mapping[str, Mapping[float, float]], high: float) -> None:
    """A dotted line that doubles with every doubling, from where the lowest line begins."""
    start, low = min((value, cost) for line in lines.values() for value, cost in line.items())
    end = max(value for line in lines.values() for value in line)
    far = min(end, start * high / low)
    axes.plot([start, far], [low, low * far / start], color=INK, linewidth=0.9,
              linestyle=(0, (1, 2)), zorder=1)  # fmt: skip
    axes.grid(True, axis="y", color=FAINT, linewidth=0.5)


def _plain_numbers(axes: Axes, *, shown: bool) -> None:
    low, high = axes.get_ylim()
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    marks = [x for x in np.outer(powers, (1, 2, 5)).ravel() if low <= x <= high]
    axes.set_yticks(marks[:: max(1, round(len(marks) / 4))])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if shown else ""))
