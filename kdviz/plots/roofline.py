"""What a machine can do at most, and how near some work comes to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kdviz.plots.panels import chart_panels
from kdviz.plots.theme import INK, name_colours, theme

_CAPTION = (
    "The line is the machine's limit: on its slope memory is too slow, on its roof arithmetic. A "
    "point straight below it uses the share of that limit which the legend tells; the rest of its "
    "time goes elsewhere."
)
_SIZE = 8.0


@theme()
def roofline(
    points: Mapping[str, tuple[float, float]],
    *,
    arithmetic: float,
    memory: float,
    caption: str | None = _CAPTION,
    width: float = 8.5,
) -> tuple[Figure, Axes]:
    """Speed of some work against how much arithmetic it does for each byte, below the limit.

    Args:
        points: by name, (arithmetic for each byte, arithmetic a second), both above 0.
        arithmetic: most operations a second.
        memory: most bytes a second.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes, both of whose scales are logarithmic.

    Raises:
        ValueError: there are no points, or a number is not above 0.
    """
    numbers = [arithmetic, memory, *(number for point in points.values() for number in point)]
    if not points or min(numbers) <= 0:
        raise ValueError("a roofline needs points, and every number of it lies above 0")
    figure, (axes,) = chart_panels([""], height=3.2, right=3.1, caption=caption, width=width)
    intensities = [x for x, _ in points.values()]
    ridge = arithmetic / memory
    low, high = 0.4 * min(*intensities, ridge), 2.5 * max(*intensities, ridge)
    x = np.array([low, ridge, high])
    axes.loglog(x, np.minimum(arithmetic, memory * x), color=INK, linewidth=1.6)
    colours = name_colours(list(points))
    for name, (intensity, rate) in points.items():
        limit = min(arithmetic, memory * intensity)
        axes.plot([intensity, intensity], [rate, limit], color=colours[name], linewidth=0.8,
                  linestyle=(0, (1, 2)))  # fmt: skip
        axes.plot([intensity], [rate], "o", color=colours[name], markersize=6.5,
                  label=f"{name}: {rate / limit:.0%}")  # fmt: skip
    rates = [rate for _, rate in points.values()]
    axes.set(xlim=(low, high), ylim=(0.4 * min(rates), 2.2 * max(arithmetic, *rates)))
    axes.text(ridge * 1.15, arithmetic * 1.08, f"{_giga(arithmetic)} GFLOP/s", size=_SIZE)
    axes.set(xlabel="arithmetic for each byte moved (FLOP/byte)", ylabel="GFLOP/s")
    axes.grid(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=6, subs=(1.0, 3.0)))
        axis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _giga(value)))
    return figure, axes


def _giga(rate: float) -> str:
    return f"{rate / 1e9:.3g}"
