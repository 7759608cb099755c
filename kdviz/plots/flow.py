"""What becomes of things from one column to the next: an alluvial diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.panels import LINE, MARGIN, shorten, text_size
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.strata import PAD, TEXT_LINE, TEXT_SIZE, Ribbon, Stratum, curve, layout, marginal
from kdviz.plots.theme import CLASS_COLOURS, INK, MISSED, role_colour, text_colour_on, theme

VERDICT_COLOURS = ("#A9BECC", "#6A4FC4", "#E6A92B", "#7A4B1E", MISSED)
"""Right, wrong class, badly localised, both wrong, missed.

Right is calm; the others stay apart, also half transparent, under the common forms of colour
blindness, and none is the colour of a role.
"""

_COUNT = 7.5
_HEAD = 0.28  # inches for the names of the columns
_ONE = "The column holds all objects, by what became of them."
_MANY = (
    "Each column holds all objects, by what became of them. A ribbon is the objects that pass from "
    "one answer to the next, in the colour of the answer they leave: pale ribbons that fall are "
    "objects lost, coloured ones that rise to the top are objects won."
)


@theme()
def flow_diagram(
    flow: Any,
    columns: Sequence[str],
    names: Sequence[str],
    *,
    colours: Sequence[str] | None = None,
    height: float = 3.6,
    caption: str | None = None,
    width: float = 10.0,
) -> tuple[Figure, Axes]:
    """All objects through several detectors: stacked columns by verdict, ribbons between them.

    Every text has a place of its own, so that the smallest state can be read; only a state that
    nothing is in is left out.

    Args:
        flow: how many things have each sequence of states, one axis for each column, all of the
            length of ``names``; whole numbers >= 0.
        columns: names of the columns; that of a role has its colour.
        names: of the states, the first at the top.
        colours: of the states; by default `VERDICT_COLOURS`, or class colours where there are more.
        height: of the columns, inches.
        caption: sentence below; by default how to read it.
        width: of the figure, inches.

    Returns:
        The figure and its axes, in inches from the top left of the diagram; `flow_at` turns a place
        in them into states.

    Raises:
        ValueError: the shape of ``flow`` does not fit the names, or there is nothing in it.
    """
    counts = _checked(flow, columns, names)
    node = _node_width(counts, columns, names, width)
    strata, ribbons = layout(counts, height)
    paints = tuple(colours or (VERDICT_COLOURS if len(names) <= 5 else CLASS_COLOURS))
    caption = (_MANY if len(columns) > 1 else _ONE) if caption is None else caption
    figure, floor = captioned_figure(width, height + _HEAD, caption)
    tall = figure.get_size_inches()[1]
    inner = width - 2 * MARGIN
    axes = figure.add_axes((MARGIN / width, floor / tall, inner / width, (height + _HEAD) / tall))
    axes.set(xlim=(0, inner), ylim=(height, -_HEAD))
    axes.set_axis_off()
    lefts = _lefts(len(columns), node, inner)
    for left, name in zip(lefts, columns, strict=True):
        text = shorten(name, node * 72, 10)
        axes.text(left, -0.1, text, size=10, color=role_colour(name), va="baseline")
    for ribbon in ribbons:
        _draw_ribbon(axes, ribbon, lefts, node, paints[ribbon.state])
    total = int(counts.sum())
    for stratum in strata:
        _draw_stratum(axes, stratum, lefts[stratum.column], node, names[stratum.state],
                      paints[stratum.state], total)  # fmt: skip
    return figure, axes


def flow_at(
    flow: Any,
    columns: Sequence[str],
    names: Sequence[str],
    x: float,
    y: float,
    *,
    height: float = 3.6,
    width: float = 10.0,
) -> tuple[int | None, ...] | None:
    """Which states a place in a `flow_diagram` of the same arguments stands for.

    Args:
        flow: as there.
        columns: as there.
        names: as there.
        x: in the data of its axes.
        y: in the data of its axes.
        height: as there.
        width: as there.

    Returns:
        For each column the position of a state, or None where it may be any: one state for a box,
        two for a ribbon. None where there is neither.
    """
    counts = _checked(flow, columns, names)
    node = _node_width(counts, columns, names, width)
    strata, ribbons = layout(counts, height)
    lefts = _lefts(len(columns), node, width - 2 * MARGIN)
    states: list[int | None] = [None] * len(columns)
    for stratum in strata:
        left = lefts[stratum.column]
        if left <= x <= left + node and stratum.above <= y <= stratum.top + stratum.height:
            states[stratum.column] = stratum.state
            return tuple(states)
    for ribbon in reversed(ribbons):  # those drawn last lie on top
        start, end = lefts[ribbon.column] + node, lefts[ribbon.column + 1]
        if not start < x < end:
            continue
        down = curve((x - start) / (end - start))
        top = ribbon.top + down * (ribbon.top_after - ribbon.top)
        if top <= y <= top + ribbon.height:
            states[ribbon.column : ribbon.column + 2] = ribbon.state, ribbon.after
            return tuple(states)
    return None


def _checked(flow: Any, columns: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    counts = as_array(flow)
    wanted = (len(names),) * len(columns)
    if not columns or counts.shape != wanted:
        raise ValueError(
            f"{len(columns)} columns of {len(names)} states need a flow of shape {wanted}, but it "
            f"has {counts.shape}"
        )
    if counts.min() < 0 or not counts.sum():
        raise ValueError("a flow holds how many things take each way: none below 0, some above")
    return counts.astype(np.int64)


def _number(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{count:,} · {share:.0f} %" if share >= 1 else f"{count:,} · <1 %"


def _node_width(
    counts: NDArray[np.int64], columns: Sequence[str], names: Sequence[str], width: float
) -> float:
    total = int(counts.sum())
    widest = max(
        text_size(names[state], TEXT_SIZE)[0] + text_size(_number(int(count), total), TEXT_SIZE)[0]
        for column in range(counts.ndim)
        for state, count in enumerate(marginal(counts, column))
    )
    most = (width - 2 * MARGIN) / (1.6 * len(columns) - 0.6)
    return float(min(widest / 72 + 2 * PAD + 0.15, most))


def _lefts(columns: int, node: float, inner: float) -> list[float]:
    if columns == 1:
        return [0.0]
    return [column * (inner - node) / (columns - 1) for column in range(columns)]


def _draw_ribbon(
    axes: Axes, ribbon: Ribbon, lefts: Sequence[float], node: float, colour: str
) -> None:
    start, end = lefts[ribbon.column] + node, lefts[ribbon.column + 1]
    # Thirds make x run evenly along the curve, so that `curve` is exact.
    third = (end - start) / 3
    edges = []
    for down in (0.0, ribbon.height):
        a, b = ribbon.top + down, ribbon.top_after + down
        edges.append([(start, a), (start + third, a), (end - third, b), (end, b)])
    upper, lower = edges
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    path = Path([*upper, *lower[::-1], upper[0]], codes)
    axes.add_patch(PathPatch(path, facecolor=colour, edgecolor=colour, linewidth=0.3, alpha=0.5))
    if ribbon.height > _COUNT * LINE:
        axes.text(start + 0.05, ribbon.top + ribbon.height / 2, f"{ribbon.count:,}", size=_COUNT,
                  va="center_baseline", color=INK)  # fmt: skip


def _draw_stratum(
    axes: Axes, one: Stratum, left: float, node: float, name: str, colour: str, total: int
) -> None:
    box = Rectangle((left, one.top), node, one.height, facecolor=colour, edgecolor=colour,
                    linewidth=0.5)  # fmt: skip
    axes.add_patch(box)
    ink = INK if one.outside else text_colour_on(colour)
    y = one.top - 0.53 * TEXT_LINE if one.outside else one.top + one.height / 2
    pad = 0.0 if one.outside else PAD
    room = (node - 2 * pad) * 72
    number = _number(one.count, total)
    if text_size(number, TEXT_SIZE)[0] + text_size(name, TEXT_SIZE)[0] + 4 > room:
        number = f"{one.count:,}"
    taken = text_size(number, TEXT_SIZE)[0]
    axes.text(left + node - pad, y, number, size=TEXT_SIZE, color=ink, ha="right",
              va="center_baseline")  # fmt: skip
    axes.text(left + pad, y, shorten(name, room - taken - 4, TEXT_SIZE), size=TEXT_SIZE, color=ink,
              va="center_baseline")  # fmt: skip
