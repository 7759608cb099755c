"""Maps of one or many levels over the image they belong to, cell by cell.

Cell (i, j) of a level of stride s covers the pixels [j s, (j + 1) s) x [i s, (i + 1) s) of the
network image; boxes and cells share these pixels, so both can be read together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

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
from kdviz.plots.marks import outline
from kdviz.plots.panels import image_panels, one_panel, shorten
from kdviz.plots.theme import DIVERGING, INK, SEQUENTIAL, in_role_order, role_colour, theme
from kdviz.structures import Level, Pyramid

OPACITY = 0.6
"""Of a map over the greyed image."""


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
    array, step = as_map(values, index), stride_of(values, stride)
    figure, axes, bar = one_panel(axes, pixels.shape[:2], title, caption, width, bar=True)
    scale = shared_scale([array], limits)
    _draw(axes, greyed(pixels), array, step, scale, boxes)
    if bar is not None:
        draw_bar(figure, bar, scale, unit)
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
    grey = greyed(pixels)
    for axes, array, level in zip(panels.axes, arrays, levels, strict=True):
        _draw(axes, grey, array, level.stride, scale, boxes)
    draw_bar(panels.figure, panels.bars[last], scale, unit)
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
    steps = {name: stride_of(values, stride) for name, values in maps.items()}
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
    grey = greyed(pixels)
    for axes, name in zip(panels.axes, order, strict=True):
        _draw(axes, grey, arrays[name], steps[name], scales[name], boxes)
    for place, axes in panels.bars.items():
        draw_bar(panels.figure, axes, scales[order[place]], unit)
    return panels.figure, panels.axes


def _can_subtract(arrays: Mapping[str, NDArray[Any]]) -> bool:
    if not {"student", "teacher"} <= arrays.keys():
        return False
    return arrays["student"].shape == arrays["teacher"].shape


def _centred(difference: NDArray[Any]) -> Scale:
    reach = float(np.nanmax(np.abs(difference * 1.0), initial=0.0)) or 1.0
    return shared_scale([], (-reach, reach))


def _draw(
    axes: Axes,
    grey: NDArray[np.uint8],
    values: NDArray[Any],
    stride: float,
    scale: Scale,
    boxes: Any,
) -> None:
    show_image(axes, grey)
    show_map(axes, values * 1.0, stride, cmap=scale.colours, norm=scale.norm, alpha=OPACITY)
    if boxes is not None:
        outline(axes, as_boxes(boxes), INK, line_width=1.1)


def draw_bar(figure: Figure, axes: Axes, scale: Scale, unit: str, opacity: float = OPACITY) -> None:
    """The bar of a scale, with the opacity its maps are drawn in; numbers stay short."""
    low, high = scale.norm.vmin or 0.0, scale.norm.vmax or 0.0
    # An image is drawn in half the time of matplotlib's own colour bar.
    ramp = np.linspace(high, low, 256)[:, None]
    axes.set_label("<colorbar>")  # as matplotlib names its own; a click on it means nothing
    axes.imshow(ramp, extent=(0, 1, low, high), aspect="auto", cmap=scale.colours, norm=scale.norm,
                alpha=opacity, interpolation="nearest", origin="upper")  # fmt: skip
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    reach = max(abs(low), abs(high))
    power = math.floor(math.log10(reach)) if reach and not 0.05 <= reach < 1000 else 0
    if power:
        unit = f"{unit} (1e{power})".strip()
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10.0**power:g}"))
    tall = axes.get_window_extent().height / figure.dpi * 72
    axes.set_ylabel(shorten(unit, tall, 9))
