"""Numbers with colours: how alike every two things are, rows against columns, signs with spread."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.maps import Scale, draw_bar, shared_scale
from kdviz.plots.panels import BAR, MARGIN, chart_panels, shorten
from kdviz.plots.rows import ROW_SIZE, name_rows, row_room
from kdviz.plots.theme import DIVERGING, FAINT, INK, text_colour_on, theme

NUMBER_SIZE = 7.5


@theme()
def similarity_triangle(
    values: Any,
    names: Sequence[str],
    *,
    limits: tuple[float, float],
    unit: str,
    decimals: int = 2,
    caption: str | None = None,
    width: float = 8.5,
) -> tuple[Figure, Axes]:
    """How alike every two of some things are, each pair once, with its number.

    Args:
        values: (M, M), symmetric; NaN leaves a pair empty.
        names: M names, in this order from the top and from the left.
        limits: of the scale; below zero it is centred on zero.
        unit: written along the bar.
        decimals: of the numbers.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes: row i and column j at y = i and x = j, row 0 at the top.

    Raises:
        ValueError: ``values`` are not square, or not as many as names.
    """
    array = as_array(values).astype(np.float64)
    if array.shape != (len(names), len(names)):
        raise ValueError(f"{len(names)} names need ({len(names)}, {len(names)}), not {array.shape}")
    left = row_room(names, 0.16 * width)
    # Column j ends at the diagonal, so its name can stand there, level and uncut.
    figure, (axes,) = chart_panels(
        [""], height=0.3 * len(names), left=left, right=left + BAR, caption=caption, width=width
    )
    _use_room_below(axes, 0.4)
    lower = np.where(np.tri(len(names), k=-1, dtype=bool), array, np.nan)
    scale = shared_scale([], limits)
    _draw_cells(axes, lower, scale, decimals)
    name_rows(axes, ["", *names[1:]], left)  # nothing stands left of the first diagonal
    for i, name in enumerate(names[:-1]):
        axes.text(i - 0.4, i, shorten(name, left * 72 - 6, ROW_SIZE), size=ROW_SIZE,
                  va="center_baseline")  # fmt: skip
    axes.xaxis.set_visible(False)
    _bar_beside(figure, axes, scale, unit, gap=left + 0.1)
    return figure, axes


@theme()
def number_table(
    values: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    limits: tuple[float, float],
    unit: str,
    decimals: int = 2,
    title: str = "",
    caption: str | None = None,
    width: float = 6.0,
) -> tuple[Figure, Axes]:
    """A table whose cells are coloured by their numbers.

    Args:
        values: (rows, columns); NaN leaves a cell empty.
        rows: names, from the top.
        columns: names, from the left; short ones, of one line or two.
        limits: of the scale; below zero it is centred on zero. Numbers beyond have the colour of
            its end.
        unit: written along the bar.
        decimals: of the numbers.
        title: above.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes: row i and column j at y = i and x = j, row 0 at the top.

    Raises:
        ValueError: ``values`` are not as many as names.
    """
    array = as_array(values).astype(np.float64)
    if array.shape != (len(rows), len(columns)):
        raise ValueError(
            f"{len(rows)} rows and {len(columns)} columns are named, but the values have shape "
            f"{array.shape}"
        )
    left = row_room(rows, 0.3 * width)
    figure, (axes,) = chart_panels(
        [title], height=0.21 * len(rows), left=left, right=BAR + MARGIN, caption=caption,
        width=width,
    )  # fmt: skip
    _use_room_below(axes, 0.4 - 0.16 * (1 + max(name.count("\n") for name in columns)))
    scale = shared_scale([], limits)
    _draw_cells(axes, array, scale, decimals)
    name_rows(axes, rows, left)
    axes.set_xticks(range(len(columns)), columns, size=ROW_SIZE)
    axes.tick_params(axis="x", length=0)
    _bar_beside(figure, axes, scale, unit, gap=0.12)
    return figure, axes


@theme()
def spread_rows(
    series: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    label: str,
    band: float | None = None,
    caption: str | None = None,
    width: float = 8.5,
) -> tuple[Figure, Axes]:
    """One row a thing, one dot a series: mean and spread of signed values.

    The first series is hollow, the last one filled; the colour tells the sign of the mean, ink that
    it lies in the band, and a line spans one standard deviation to each side.

    Args:
        series: by name, and in it by row, one value an image; NaN is left out. A row that a series
            does not have stays without its dot.
        label: of the axis.
        band: half the width of a grey band about 0, for what chance gives.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes; row 0 is at the top.

    Raises:
        ValueError: there is nothing to draw.
    """
    rows = list(dict.fromkeys(name for each in series.values() for name in each))
    if not rows:
        raise ValueError("spread_rows needs at least one series with one row")
    left = row_room(rows, 0.3 * width)
    figure, (axes,) = chart_panels(
        [""],
        height=0.2 * len(rows) + 0.2,
        left=left,
        right=1.6 if len(series) > 1 else 0.2,
        caption=caption,
        width=width,
    )
    if band is not None:
        axes.axvspan(-band, band, color=FAINT, alpha=0.5, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    offsets = np.linspace(-0.17, 0.17, len(series)) if len(series) > 1 else [0.0]
    for number, (offset, each) in enumerate(zip(offsets, series.values(), strict=True)):
        for name, found in each.items():
            known = np.asarray(found, dtype=np.float64)
            known = known[~np.isnan(known)]
            if known.size:
                filled = _fill(number, len(series))
                _draw_spread(axes, known, rows.index(name) + offset, filled, band or 0.0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    name_rows(axes, rows, left)
    axes.set_xlabel(label)
    axes.grid(True, axis="x")
    if len(series) > 1:
        for number, name in enumerate(series):
            face = INK if _fill(number, len(series)) else "white"
            text = shorten(name, 1.2 * 72, 8)
            axes.plot([], [], "o", color=INK, markerfacecolor=face, markersize=5, label=text)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2)
    return figure, axes


def _fill(number: int, count: int) -> bool:
    return number == count - 1


def _draw_spread(
    axes: Axes, values: NDArray[np.float64], y: float, filled: bool, band: float
) -> None:
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    colour = INK if abs(mean) < band else to_hex(DIVERGING(0.85 if mean > 0 else 0.15))
    axes.plot([mean - spread, mean + spread], [y, y], "-", color=colour, linewidth=1.2)
    axes.plot([mean], [y], "o", color=colour, markersize=5,
              markerfacecolor=colour if filled else "white")  # fmt: skip


def _use_room_below(axes: Axes, inches: float) -> None:
    """Let a chart without name and numbers on its horizontal axis have their room."""
    place, figure = axes.get_position(), axes.get_figure(root=True)
    share = inches / (figure.get_size_inches()[1] if figure is not None else 1.0)
    axes.set_position((place.x0, place.y0 - share, place.width, place.height + share))


def _draw_cells(axes: Axes, values: NDArray[np.float64], scale: Scale, decimals: int) -> None:
    axes.imshow(values, cmap=scale.colours, norm=scale.norm, aspect="auto", interpolation="nearest")
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(~np.isnan(values)):
        value = float(values[row, column])
        colour = text_colour_on(to_hex(scale.colours(scale.norm(value))))
        text = f"{round(value, decimals) + 0.0:.{decimals}f}"  # no minus before a zero
        text = re.sub(r"\b0\.", ".", text)  # in a full table the leading zeros are most of the ink
        axes.text(column, row, text, size=NUMBER_SIZE, color=colour, ha="center",
                  va="center_baseline")  # fmt: skip


def _bar_beside(figure: Figure, axes: Axes, scale: Scale, unit: str, gap: float) -> None:
    place = axes.get_position()
    inch = 1 / figure.get_size_inches()[0]
    box = (place.x1 + gap * inch, place.y0, 0.12 * inch, place.height)
    draw_bar(figure, figure.add_axes(box), scale, unit, opacity=1.0)
