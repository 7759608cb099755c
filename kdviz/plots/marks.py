"""What is drawn on an image: outlines of boxes with a halo, and labels that find room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from numpy.typing import NDArray

from kdviz.plots.panels import points_per_unit, shorten, text_size
from kdviz.plots.theme import PAPER, text_colour_on

LABEL_SIZE = 7.5
LINE_WIDTH = 1.6
SMALL_LABEL_SIZE = 6.5
_SMALL_PANEL = 220  # points of width below which labels are written small
_WIDEST = 0.5  # share of the panel that a label may take where its box is narrower
_PAD = 1.5  # points round a label's text

Rectangle = tuple[float, float, float, float]


def outline(
    axes: Axes,
    boxes: NDArray[np.float64],
    colours: Sequence[str] | str,
    *,
    dashes: str | tuple[float, tuple[float, ...]] = "solid",
    line_width: float = LINE_WIDTH,
    halo: bool = True,
) -> None:
    """Outline boxes (n, 4) xyxy; a white halo keeps each colour readable on any image."""
    if not len(boxes):
        return
    corners: Any = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    if halo:
        wide = line_width + 1.4
        axes.add_collection(
            PolyCollection(
                corners, facecolors="none", edgecolors=PAPER, linewidths=wide, alpha=0.7
            ),
            autolim=False,
        )
    axes.add_collection(
        PolyCollection(
            corners,
            facecolors="none",
            edgecolors=colours,
            linewidths=line_width,
            linestyles=[dashes],
        ),
        autolim=False,
    )


def write_labels(
    axes: Axes,
    boxes: NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[str],
    scores: NDArray[Any] | None = None,
) -> None:
    """Write one label at each box, in the order given, where it covers no label before it.

    Tried in turn: above the box, inside at its top, below, inside at its bottom, each from the left
    and from the right edge. A label never leaves the panel, a long name is cut before its score.
    Where no place is free the box stays without a label.
    """
    unit = points_per_unit(axes)
    left, right = sorted(axes.get_xlim())
    top, bottom = sorted(axes.get_ylim())
    room = (right - left) * unit, (bottom - top) * unit
    size = LABEL_SIZE if room[0] > _SMALL_PANEL else SMALL_LABEL_SIZE
    height = text_size("Ág", size)[1] + 2 * _PAD
    taken: list[Rectangle] = []
    shown: list[tuple[Rectangle, str, str]] = []
    for index, (box, name, colour) in enumerate(zip(boxes, names, colours, strict=True)):
        x1, y1, x2, y2 = ((box - [left, top, left, top]) * unit).tolist()
        if x1 >= room[0] or y1 >= room[1] or x2 <= 0 or y2 <= 0:
            continue
        score = "" if scores is None else f"{scores[index]:.2f}"
        most = min(max(_WIDEST * room[0], x2 - x1), room[0]) - 2 * _PAD
        name = shorten(name, most - text_size(f" {score}", size)[0], size)
        label = f"{name} {score}".strip()
        width = text_size(label, size)[0] + 2 * _PAD
        place = _free_place((x1, y1, x2, y2), (width, height), room, taken)
        if place is None or not label:
            continue
        taken.append(place)
        shown.append((place, label, colour))
    # One collection for all backgrounds: a box of its own doubles the time of a text.
    plates: Any = [
        [(left + x / unit, top + y / unit) for x, y in ((a, b), (c, b), (c, d), (a, d))]
        for (a, b, c, d), _, _ in shown
    ]
    colours_shown = [colour for _, _, colour in shown]
    axes.add_collection(
        PolyCollection(plates, facecolors=colours_shown, linewidths=0, zorder=2.5), autolim=False
    )
    font = FontProperties(family=["DejaVu Sans"], size=size)
    for place, label, colour in shown:
        text = Text(
            left + (place[0] + _PAD) / unit,
            top + (place[1] + place[3]) / 2 / unit,
            label,
            color=text_colour_on(colour),
            verticalalignment="center_baseline",
            fontproperties=font,
            transform=axes.transData,
            zorder=3,
        )
        axes.add_artist(text).set_clip_path(None)


def _free_place(
    box: Rectangle, size: tuple[float, float], room: tuple[float, float], taken: list[Rectangle]
) -> Rectangle | None:
    x1, y1, x2, y2 = box
    width, height = size
    for y in (y1 - height, y1, y2, y2 - height):
        if y < 0 or y + height > room[1]:
            continue
        for wish in (x1, x2 - width):
            x = min(max(wish, 0.0), room[0] - width)
            place = (x, y, x + width, y + height)
            if x >= 0 and not any(_overlap(place, other) for other in taken):
                return place
    return None


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
