"""What the cells of a level start from: points, or anchors of several shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.cells import KEPT
from kdviz.plots.images import as_array, as_boxes, as_image, greyed, show_image
from kdviz.plots.maps import Scale, draw_bar, shared_scale
from kdviz.plots.marks import outline
from kdviz.plots.matching import box_iou
from kdviz.plots.panels import image_panels, one_panel
from kdviz.plots.theme import INK, theme

ARROW = "#D20FC3"
"""From a point to the sides of its box."""


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
    grid = _anchor_grid(anchors, truth, chosen)
    if cell is None:
        cell = _best_cell(grid, truth[chosen])
    row, column = cell
    if not (0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]):
        raise ValueError(f"cell {cell} lies outside the {grid.shape[0]} x {grid.shape[1]} cells")
    here = grid[row, column]
    view = _view(pixels.shape[:2], here)
    iou = box_iou(here, truth[[chosen]])[:, 0]
    title = title or f"cell ({row}, {column}): greatest IoU {iou.max():.2f}"
    shape = (round(view[3] - view[1]), round(view[2] - view[0]))
    figure, axes, bar = one_panel(axes, shape, title, caption, width, bar=True)
    scale = shared_scale([], (0.0, 1.0))
    _show_in(axes, pixels, view, truth, chosen)
    _draw_anchors_of(axes, here, truth[chosen], scale)
    if bar is not None:
        draw_bar(figure, bar, scale, "IoU", opacity=1.0)
    return figure, axes


@theme()
def points_and_anchors(
    image: Any,
    points: Any,
    anchors: Any,
    boxes: Any,
    *,
    positive: Any,
    chosen: int = 0,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """What a cell starts from: on the left one point, on the right several anchors.

    The points that are trained on the chosen box are dark. From the one nearest to its centre four
    arrows lead to the sides of the box: the distances that this point has to predict. On the right
    stand the anchors of the cell that has the best of them, coloured by their IoU with the box.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        points: of one level, (H, W, 2) as (x, y), pixels of ``image``.
        anchors: of one level, (H, W, A, 4) xyxy, pixels of ``image``.
        boxes: ground truth (n, 4) xyxy; all are drawn, the chosen one strongly.
        positive: (H, W), whether a point is trained on the chosen box.
        chosen: index of the ground-truth box.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and the axes of points and of anchors, in pixels of ``image``.

    Raises:
        ValueError: ``anchors`` are not (H, W, A, 4), there is no such box, or ``positive`` is not
            of the shape of the points.
    """
    pixels, truth = as_image(image), as_boxes(boxes)
    grid, places = _anchor_grid(anchors, truth, chosen), as_array(points).astype(np.float64)
    own = as_array(positive) > 0
    if own.shape != places.shape[:2]:
        raise ValueError(f"positive is {own.shape}, but the points are {places.shape[:2]}")
    row, column = _best_cell(grid, truth[chosen])
    here = grid[row, column]
    view = _view(pixels.shape[:2], here)
    iou = box_iou(here, truth[[chosen]])[:, 0]
    panels = image_panels(
        (round(view[3] - view[1]), round(view[2] - view[0])),
        [
            f"{own.size} points, {own.sum()} for this box",
            f"{len(here)} anchors, best IoU {iou.max():.2f}",
        ],
        bars=[1],
        caption=caption,
        width=width,
    )
    for axes in panels.axes:
        _show_in(axes, pixels, view, truth, chosen)
    _draw_points(panels.axes[0], places, own, truth[chosen])
    scale = shared_scale([], (0.0, 1.0))
    _draw_anchors_of(panels.axes[1], here, truth[chosen], scale)
    draw_bar(panels.figure, panels.bars[1], scale, "IoU", opacity=1.0)
    return panels.figure, panels.axes


def _anchor_grid(anchors: Any, truth: NDArray[np.float64], chosen: int) -> NDArray[np.float64]:
    grid = as_array(anchors).astype(np.float64)
    if grid.ndim != 4 or grid.shape[-1] != 4:
        raise ValueError(f"anchors must have shape (H, W, A, 4) but have {grid.shape}")
    if not 0 <= chosen < len(truth):
        raise ValueError(f"box {chosen} was chosen, but there are {len(truth)} boxes, from 0")
    return grid


def _best_cell(grid: NDArray[np.float64], box: NDArray[np.float64]) -> tuple[int, int]:
    """Row and column of the anchor with the greatest IoU."""
    best = int(box_iou(grid.reshape(-1, 4), box[None]).argmax())
    return divmod(best // grid.shape[2], grid.shape[1])


def _view(size: tuple[int, ...], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Image and anchors together, xyxy, with a pixel to spare."""
    low = np.minimum(anchors[:, :2].min(0), 0) - 1
    high = np.maximum(anchors[:, 2:].max(0), (size[1], size[0])) + 1
    return np.concatenate([low, high])


def _show_in(
    axes: Axes,
    pixels: NDArray[np.uint8],
    view: NDArray[np.float64],
    truth: NDArray[np.float64],
    chosen: int,
) -> None:
    show_image(axes, greyed(pixels))
    axes.set(xlim=view[[0, 2]], ylim=view[[3, 1]])
    outline(axes, np.delete(truth, chosen, axis=0), INK, line_width=0.8)


def _draw_points(
    axes: Axes,
    points: NDArray[np.float64],
    positive: NDArray[np.bool_],
    box: NDArray[np.float64],
) -> None:
    outline(axes, box[None], INK, line_width=2.4, halo=False)
    still: dict[str, Any] = {"scalex": False, "scaley": False}
    axes.plot(*points[~positive].T, ".", color=INK, alpha=0.3, markersize=2.5, **still)
    axes.plot(*points[positive].T, "o", color=INK, markersize=4, **still)
    if not positive.any():
        return
    from_centre = np.abs(points - (box[:2] + box[2:]) / 2).max(axis=-1)
    x, y = points.reshape(-1, 2)[np.where(positive, from_centre, np.inf).argmin()]
    axes.plot(x, y, "o", color=KEPT, markersize=6, markeredgecolor=INK, **still)
    for side in ((box[0], y), (x, box[1]), (box[2], y), (x, box[3])):
        axes.annotate("", side, (x, y), arrowprops={"arrowstyle": "->", "color": ARROW, "lw": 1.8,
                      "shrinkA": 3, "shrinkB": 0})  # fmt: skip


def _draw_anchors_of(
    axes: Axes, here: NDArray[np.float64], box: NDArray[np.float64], scale: Scale
) -> None:
    iou = box_iou(here, box[None])[:, 0]
    rising = np.argsort(iou)
    outline(axes, here[rising], [scale.colours(value) for value in iou[rising]], line_width=1.8)
    outline(axes, box[None], INK, line_width=2.4, halo=False)
    centre = (here[0, :2] + here[0, 2:]) / 2
    axes.plot(*centre, "+", color=INK, markersize=9, markeredgewidth=1.4)
