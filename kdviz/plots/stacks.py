"""What a whole is made of: parts behind one another, a row for each whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots.panels import MARGIN, chart_panels, text_size
from kdviz.plots.rows import few_ticks, name_rows, row_room
from kdviz.plots.theme import INK, PAPER, name_colours, text_colour_on, theme

_SIZE, _PITCH, _LINE = 8.0, 0.27, 0.24  # points; inches of a row, of a line of the legend


@theme()
def stacked_rows(
    parts: Mapping[str, Mapping[str, float]],
    *,
    label: str,
    written: Callable[[float], str] = "{:.0f}".format,
    marks: Mapping[str, float] | None = None,
    caption: str | None = None,
    width: float = 8.5,
) -> tuple[Figure, Axes]:
    """A bar for each row, made of its parts; a number stands in a part with room for it.

    Args:
        parts: by row, in it by the name of the part, each at least 0; the first part is leftmost. A
            part called student, teacher or distilled has the colour of that role.
        label: of the axis.
        written: how the number of a part is written.
        marks: by row, where a line crosses the bar, such as the whole that was measured.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes; row 0 is at the top.

    Raises:
        ValueError: there is nothing to draw, or a part is below 0.
    """
    names = list(dict.fromkeys(name for each in parts.values() for name in each))
    if not names:
        raise ValueError("stacked_rows needs at least one row with one part")
    least = min(value for each in parts.values() for value in each.values())
    if least < 0:
        raise ValueError(f"a part of a whole is at least 0, not {least}")
    colours, rows = name_colours(names), list(parts)
    left = row_room(rows, 0.3 * width)
    room = width - left - MARGIN
    columns = max(1, int(room / (max(text_size(x, _SIZE)[0] for x in names) / 72 + 0.45)))
    lines = math.ceil(len(names) / columns)
    height = _PITCH * len(rows) + _LINE * lines + 0.06
    figure, (axes,) = chart_panels([""], height=height, left=left, caption=caption, width=width)
    axes.set_ylim(len(rows) - 0.5, -0.5 - (_LINE * lines + 0.06) / _PITCH)
    most = max(*(sum(each.values()) for each in parts.values()), *(marks or {"": 0.0}).values())
    axes.set_xlim(0, 1.02 * most or 1.0)
    for name in names:
        starts = [_before(each, name) for each in parts.values()]
        lengths = [each.get(name, 0.0) for each in parts.values()]
        axes.barh(range(len(rows)), lengths, left=starts, height=0.72, color=colours[name],
                  edgecolor=PAPER, linewidth=0.6, label=name)  # fmt: skip
        for row, (start, value) in enumerate(zip(starts, lengths, strict=True)):
            text, inches = written(value), value / axes.get_xlim()[1] * room
            if text_size(text, _SIZE)[0] / 72 + 0.06 < inches:
                axes.text(start + value / 2, row, text, size=_SIZE, ha="center",
                          va="center_baseline", color=text_colour_on(colours[name]))  # fmt: skip
    for marked, place in (marks or {}).items():
        middle = rows.index(marked)
        axes.plot([place, place], [middle - 0.46, middle + 0.46], color=INK, linewidth=1.6,
                  solid_capstyle="butt")  # fmt: skip
    name_rows(axes, rows, left)
    axes.legend(loc="upper left", ncols=columns, borderaxespad=0.2, handlelength=1.0,
                handletextpad=0.4, columnspacing=1.2)  # fmt: skip
    axes.set_xlabel(label)
    few_ticks(axes)
    return figure, axes


def _before(parts: Mapping[str, float], name: str) -> float:
    """Sum of the parts left of this one."""
    keys = list(parts)
    return sum(parts[key] for key in keys[: keys.index(name)]) if name in parts else 0.0
