"""Maps of one or many levels over the image they belong to, cell by cell.

Cell (i, j) of a level of stride s covers the pixels [j s, (j + 1) s) x [i s, (i + 1) s) of the
network image; boxes and cells share these pixels, so both can be read together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize, to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.boxes import box_iou
from kdviz.plots.images import as_array, as_boxes, as_image, as_map, show_image, show_map
from kdviz.plots.marks import outline
from kdviz.plots.panels import image_panels, one_panel
from kdviz.plots.theme import DIVERGING, INK, SEQUENTIAL, in_role_order, role_colour, theme
from kdviz.structures import Level, Pyramid

OPACITY = 0.65
"""Of a map over the greyed image."""
KEPT = "#E69F00"
"""Cells a mask keeps."""


@dataclass(frozen=True)
class Scale:
    """Colours and limits that several maps share."""

    colours: Colormap
    norm: Normalize


def shared_scale(maps: Sequence[Any], limits: tuple[float, float] | None = None) -> Scale:
    """One scale for all these maps.

    Maps that go below zero get the diverging colours, centred on zero; all others the sequential
    ones from zero to the greatest value.

    Args:
        maps: any shapes; NaN is left out.
        limits: (low, high) instead of those found in the maps.

    Raises:
        ValueError: the limits are not rising.
    """
    if limits is None:
        finite = [values[np.isfinite(values)] for values in (as_array(m) * 1.0 for m in maps)]
        low = min((float(values.min()) for values in finite if values.size), default=0.0)
        high = max((float(values.max()) for values in finite if values.size), default=0.0)
        reach = max(-low, high) or 1.0
        limits = (-reach, reach) if low < 0 else (0.0, reach)
    if not limits[0] < limits[1]:
        raise ValueError(f"limits must rise, (low, high), but are {limits}")
    return Scale(DIVERGING if limits[0] < 0 else SEQUENTIAL, Normalize(*limits))


@theme()
def overlay(
    image: Any,
    values: Any,
    stride: float | None = None,
    *,
    boxes: Any = None,
    index: int = 0,
    limits: tuple[float, float] | None = None,
    unit: str = "",
    title: str = "",
    caption: str | None = None,
    width: float | None = None,
    axes: Axes | None = None,
) -> tuple[Figure, Axes]:
    """One map over the greyed image, with its bar.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        values: (H, W), (N, 1, H, W), or a `Level`, which knows its stride.
        stride: pixels of ``image`` from one cell to the next.
        boxes: (n, 4) xyxy drawn on top, pixels of ``image``.
        index: which image of the batch, where the map has that axis.
        limits: of the scale; see `shared_scale`.
        unit: written along the bar.
        title: above the image.
        caption: sentence below.
        width: of a new figure, inches.
        axes: to draw into, instead of a new figure.

    Returns:
        The figure and the axes of the image, in pixels of ``image``.

    Raises:
        ValueError: the stride is missing, or the map has several channels.
    """
    pixels = as_image(image)
    array, step = as_map(values, index), _stride(values, stride)
    figure, axes, bar = one_panel(axes, pixels.shape[:2], title, caption, width, bar=True)
    scale = shared_scale([array], limits)
    _draw(axes, pixels, array, step, scale, boxes)
    if bar is not None:
        _bar(figure, bar, scale, unit)
    return figure, axes


@theme()
def pyramid_row(
    image: Any,
    pyramid: Pyramid | Sequence[Level],
    *,
    boxes: Any = None,
    index: int = 0,
    limits: tuple[float, float] | None = None,
    unit: str = "",
    title: str = "",
    caption: str | None = None,
    columns: int | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """The levels of a pyramid over one image, finest first, on one scale with one bar.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        pyramid: one-channel maps, (N, 1, H, W) per level.
        boxes: (n, 4) xyxy drawn on each, pixels of ``image``.
        index: which image of the batch.
        limits: of the shared scale; see `shared_scale`.
        unit: written along the bar.
        title: before the name of each level, for example the role.
        caption: sentence below.
        columns: panels of one row; by default all levels stand in one.
        width: of the figure, inches.

    Returns:
        The figure and one axes per level.
    """
    pixels = as_image(image)
    levels = pyramid.levels if isinstance(pyramid, Pyramid) else tuple(pyramid)
    arrays = [as_map(level, index) for level in levels]
    columns = columns or len(levels)
    last = min(columns, len(levels)) - 1
    panels = image_panels(
        pixels.shape[:2],
        [f"{title} {level.name}, stride {level.stride}".strip() for level in levels],
        colours=[role_colour(title)] * len(levels),
        columns=columns,
        bars=[last],
        caption=caption,
        width=width,
    )
    scale = shared_scale(arrays, limits)
    for axes, array, level in zip(panels.axes, arrays, levels, strict=True):
        _draw(axes, pixels, array, level.stride, scale, boxes)
    _bar(panels.figure, panels.bars[last], scale, unit)
    return panels.figure, panels.axes


@theme()
def compare_maps(
    image: Any,
    maps: Mapping[str, Any],
    stride: float | None = None,
    *,
    boxes: Any = None,
    index: int = 0,
    limits: tuple[float, float] | None = None,
    unit: str = "",
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """Student's and teacher's map on one scale, and their difference on a scale centred on zero.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        maps: ``student``, ``teacher`` and any others share one scale. ``difference`` has its own;
            where it is not given, student minus teacher is drawn.
        stride: pixels from one cell to the next; a `Level` knows its own.
        boxes: (n, 4) xyxy drawn on each, pixels of ``image``.
        index: which image of the batch.
        limits: of the shared scale; see `shared_scale`.
        unit: written along the bars.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and one axes per panel: student, teacher, others, difference.

    Raises:
        ValueError: no map but the difference is given.
    """
    pixels = as_image(image)
    arrays = {name: as_map(values, index) for name, values in maps.items()}
    steps = {name: _stride(values, stride) for name, values in maps.items()}
    order = [name for name in in_role_order(arrays) if name != "difference"]
    if not order:
        raise ValueError("give at least one map besides the difference, for example the student's")
    shared = shared_scale([arrays[name] for name in order], limits)
    scales = dict.fromkeys(order, shared)
    computed = "difference" not in arrays and _can_subtract(arrays)
    if computed:
        arrays["difference"] = np.subtract(arrays["student"], arrays["teacher"], dtype=np.float64)
        steps["difference"] = steps["student"]
    bars = [len(order) - 1]
    if "difference" in arrays:
        scales["difference"] = _centred(arrays["difference"])
        order.append("difference")
        bars.append(len(order) - 1)
    panels = image_panels(
        pixels.shape[:2],
        ["student minus teacher" if computed and n == "difference" else n for n in order],
        colours=[role_colour(name) for name in order],
        columns=len(order),
        bars=bars,
        caption=caption,
        width=width,
    )
    for axes, name in zip(panels.axes, order, strict=True):
        _draw(axes, pixels, arrays[name], steps[name], scales[name], boxes)
    for place, axes in panels.bars.items():
        _bar(panels.figure, axes, scales[order[place]], unit)
    return panels.figure, panels.axes


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
    kept, step = as_map(mask, index) > 0, _stride(mask, stride)
    title = title or f"{int(kept.sum())} of {kept.size} cells kept"
    figure, axes, _ = one_panel(axes, pixels.shape[:2], title, caption, width)
    show_image(axes, _greyed(pixels))
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
    show_image(axes, _greyed(pixels))
    axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
    outline(axes, np.delete(truth, chosen, axis=0), INK, line_width=0.8)
    outline(axes, truth[[chosen]], INK, line_width=2.6)
    scale = shared_scale([], (0.0, 1.0))
    rising = np.argsort(iou)
    outline(axes, here[rising], [scale.colours(value) for value in iou[rising]], line_width=1.8)
    centre = (here[0, :2] + here[0, 2:]) / 2
    axes.plot(*centre, "+", color=INK, markersize=9, markeredgewidth=1.4)
    if bar is not None:
        _bar(figure, bar, scale, "IoU", opacity=1.0)
    return figure, axes


def _stride(values: Any, stride: float | None) -> float:
    if stride is None and isinstance(values, Level):
        return float(values.stride)
    if stride is None or stride <= 0:
        raise ValueError(f"a map needs its stride in pixels, > 0, but it is {stride}")
    return float(stride)


def _can_subtract(arrays: Mapping[str, NDArray[Any]]) -> bool:
    if not {"student", "teacher"} <= arrays.keys():
        return False
    return arrays["student"].shape == arrays["teacher"].shape


def _centred(difference: NDArray[Any]) -> Scale:
    reach = float(np.nanmax(np.abs(difference * 1.0), initial=0.0)) or 1.0
    return shared_scale([], (-reach, reach))


def _greyed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey and pale, so that only the map has colour."""
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat((70 + grey * (185 / 255)).astype(np.uint8)[..., None], 3, axis=2)


def _draw(
    axes: Axes,
    pixels: NDArray[np.uint8],
    values: NDArray[Any],
    stride: float,
    scale: Scale,
    boxes: Any,
) -> None:
    show_image(axes, _greyed(pixels))
    show_map(axes, values * 1.0, stride, cmap=scale.colours, norm=scale.norm, alpha=OPACITY)
    if boxes is not None:
        outline(axes, as_boxes(boxes), INK)


def _bar(figure: Figure, axes: Axes, scale: Scale, unit: str, opacity: float = OPACITY) -> None:
    mappable = ScalarMappable(norm=scale.norm, cmap=scale.colours)
    bar = figure.colorbar(mappable, cax=axes, alpha=opacity)
    bar.set_label(unit)
    bar.outline.set_visible(False)
