"""An answer beside the right one, where it is a table of numbers and no map over an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.maps import Scale, draw_bar, shared_scale
from kdviz.plots.panels import CAPTION_SIZE, LINE, MARGIN, TITLE_SIZE, shorten, text_size, wrap
from kdviz.plots.theme import FIGURE_WIDTH, PAPER, new_figure, theme

_CELL = 0.3  # inches, height of a row
_BAR = 0.7  # inches, a bar with its numbers
_NAME_SIZE = 8.0


@theme()
def compare_tables(
    yours: Any,
    library: Any,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    unit: str = "",
    caption: str | None = None,
    width: float = FIGURE_WIDTH,
) -> tuple[Figure, list[Axes]]:
    """Two tables on one scale, and their difference on a scale centred on zero.

    Neighbouring columns of one name share it, as prototypes of one class do.

    Args:
        yours: (n, P), may hold NaN, which stays white.
        library: (n, P).
        rows: a name for each row.
        columns: a name for each column.
        unit: written along the bars.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its three axes; row 0 is at the top, cell (i, k) covers [k, k + 1) x
        [i, i + 1).

    Raises:
        ValueError: the shapes do not fit each other.
    """
    arrays = [as_array(x).astype(np.float64) for x in (yours, library)]
    if not arrays[0].shape == arrays[1].shape == (len(rows), len(columns)):
        raise ValueError(
            f"the tables have shapes {arrays[0].shape} and {arrays[1].shape}, for {len(rows)} rows "
            f"and {len(columns)} columns"
        )
    difference = arrays[0] - arrays[1]
    reach = float(np.nanmax(np.abs(difference), initial=0.0)) or 1.0
    shared = shared_scale([arrays[1]])
    scales = [shared, shared, shared_scale([], (-reach, reach))]
    caption = wrap(caption, (width - 2 * MARGIN) * 72, CAPTION_SIZE) if caption else ""
    left = MARGIN + 0.1 + min(1.3, max((text_size(x, _NAME_SIZE)[0] for x in rows), default=0) / 72)
    groups = _groups(columns)
    below = 0.12 + min(
        1.0, max((text_size(x, _NAME_SIZE)[0] for x, _, _ in groups), default=0) / 72
    )
    caption_height = (caption.count("\n") + 1) * CAPTION_SIZE * LINE + 0.1 if caption else 0.0
    tall = max(len(rows), 2) * _CELL
    whole = MARGIN + TITLE_SIZE * LINE + 0.06 + tall + below + caption_height + MARGIN
    panel = (width - left - 2 * _BAR - 0.25 - MARGIN) / 3
    figure = new_figure(width, whole)
    bottom = MARGIN + caption_height + below
    axes: list[Axes] = []
    x = left
    for index, (title, values, scale) in enumerate(
        zip(("yours", "library", "yours minus library"), [*arrays, difference], scales, strict=True)
    ):
        place = (x / width, bottom / whole, panel / width, tall / whole)
        axes.append(figure.add_axes(place))
        _table(axes[-1], values, scale, groups, list(rows) if index == 0 else None, left)
        axes[-1].set_title(shorten(title, panel * 72, TITLE_SIZE), size=TITLE_SIZE, pad=4)
        x += panel + 0.12
        if index > 0:
            bar = figure.add_axes(((x - 0.04) / width, bottom / whole, 0.1 / width, tall / whole))
            draw_bar(figure, bar, scale, unit, opacity=1.0)
            x += _BAR
    if caption:
        top = MARGIN + caption_height - 0.1
        figure.text(MARGIN / width, top / whole, caption, size=CAPTION_SIZE, va="top",
                    linespacing=1.2)  # fmt: skip
    return figure, axes


def _table(
    axes: Axes,
    values: NDArray[np.float64],
    scale: Scale,
    groups: Sequence[tuple[str, int, int]],
    rows: Sequence[str] | None,
    left: float,
) -> None:
    height, width = values.shape
    axes.imshow(
        values,
        cmap=scale.colours,
        norm=scale.norm,
        aspect="auto",
        extent=(0, width, height, 0),
        interpolation="nearest",
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=3)
    for edge in [end for _, _, end in groups][:-1]:
        axes.axvline(edge, color=PAPER, linewidth=1.6)
    axes.set_xticks(
        [(start + end) / 2 for _, start, end in groups],
        [shorten(name, 72, _NAME_SIZE) for name, _, _ in groups],
        rotation=90,
        size=_NAME_SIZE,
    )
    names = [shorten(name, (left - MARGIN - 0.05) * 72, _NAME_SIZE) for name in rows or []]
    axes.set_yticks(np.arange(len(names)) + 0.5, names, size=_NAME_SIZE)


def _groups(columns: Sequence[str]) -> list[tuple[str, int, int]]:
    """(name, first column, column after the last) of each run of equal names."""
    groups: list[tuple[str, int, int]] = []
    for index, name in enumerate(columns):
        if groups and groups[-1][0] == name:
            groups[-1] = (name, groups[-1][1], index + 1)
        else:
            groups.append((name, index, index + 1))
    return groups
