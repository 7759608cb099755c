"""Which cells stand for which ground-truth box, on every level of one or more detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.cells import KEPT, draw_grid
from kdviz.plots.images import as_array, as_boxes, as_image, greyed, show_image, show_map
from kdviz.plots.marks import outline
from kdviz.plots.panels import image_panels
from kdviz.plots.theme import INK, class_colour, theme
from kdviz.structures import Pyramid

IGNORED = -2
"""Value of a slot that is trained on nothing; -1 is background."""
OTHERS = "#56B4E9"
"""Cells of the boxes that were not chosen."""


@theme()
def draw_assignment(
    image: Any,
    assigned: Mapping[str, Pyramid],
    boxes: Any,
    *,
    chosen: int | None = None,
    points: Mapping[str, Sequence[Any]] | None = None,
    strides: Sequence[int] | None = None,
    index: int = 0,
    columns: int | None = None,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """The cells that stand for each ground-truth box, on every level of each detector.

    With a chosen box its cells are orange, those of the other boxes blue. Without one, cells and
    outline of a box share a colour. A slanted line marks a cell that is ignored.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        assigned: by detector, int (N, A, H, W) per level: for each slot of each cell the index of
            its box, -1 for background, -2 for ignored. A cell counts for every box that one of its
            slots stands for.
        boxes: ground truth (n, 4) xyxy, pixels of ``image``.
        chosen: index of the box that is asked about.
        points: by detector, (H, W, 2) per level: where the point or the centre of the anchors of
            each cell lies, (x, y). They are drawn in the cells of the chosen box.
        strides: levels to draw; by default all, a row for each detector.
        index: which image of the batch.
        columns: panels of one row; by default one for each stride.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes, detector by detector, finest level first.

    Raises:
        ValueError: there is no such box.
    """
    pixels, truth = as_image(image), as_boxes(boxes)
    if chosen is not None and not 0 <= chosen < len(truth):
        raise ValueError(f"box {chosen} was chosen, but there are {len(truth)} boxes, from 0")
    every = sorted({stride for pyramid in assigned.values() for stride in pyramid.strides})
    places = [
        (name, pyramid.strides.index(stride))
        for name, pyramid in assigned.items()
        for stride in (every if strides is None else strides)
        if stride in pyramid.strides
    ]
    levels = [assigned[name].levels[place] for name, place in places]
    slots = [as_array(level.map)[index] for level in levels]
    panels = image_panels(
        pixels.shape[:2],
        [
            f"{name} {level.name}, stride {level.stride}\n{slots_found(values, chosen)}"
            for (name, _), level, values in zip(places, levels, slots, strict=True)
        ],
        columns=columns or len(every if strides is None else strides),
        caption=caption,
        width=width,
    )
    grey = greyed(pixels)
    for axes, (name, place), level, values in zip(panels.axes, places, levels, slots, strict=True):
        show_image(axes, grey)
        _tint(axes, values, level.stride, len(truth), chosen)
        draw_grid(axes, values.shape[1:], level.stride)
        _outline(axes, truth, chosen)
        if points is not None and chosen is not None:
            own = as_array(points[name][place])[(values == chosen).any(axis=0)]
            axes.plot(*own.T, ".", color=INK, markersize=4, scalex=False, scaley=False)
    return panels.figure, panels.axes


def box_at(boxes: Any, x: float, y: float) -> int | None:
    """Index of the smallest box that a point lies in; None outside all.

    Args:
        boxes: (n, 4) xyxy.
        x: of the point, in the pixels of the boxes.
        y: of the point.
    """
    array = as_boxes(boxes)
    inside = (array[:, :2] <= (x, y)).all(axis=1) & (array[:, 2:] >= (x, y)).all(axis=1)
    if not inside.any():
        return None
    areas = (array[:, 2:] - array[:, :2]).prod(axis=1)
    return int(np.where(inside, areas, np.inf).argmin())


def slots_found(values: NDArray[Any], chosen: int | None) -> str:
    """How many cells, and slots where they are more, stand for a box."""
    positive = values >= 0 if chosen is None else values == chosen
    cells, slots = int(positive.any(axis=0).sum()), int(positive.sum())
    if not cells:
        return "none"
    found = f"{cells} cell" + ("" if cells == 1 else "s")
    return found if slots == cells else f"{found}, {slots} anchors"


def _tint(axes: Axes, values: NDArray[Any], stride: float, count: int, chosen: int | None) -> None:
    tint = np.zeros((*values.shape[1:], 4))
    positive = (values >= 0).any(axis=0)
    if chosen is None:
        for box in range(count):
            tint[(values == box).any(axis=0)] = to_rgba(class_colour(box + 1), 0.6)
    else:
        tint[positive] = to_rgba(OTHERS, 0.55)
        tint[(values == chosen).any(axis=0)] = to_rgba(KEPT, 0.65)
    show_map(axes, tint, stride)
    ignored = np.argwhere((values == IGNORED).any(axis=0) & ~positive) * stride
    slants = [[(x, y + stride), (x + stride, y)] for y, x in ignored]
    axes.add_collection(
        LineCollection(slants, colors=INK, linewidths=0.9, alpha=0.7), autolim=False
    )


def _outline(axes: Axes, truth: NDArray[np.float64], chosen: int | None) -> None:
    if chosen is None:
        outline(axes, truth, [class_colour(box + 1) for box in range(len(truth))])
        return
    outline(axes, np.delete(truth, chosen, axis=0), INK, line_width=0.8)
    outline(axes, truth[[chosen]], INK, line_width=2.0)
