"""Weights against boxes: kept outside, dropped inside, cell by cell and image by image.

A cell is drawn here as the square around the point that it stands for: whether this point lies in a
box is the question, and most detectors have it at the corner of the cell, not in its middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
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
from kdviz.plots.maps import OPACITY, draw_bar, shared_scale
from kdviz.plots.marks import outline
from kdviz.plots.panels import MARGIN, chart_panels, image_panels, text_size
from kdviz.plots.theme import DIVERGING, FAINT, INK, name_colours, theme

_FOOT = 0.28

KEPT_INSIDE = "#f2b134"
KEPT_OUTSIDE = "#D55E00"
DROPPED_INSIDE = "#0072B2"


@theme()
def signed_weights(
    image: Any,
    weights: Any,
    inside: Any,
    stride: float | None = None,
    *,
    boxes: Any = None,
    index: int = 0,
    offset: float = 0.0,
    title: str = "",
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, Axes]:
    """Weights minus the mask of the boxes: what a box would not have said.

    Above zero stand cells outside the boxes that have weight all the same, below zero cells inside
    that are given less than one. The scale always runs from -1 to 1, so that pictures compare.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        weights: (H, W), (N, 1, H, W) or a `Level`, in [0, 1].
        inside: boolean of the same shape.
        stride: pixels from one cell to the next; a `Level` knows its own.
        boxes: (n, 4) xyxy drawn on top, pixels of ``image``.
        index: which image of the batch.
        offset: of a cell's point from the cell's upper left corner, in strides.
        title: above the image.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and the axes of the image, in pixels of ``image``.
    """
    pixels, step = as_image(image), stride_of(weights, stride)
    difference = as_map(weights, index) * 1.0 - as_map(inside, index)
    panels = image_panels(
        pixels.shape[:2], [title], bars=[0], caption=caption, width=width, foot=_FOOT
    )
    axes = panels.axes[0]
    scale = shared_scale([], (-1.0, 1.0))
    show_image(axes, greyed(pixels))
    # No cell stands for the last half a stride: nothing is kept or dropped there.
    difference = np.pad(difference, ((0, 1), (0, 1)))
    colours = {"cmap": scale.colours, "norm": scale.norm, "alpha": OPACITY}
    _draw(axes, difference, step, offset, boxes, **colours)
    draw_bar(panels.figure, panels.bars[0], scale, "weight minus mask")
    high, low = DIVERGING(0.85), DIVERGING(0.15)
    _legend(panels.figure, panels.foot, {"outside, kept": high, "inside, dropped": low})
    return panels.figure, axes


@theme()
def kept_cells(
    image: Any,
    weights: Any,
    inside: Any,
    threshold: float,
    stride: float | None = None,
    *,
    boxes: Any = None,
    index: int = 0,
    offset: float = 0.0,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, Axes]:
    """Three kinds of cells: kept inside the boxes, kept outside, and dropped inside.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        weights: (H, W), (N, 1, H, W) or a `Level`.
        inside: boolean of the same shape.
        threshold: weight from which a cell counts as kept.
        stride: pixels from one cell to the next; a `Level` knows its own.
        boxes: (n, 4) xyxy drawn on top, pixels of ``image``.
        index: which image of the batch.
        offset: of a cell's point from the cell's upper left corner, in strides.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and the axes of the image, in pixels of ``image``; the legend counts the cells.
    """
    pixels, step = as_image(image), stride_of(weights, stride)
    kept, within = as_map(weights, index) >= threshold, as_map(inside, index) > 0
    kinds = {
        "inside, kept": (kept & within, KEPT_INSIDE),
        "outside, kept": (kept & ~within, KEPT_OUTSIDE),
        "inside, dropped": (~kept & within, DROPPED_INSIDE),
    }
    panels = image_panels(pixels.shape[:2], [f"weight ≥ {threshold:.2f}"], caption=caption,
                          width=width, foot=_FOOT)  # fmt: skip
    axes = panels.axes[0]
    show_image(axes, greyed(pixels))
    tint = np.zeros((*kept.shape, 4))
    for cells, colour in kinds.values():
        tint[cells] = to_rgba(colour, OPACITY)
    _draw(axes, tint, step, offset, boxes)
    entries = {f"{name}: {cells.sum()}": colour for name, (cells, colour) in kinds.items()}
    _legend(panels.figure, panels.foot, entries)
    return panels.figure, axes


@theme()
def inside_outside(
    sums: Mapping[str, tuple[Any, Any]],
    *,
    unit: str = "sum of weights",
    chosen: int | None = None,
    title: str = "",
    caption: str | None = None,
    width: float = 6.0,
    height: float = 3.6,
) -> tuple[Figure, Axes]:
    """One point for each image: its weight inside the boxes and outside them.

    Args:
        sums: by role or name: the sums inside and outside, each (N,).
        unit: of both axes.
        chosen: image that gets a ring in every colour.
        title: above the chart.
        caption: sentence below.
        width: of the figure, inches.
        height: of the chart, inches.

    Returns:
        The figure and its axes.

    Raises:
        ValueError: inside and outside are not as many.
    """
    names = max((text_size(name, 8)[0] / 72 for name in sums), default=0.0)
    figure, (axes,) = chart_panels(
        [title], height=height, width=width, right=names + 0.5, caption=caption
    )
    colours = name_colours(list(sums))
    wide, tall = 0.0, 0.0
    for name, pair in sums.items():
        inside, outside = (as_array(values).astype(float).reshape(-1) for values in pair)
        if inside.shape != outside.shape:
            raise ValueError(
                f"{name}: {len(inside)} sums inside and {len(outside)} outside; give one of each "
                "for every image"
            )
        axes.scatter(inside, outside, s=16, color=colours[name], alpha=0.75, linewidths=0,
                     label=name)  # fmt: skip
        if chosen is not None:
            axes.scatter(inside[chosen], outside[chosen], s=90, facecolors="none",
                         edgecolors=colours[name], linewidths=1.5)  # fmt: skip
        wide, tall = max(wide, inside.max(initial=0.0)), max(tall, outside.max(initial=0.0))
    reach = 1.05 * (wide or 1.0), 1.05 * (tall or 1.0)
    axes.plot([0, min(reach)], [0, min(reach)], color=FAINT, linewidth=1.0, zorder=0)
    axes.set(xlim=(0, reach[0]), ylim=(0, reach[1]), xlabel=f"{unit} inside the boxes",
             ylabel=f"{unit} outside")  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2)
    return figure, axes


def _draw(
    axes: Axes, values: NDArray[Any], stride: float, offset: float, boxes: Any, **options: Any
) -> None:
    """A map whose squares stand around the points of their cells, and the boxes."""
    shift = (offset - 0.5) * stride
    drawn = show_map(axes, values, stride, **options)
    left, right, bottom, top = drawn.get_extent()
    drawn.set_extent((left + shift, right + shift, bottom + shift, top + shift))
    if boxes is not None:
        outline(axes, as_boxes(boxes), INK)


def _legend(figure: Figure, middle: float, entries: Mapping[str, Any]) -> None:
    """Squares with their meaning, in one row at this height of the figure."""
    wide, tall = figure.get_size_inches()
    x, side = MARGIN, 0.13
    for text, colour in entries.items():
        corner = (x / wide, middle - side / 2 / tall)
        figure.add_artist(
            Rectangle(corner, side / wide, side / tall, facecolor=colour, alpha=OPACITY)
        )
        figure.text((x + side + 0.06) / wide, middle, text, size=8, va="center_baseline")
        x += side + 0.3 + text_size(text, 8)[0] / 72
