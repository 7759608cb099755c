"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.panels import BAR, MARGIN, shorten, text_size
from kdviz.plots.rows import ROW_SIZE, name_rows, row_room
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.theme import FIGURE_WIDTH, INK, MISSED, PAPER, text_colour_on, theme

MOST = 12
"""Classes that can be read beside each other."""

_RIGHT = LinearSegmentedColormap.from_list("kdviz-right", [PAPER, "#8FB0C6", "#2F5570"])
_WRONG = LinearSegmentedColormap.from_list("kdviz-wrong", [PAPER, "#E3A9BE", MISSED])
_NUMBER = 7.5
_CELL = 0.27  # inches from row to row
_HIGHEST = 1.1  # inches for the names of the columns
_CAPTION = (
    "A row is an annotated class, a column what it was detected as; grey blue is right, red is a "
    "mix-up, a miss (last column) or a box on nothing (last row). Each colour is the share of its "
    "row, numbers are counts."
)


@theme()
def confusion_matrix(
    matrix: Any,
    names: Sequence[str],
    *,
    most: int = MOST,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, Axes]:
    """Counts of objects by annotated and detected class, with what was missed and found in vain.

    Of many classes those that are mixed up most often are shown. Colours are shares of whole rows,
    what is not shown included.

    Args:
        matrix: counts, (K + 1, K + 1): rows annotated, columns detected; the last row holds boxes
            on nothing, the last column missed objects.
        names: of the K classes; one more at the end, that of the background, is not written.
        most: classes shown, at least 1.
        caption: sentence below; by default how to read it and how many classes are left out.
        width: of the figure, inches; by default as wide as the cells need.

    Returns:
        The figure and its axes: the i-th row and j-th column shown at y = i and x = j, row 0 at the
        top; `confusion_cell` turns a place in them into a cell of the matrix.

    Raises:
        ValueError: the shape of the matrix does not fit the names.
    """
    counts, shown = as_array(matrix), shown_classes(matrix, most)
    if counts.shape[0] - 1 not in (len(names), len(names) - 1):
        raise ValueError(
            f"{len(names)} names need a matrix of {len(names) + 1} rows, background included, but "
            f"it has {counts.shape[0]}"
        )
    if caption is None:
        hidden = counts.shape[0] - 1 - len(shown)
        caption = _CAPTION + _left_out(len(shown), hidden) * bool(hidden)
    words = [names[k] for k in shown]
    figure, axes, bar = _sheet([*words, "on nothing"], [*words, "missed"], caption, width)
    picked = [*shown, counts.shape[0] - 1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    _draw_cells(axes, counts[np.ix_(picked, picked)], shares[np.ix_(picked, picked)])
    _draw_bar(bar)
    return figure, axes


def shown_classes(matrix: Any, most: int = MOST) -> tuple[int, ...]:
    """The classes that `confusion_matrix` shows, by rising position.

    Those that take part in most mix-ups with other classes, and of equals those with most entries.
    """
    counts = as_array(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2:
        raise ValueError(
            f"a confusion matrix is square, with the background last, but this has {counts.shape}"
        )
    classes = counts[:-1, :-1]
    mixed = classes.sum(axis=0) + classes.sum(axis=1) - 2 * np.diag(classes)
    entries = counts.sum(axis=0)[:-1] + counts.sum(axis=1)[:-1]
    order = np.lexsort((-entries, -mixed))
    return tuple(sorted(order[: max(1, most)].tolist()))


def confusion_cell(matrix: Any, x: float, y: float, *, most: int = MOST) -> tuple[int, int] | None:
    """Row and column of the whole matrix for a place in a `confusion_matrix`; None beside it.

    Args:
        matrix: as there.
        x: in the data of its axes.
        y: in the data of its axes.
        most: as there.
    """
    picked = [*shown_classes(matrix, most), len(as_array(matrix)) - 1]
    row, column = round(y), round(x)
    if not (0 <= row < len(picked) and 0 <= column < len(picked)):
        return None
    return picked[row], picked[column]


def _left_out(shown: int, hidden: int) -> str:
    fate = "s are left out, but count" if hidden > 1 else " is left out, but counts"
    return f" Shown are the {shown} classes with most mix-ups; {hidden} other{fate} in the shares."


def _sheet(
    rows: Sequence[str], columns: Sequence[str], caption: str, width: float | None
) -> tuple[Figure, Axes, Axes]:
    left = row_room(rows, 1.6) + 0.2
    fixed = left + MARGIN + BAR
    longest = max(text_size(name, ROW_SIZE)[0] for name in columns) / 72
    most = ((FIGURE_WIDTH if width is None else width) - fixed) / len(columns)
    wish = max(longest + 0.1, 0.5) if longest < 0.55 else 0.5
    cell = min(wish, most) if width is None else most
    wide = max(5.0, fixed + len(columns) * cell) if width is None else width
    upright = longest > cell - 0.06
    below = (min(_HIGHEST, longest) if upright else 0.14) + 0.3
    tall = len(rows) * _CELL
    figure, floor = captioned_figure(wide, tall + below, caption)
    inches = figure.get_size_inches()
    place = left / inches[0], (floor + below) / inches[1]
    axes = figure.add_axes((*place, len(columns) * cell / inches[0], tall / inches[1]))
    bar = figure.add_axes(
        ((left + len(columns) * cell + 0.15) / inches[0], place[1], 0.24 / inches[0],
         tall / inches[1])
    )  # fmt: skip
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    name_rows(axes, rows, left - 0.2)
    axes.set_ylabel("annotated", labelpad=2)
    axes.yaxis.set_label_coords(0.28 / inches[0], place[1] + tall / inches[1] / 2,
                                transform=figure.transFigure)  # fmt: skip
    room = (_HIGHEST if upright else cell) * 72
    short = [shorten(name, room, ROW_SIZE) for name in columns]
    axes.set_xticks(range(len(columns)), short, size=ROW_SIZE, rotation=90 if upright else 0)
    axes.tick_params(axis="x", length=0, pad=3)
    axes.set_xlabel("detected as")
    axes.spines[:].set_visible(False)
    return figure, axes, bar


def _draw_cells(axes: Axes, counts: NDArray[Any], shares: NDArray[np.float64]) -> None:
    last = len(counts) - 1
    right = np.eye(len(counts), dtype=bool)
    right[last, last] = False
    colours = np.where(right[..., None], _RIGHT(shares), _WRONG(shares))[..., :3]
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(counts):
        ink = text_colour_on(to_hex(colours[row, column]))
        axes.text(column, row, f"{counts[row, column]:,}", size=_NUMBER, color=ink, ha="center",
                  va="center_baseline")  # fmt: skip
    for edge in range(len(counts) + 1):
        strong = edge == last
        axes.axhline(edge - 0.5, color=INK if strong else "#e4e8ec", linewidth=0.8)
        axes.axvline(edge - 0.5, color=INK if strong else "#e4e8ec", linewidth=0.8)


def _draw_bar(bar: Axes) -> None:
    ramp = np.linspace(1, 0, 64)
    image = np.stack([_RIGHT(ramp), _WRONG(ramp)], axis=1)[..., :3]
    bar.imshow(image, aspect="auto", extent=(0, 2, 0, 1), interpolation="bilinear")
    bar.set_xticks([])
    bar.set_xlabel("share\nof row", size=8, labelpad=3)
    bar.yaxis.tick_right()
    bar.set_yticks([0, 0.5, 1])
    bar.tick_params(axis="y", length=2)
    bar.spines[:].set_visible(False)
