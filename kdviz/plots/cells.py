"""The cells of one level as a grid, and which of them a mask keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from kdviz.plots.images import (
    as_boxes,
    as_image,
    as_map,
    greyed,
    show_image,
    show_map,
    stride_of,
)
from kdviz.plots.marks import outline
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
    draw_grid(axes, kept.shape, step)
    if boxes is not None:
        outline(axes, as_boxes(boxes), INK)
    return figure, axes


def draw_grid(axes: Axes, cells: tuple[int, ...], stride: float) -> None:
    """Lines between the (H, W) cells of a level, over what is there."""
    rows, columns = cells
    right, bottom = columns * stride, rows * stride
    upright = [[(j * stride, 0.0), (j * stride, bottom)] for j in range(columns + 1)]
    level = [[(0.0, i * stride), (right, i * stride)] for i in range(rows + 1)]
    axes.add_collection(
        LineCollection([*upright, *level], colors=INK, linewidths=0.4, alpha=0.5), autolim=False
    )
