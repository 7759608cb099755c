"""The cells of one level: which a mask keeps, and the anchors that stand on one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from kdviz.plots.images import (
    as_array,
    as_boxes,
    as_image,
    as_map,
    greyed,
    show_image,
    show_map,
    stride_of,
)
from kdviz.plots.maps import draw_bar, shared_scale
from kdviz.plots.marks import outline
from kdviz.plots.matching import box_iou
from kdviz.plots.panels import one_panel
from kdviz.plots.theme import INK, theme

KEPT = "#E69F00"
"""Cells a mask keeps."""


@theme()
def mask_grid(
    image: Any,
    mask: Any,
    stride: float | None = None,
    *,
    boxes: Any = None,
    index: int = 0,
    title: str = "",
    caption: str | None = None,
    width: float | None = None,
    axes: Axes | None = None,
) -> tuple[Figure, Axes]:
    """The cells of a level as a grid over the image, the kept ones tinted, ground truth on top.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        mask: (H, W), (N, 1, H, W) or a `Level`; every value above zero is a kept cell.
        stride: pixels from one cell to the next; a `Level` knows its own.
        boxes: (n, 4) xyxy drawn on top, pixels of ``image``.
        index: which image of the batch.
        title: above the image; by default how many cells are kept.
        caption: sentence below.
        width: of a new figure, inches.
        axes: to draw into, instead of a new figure.

    Returns:
        The figure and its axes, in pixels of ``image``.
    """
    pixels = as_image(image)
    kept, step = as_map(mask, index) > 0, stride_of(mask, stride)
    title = title or f"{int(kept.sum())} of {kept.size} cells kept"
    figure, axes, _ = one_panel(axes, pixels.shape[:2], title, caption, width)
    show_image(axes, greyed(pixels))
    tint = np.zeros((*kept.shape, 4))
    tint[kept] = to_rgba(KEPT, 0.55)
    show_map(axes, tint, step)
    rows, columns = kept.shape
    right, bottom = columns * step, rows * step
    upright = [[(j * step, 0.0), (j * step, bottom)] for j in range(columns + 1)]
    level = [[(0.0, i * step), (right, i * step)] for i in range(rows + 1)]
    axes.add_collection(
        LineCollection([*upright, *level], colors=INK, linewidths=0.4, alpha=0.5), autolim=False
    )
    if boxes is not None:
        outline(axes, as_boxes(boxes), INK)
    return figure, axes


@theme()
def draw_anchors(
    image: Any,
    anchors: Any,
    boxes: Any,
    *,
    cell: tuple[int, int] | None = None,
    chosen: int = 0,
    title: str = "",
    caption: str | None = None,
    width: float | None = None,
    axes: Axes | None = None,
) -> tuple[Figure, Axes]:
    """The anchors of one cell, coloured by their IoU with one ground-truth box.

    The view grows where an anchor leaves the image.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        anchors: of one level, (H, W, A, 4) xyxy, pixels of ``image``.
        boxes: ground truth (n, 4) xyxy; all are drawn, the chosen one strongly.
        cell: (row, column); by default the cell of the anchor with the greatest IoU.
        chosen: index of the ground-truth box.
        title: above the image; by default the cell and its greatest IoU.
        caption: sentence below.
        width: of a new figure, inches.
        axes: to draw into, instead of a new figure.

    Returns:
        The figure and its axes, in pixels of ``image``.

    Raises:
        ValueError: ``anchors`` are not (H, W, A, 4), or there is no such box or cell.
    """
    pixels, truth = as_image(image), as_boxes(boxes)
    grid = as_array(anchors).astype(np.float64)
    if grid.ndim != 4 or grid.shape[-1] != 4:
        raise ValueError(f"anchors must have shape (H, W, A, 4) but have {grid.shape}")
    if not 0 <= chosen < len(truth):
        raise ValueError(f"box {chosen} was chosen, but there are {len(truth)} boxes, from 0")
    if cell is None:
        overlaps = box_iou(grid.reshape(-1, 4), truth[[chosen]])
        cell = divmod(int(overlaps.argmax()) // grid.shape[2], grid.shape[1])
    row, column = cell
    if not (0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]):
        raise ValueError(f"cell {cell} lies outside the {grid.shape[0]} x {grid.shape[1]} cells")
    here = grid[row, column]
    iou = box_iou(here, truth[[chosen]])[:, 0]
    height, width_px = pixels.shape[:2]
    low = np.minimum(here[:, :2].min(0), 0) - 1
    high = np.maximum(here[:, 2:].max(0), (width_px, height)) + 1
    title = title or f"cell ({row}, {column}): greatest IoU {iou.max():.2f}"
    view = (round(high[1] - low[1]), round(high[0] - low[0]))
    figure, axes, bar = one_panel(axes, view, title, caption, width, bar=True)
    show_image(axes, greyed(pixels))
    axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
    outline(axes, np.delete(truth, chosen, axis=0), INK, line_width=0.8)
    scale = shared_scale([], (0.0, 1.0))
    rising = np.argsort(iou)
    outline(axes, here[rising], [scale.colours(value) for value in iou[rising]], line_width=1.8)
    outline(axes, truth[[chosen]], INK, line_width=2.4, halo=False)
    centre = (here[0, :2] + here[0, 2:]) / 2
    axes.plot(*centre, "+", color=INK, markersize=9, markeredgewidth=1.4)
    if bar is not None:
        draw_bar(figure, bar, scale, "IoU", opacity=1.0)
    return figure, axes
