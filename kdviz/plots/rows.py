"""Charts in rows: names at their left, and numbers at their right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kdviz.plots.panels import GAP, MARGIN, chart_panels, shorten, text_size
from kdviz.plots.theme import DPI, INK, name_colours

ROW_SIZE = 8.5
_NUMBER_SIZE = 8.0
_HEAD = 0.2  # inches for the names above the numbers
_SPREAD = 0.15  # inches from the mark of one name to that of the next


def row_room(names: Sequence[str], most: float, size: float = ROW_SIZE) -> float:
    """Inches that the names take, at most this many."""
    longest = max((text_size(name, size)[0] for name in names), default=0.0)
    return min(most, longest / 72 + 0.2)


def name_rows(axes: Axes, names: Sequence[str], room: float, size: float = ROW_SIZE) -> None:
    """Write the name of row i at y = i, cut where it is longer than its room of inches."""
    short = [shorten(name, room * 72 - 10, size) for name in names]
    axes.set_yticks(range(len(names)), short, size=size)
    axes.tick_params(axis="y", length=0)


@dataclass(frozen=True)
class NumberRows:
    """A chart with a row for each thing, ready for its marks.

    Attributes:
        figure: carries names, numbers and caption already.
        axes: row i at y = i, row 0 at the top.
        colours: by name of the series, in their order.
        rows: names of the rows.
        step: from the mark of one series to that of the next, in rows.
    """

    figure: Figure
    axes: Axes
    colours: dict[str, str]
    rows: list[str]
    step: float

    def y(self, name: str, row: str) -> float:
        """Where the mark of a series stands in a row."""
        place = list(self.colours).index(name) - (len(self.colours) - 1) / 2
        return self.rows.index(row) + place * self.step


def number_rows(
    rows: Sequence[str],
    texts: Mapping[str, Mapping[str, str]],
    *,
    label: str,
    caption: str | None,
    width: float,
) -> NumberRows:
    """Rows with their names at the left, and at the right a column of numbers for each series.

    The name of a series stands above its numbers in its colour, which is the legend of the marks.

    Args:
        rows: names, the first at the top.
        texts: by series, in it by row what is written; a row may be missing.
        label: of the axis.
        caption: sentence below.
        width: of the figure, inches.
    """
    left, colours = row_room(rows, 0.3 * width), name_colours(list(texts))
    columns = _columns(texts, width - left)
    pitch = max(0.27, _SPREAD * len(texts) + 0.09)
    height = pitch * len(rows) + _HEAD
    figure, (axes,) = chart_panels(
        [""], height=height, left=left, right=sum(columns) + MARGIN, caption=caption, width=width
    )
    axes.set_ylim(len(rows) - 0.5, -0.5 - _HEAD / pitch)
    edge = 0.0
    for (name, each), column in zip(texts.items(), columns, strict=True):
        edge += column
        heading = shorten(name, (column - GAP) * 72 + 1, _NUMBER_SIZE)
        _write(axes, edge, -0.5 - 0.5 * _HEAD / pitch, heading, colours[name])
        for row, text in each.items():
            _write(axes, edge, rows.index(row), text, INK)
    for boundary in range(1, len(rows)):
        axes.axhline(boundary - 0.5, color="#e4e8ec", linewidth=0.8, zorder=0)
    name_rows(axes, rows, left)
    axes.set_xlabel(label)
    axes.grid(True, axis="x")
    return NumberRows(figure, axes, colours, list(rows), _SPREAD / pitch)


def few_ticks(axes: Axes) -> None:
    """At most six numbers along x, fewer in a narrow chart."""
    inches = axes.get_window_extent().width / DPI
    axes.xaxis.set_major_locator(MaxNLocator(min(6, max(1, int(inches / 0.6)))))


def _columns(texts: Mapping[str, Mapping[str, str]], room: float) -> list[float]:
    """Inches that each column of numbers takes; a long name gets at most its share."""
    most = max(0.5, 0.45 * room / max(2, len(texts)))
    widths = []
    for name, each in texts.items():
        numbers = max((text_size(text, _NUMBER_SIZE)[0] for text in each.values()), default=0.0)
        widths.append(max(numbers / 72, min(most, text_size(name, _NUMBER_SIZE)[0] / 72)) + GAP)
    return widths


def _write(axes: Axes, edge: float, y: float, text: str, colour: str) -> None:
    """Text that ends this many inches right of the axes, at row y."""
    axes.annotate(text, (1.0, y), (edge * 72, 0), axes.get_yaxis_transform(), "offset points",
                  size=_NUMBER_SIZE, color=colour, ha="right", va="center_baseline",
                  annotation_clip=False)  # fmt: skip
