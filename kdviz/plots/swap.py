"""Necks before strange heads: how well each pair detects, and whether nearness explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.maps import Scale, draw_bar, shared_scale
from kdviz.plots.panels import BAR, MARGIN, TITLE_SIZE, chart_panels, shorten, text_size
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.theme import FAINT, INK, PAPER, ROLE_COLOURS, role_colour, text_colour_on, theme

CELL = (0.66, 0.46)
"""Width and height of a cell, inches."""
LABEL_SIZE = 8.5
NUMBER_SIZE = 8.5
CHOSEN = "#D20FC3"
"""Frame of the pair that is looked at."""


@theme()
def swap_grid(
    grids: Mapping[str, Any],
    necks: Sequence[str],
    heads: Sequence[str],
    *,
    chosen: tuple[str, str, str] | None = None,
    limits: tuple[float, float] | None = None,
    unit: str = "AP",
    caption: str | None = None,
) -> tuple[Figure, list[Axes]]:
    """Every neck before every head, each pair with its number, all grids on one scale.

    Pairs of one name, a detector as it is, have a dark frame.

    Args:
        grids: by title, (necks, heads), in [0, 1]; NaN for a pair that does not fit.
        necks: names of the rows, from the top.
        heads: names of the columns, from the left.
        chosen: (grid, neck, head) that is framed.
        limits: of the scale; by default from zero to the greatest number.
        unit: written along the bar.
        caption: sentence below.

    Returns:
        The figure and one axes per grid: neck i and head j at y = i and x = j, the first neck at
        the top.

    Raises:
        ValueError: a grid is not as large as the names say.
    """
    arrays = {title: as_array(values).astype(np.float64) for title, values in grids.items()}
    for title, values in arrays.items():
        if values.shape != (len(necks), len(heads)):
            raise ValueError(
                f"{len(necks)} necks and {len(heads)} heads are named, but {title!r} has shape "
                f"{values.shape}"
            )
    left = min(1.3, max(text_size(name, LABEL_SIZE)[0] for name in necks) / 72 + 0.12) + 0.28
    wide, tall = CELL[0] * len(heads), CELL[1] * len(necks)
    head_room, foot_room, gap = TITLE_SIZE * 1.9 / 72, 0.42, 0.3
    width = 2 * MARGIN + left + len(arrays) * wide + (len(arrays) - 1) * gap + BAR + 0.1
    figure, low = captioned_figure(width, head_room + tall + foot_room, caption)
    height = figure.get_size_inches()[1]
    scale = shared_scale(list(arrays.values()), limits)
    panels = []
    for number, (title, values) in enumerate(arrays.items()):
        x, y = MARGIN + left + number * (wide + gap), low + foot_room
        axes = figure.add_axes((x / width, y / height, wide / width, tall / height))
        _draw_cells(axes, values, scale, necks, heads)
        axes.set_title(shorten(title, wide * 72, TITLE_SIZE), size=TITLE_SIZE, pad=5)
        _name_axis(axes, "x", heads, CELL[0] * 72 - 4)
        axes.set_xlabel("head of", labelpad=2)
        if number == 0:
            _name_axis(axes, "y", necks, left * 72 - 28)
            axes.set_ylabel("neck of", labelpad=2)
        else:
            axes.set_yticks([])
        if chosen is not None and chosen[0] == title:
            _frame(axes, necks.index(chosen[1]), heads.index(chosen[2]), CHOSEN, 3.0)
        panels.append(axes)
    bar = ((x + wide + 0.12) / width, y / height, 0.12 / width, tall / height)
    draw_bar(figure, figure.add_axes(bar), scale, unit, opacity=1.0)
    return figure, panels


def _draw_cells(
    axes: Axes,
    values: NDArray[np.float64],
    scale: Scale,
    necks: Sequence[str],
    heads: Sequence[str],
) -> None:
    axes.set_facecolor(PAPER)
    axes.imshow(values, cmap=scale.colours, norm=scale.norm, aspect="auto", interpolation="nearest")
    axes.spines[:].set_visible(False)
    colours = scale.colours(scale.norm(values))
    for row, column in np.ndindex(values.shape):
        value = float(values[row, column])
        fits = np.isfinite(value)
        colour = to_hex(colours[row, column]) if fits else PAPER
        text = f"{value:.2f}" if fits else "-"
        axes.text(column, row, text, size=NUMBER_SIZE, ha="center", va="center_baseline",
                  color=text_colour_on(colour))  # fmt: skip
        if necks[row] == heads[column]:
            _frame(axes, row, column, INK, 1.4)


def _frame(axes: Axes, row: int, column: int, colour: str, line_width: float) -> None:
    inset = 0.035
    corner, side = (column - 0.5 + inset, row - 0.5 + inset), 1 - 2 * inset
    # As an artist it leaves the limits alone, which it lies in and which are slow to find anew.
    axes.add_artist(
        Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=line_width)
    )


def _name_axis(axes: Axes, which: Literal["x", "y"], names: Sequence[str], room: float) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(range(len(names)), [shorten(name, room, LABEL_SIZE) for name in names])
    axes.tick_params(axis=which, length=0, labelsize=LABEL_SIZE)
    for label, name in zip(axis.get_ticklabels(), names, strict=True):
        label.set_color(role_colour(name))


MARKERS = ("o", "s", "D", "^", "v")


@theme()
def nearness_and_ap(
    ways: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    reference: tuple[str, float] | None = None,
    caption: str | None = None,
    width: float = 8.0,
) -> tuple[Figure, Axes]:
    """What a head makes of maps, against how near they are to those it knows.

    If nearness decided, every point would lie on one falling line.

    Args:
        ways: by the way the maps came to the head, by name: (distance >= 0, AP in [0, 1]). A name's
            points of the last two ways are joined.
        reference: name and AP of the head on its own maps, at distance 0.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes.
    """
    figure, (axes,) = chart_panels([""], height=3.2, right=1.7, caption=caption, width=width)
    shades = ["0.62", INK, ROLE_COLOURS["distilled"], ROLE_COLOURS["student"], CHOSEN]
    before, after = list(ways.values())[-2:] if len(ways) > 1 else ({}, {})
    lines = [(before[name], after[name]) for name in before if name in after]
    for ends in lines:
        axes.plot(*zip(*ends, strict=True), "-", color=FAINT, zorder=1)
    for (way, points), marker, shade in zip(ways.items(), MARKERS, shades, strict=False):
        axes.plot(*zip(*points.values(), strict=True), marker, color=shade, markersize=7,
                  markeredgecolor=PAPER, label=shorten(way, 96, 8), zorder=3)  # fmt: skip
    if reference is not None:
        name, ap = reference
        axes.axhline(ap, color=role_colour(name), linewidth=1.0, linestyle=(0, (1, 2)), zorder=0)
        axes.plot([0], [ap], "*", color=role_colour(name), markersize=12, clip_on=False,
                  label=f"{name}: its own maps", zorder=3)  # fmt: skip
    places = [point for points in ways.values() for point in points.values()]
    axes.set_xlim(0, 1.12 * max((x for x, _ in places), default=1.0))
    axes.set_ylim(-0.02, 1.12 * max([y for _, y in places] + [reference[1] if reference else 0.1]))
    axes.set(xlabel="distance from the teacher's maps", ylabel="AP of the teacher's head")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(True)
    _label_points(axes, [(n, *p) for points in ways.values() for n, p in points.items()], lines)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.3)
    return figure, axes


def _label_points(
    axes: Axes,
    points: Sequence[tuple[str, float, float]],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    """A name at each point, where it covers no point and no name, and no line if it can."""
    figure = axes.get_figure(root=True)
    unit = 72 / (figure.dpi if figure is not None else 100)
    centres = [axes.transData.transform((x, y)) * unit for _, x, y in points]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in centres]
    drawn = []
    for ends in lines:
        first, last = axes.transData.transform(ends) * unit
        drawn += [(x - 1, y - 1, x + 1, y + 1) for x, y in np.linspace(first, last)]
    panel = axes.get_window_extent()
    for (name, x, y), (across, along) in zip(points, centres, strict=True):
        wide, tall = text_size(name, 8)[0], 9.0
        free = {}
        for dx, dy in _wishes(wide):
            box = (across + dx, along + dy - tall / 2, across + dx + wide, along + dy + tall / 2)
            within = panel.x0 * unit < box[0] and box[2] < panel.x1 * unit
            if within and not any(_overlap(box, other) for other in taken):
                free[dx, dy] = box
        clear = {at: box for at, box in free.items() if not any(_overlap(box, x) for x in drawn)}
        for offset, box in list((clear or free).items())[:1]:
            taken.append(box)
            axes.annotate(name, (x, y), offset, textcoords="offset points", size=8,
                          va="center_baseline", color=role_colour(name))  # fmt: skip


def _wishes(wide: float) -> list[tuple[float, float]]:
    """Offsets of a label's left middle from its point, points of paper, the best first."""
    right, middle, left = 8.0, -wide / 2, -8.0 - wide
    near = [(x, 0.0) for x in (right, left)] + [(middle, y) for y in (11.0, -11.0)]
    beside = [(x - 4 * (x > 0) + 4 * (x < 0), y) for y in (9.0, -9.0) for x in (right, left)]
    return near + beside + [(middle, y) for y in (21.0, 31.0, 41.0)]


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    return across > 0 and min(one[3], other[3]) - max(one[1], other[1]) > 0
