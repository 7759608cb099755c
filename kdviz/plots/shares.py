"""Maps of many methods on one scale: how many times its even share each cell gets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from kdviz.plots.images import (
    as_boxes,
    as_image,
    as_map,
    greyed,
    show_image,
    show_map,
    stride_of,
)
from kdviz.plots.maps import OPACITY, Scale, draw_bar, shared_scale
from kdviz.plots.marks import outline
from kdviz.plots.panels import image_panels
from kdviz.plots.theme import INK, PAPER, theme

TICK_SIZE = 8.0
_LABEL = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}


@theme()
def share_grid(
    image: Any,
    maps: Mapping[str, Any],
    stride: float | None = None,
    *,
    boxes: Any = None,
    index: int = 0,
    notes: Mapping[str, str] | None = None,
    reach: float = 8.0,
    columns: int = 6,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """Maps of any unit on one scale: how many times its even share each cell gets.

    Each map is divided by its mean over the image, so that 1 is what an even spread would give. Of
    a map that is 0 everywhere the grey image is shown, and says so.

    Args:
        image: network image, (3, h, w) float in [0, 1] or (h, w, 3) uint8; the first panel.
        maps: by name, values >= 0; cells outside the image (padding) are cut off.
        stride: pixels from one cell to the next; a `Level` knows its own.
        boxes: (n, 4) xyxy drawn on each, pixels of ``image``.
        index: which image of the batch.
        notes: second line of a title, by name.
        reach: shares above it, and below one over it, have the colour of the scale's end; > 1.
        columns: panels of one row.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and one axes per panel, the image first.

    Raises:
        ValueError: a map has negative values, or ``reach`` is not above 1.
    """
    if reach <= 1:
        raise ValueError(f"reach is a factor above 1, but is {reach}")
    pixels = as_image(image)
    steps = {name: stride_of(values, stride) for name, values in maps.items()}
    shares = {
        name: _shares(name, as_map(values, index), steps[name], pixels.shape[:2])
        for name, values in maps.items()
    }
    titles = [f"{name}\n{notes[name]}" if notes and name in notes else name for name in shares]
    last = min(columns, len(titles) + 1) - 1
    panels = image_panels(
        pixels.shape[:2],
        ["image", *titles],
        columns=columns,
        bars=[last],
        caption=caption,
        width=width,
    )
    most = math.log2(reach)
    scale = shared_scale([], (-most, most))
    truth = None if boxes is None else as_boxes(boxes)
    # Paler than elsewhere, so that an even share is pale on dark images too. Smooth and in few
    # tones, since the noise in many small copies of one image would be most of the file.
    smooth = Image.fromarray(greyed(pixels)).filter(ImageFilter.MedianFilter(3))
    grey = 128 + np.asarray(smooth) // 32 * 16
    show_image(panels.axes[0], pixels)
    for axes, (name, values) in zip(panels.axes[1:], shares.items(), strict=True):
        show_image(axes, grey)
        with np.errstate(divide="ignore"):
            exponents = np.clip(np.log2(values), -most, most)
        show_map(axes, exponents, steps[name], cmap=scale.colours, norm=scale.norm, alpha=OPACITY)
        if np.isnan(values).all():
            axes.text(0.5, 0.04, "nothing", size=8, ha="center", va="bottom",
                      transform=axes.transAxes, bbox=_LABEL)  # fmt: skip
    if truth is not None:
        for axes in panels.axes:
            outline(axes, truth, INK, line_width=0.8)
    _factor_bar(panels.figure, panels.bars[last], scale)
    return panels.figure, panels.axes


def _shares(
    name: str, values: NDArray[Any], stride: float, size: tuple[int, int]
) -> NDArray[np.float64]:
    rows, columns = (math.ceil(pixels / stride) for pixels in size)
    cells = values[:rows, :columns].astype(np.float64)
    if (cells < 0).any():
        raise ValueError(f"shares are of maps >= 0, but {name} goes down to {cells.min():.3g}")
    mean = cells.mean()
    return cells / mean if mean > 0 else np.full_like(cells, np.nan)


def _factor_bar(figure: Figure, axes: Axes, scale: Scale) -> None:
    draw_bar(figure, axes, scale, "times mean")
    most = int(scale.norm.vmax or 0)
    room = axes.get_window_extent().height / figure.dpi * 72 / (2 * most + 1)
    step = 1 if room > 1.2 * TICK_SIZE else most  # points for each number
    axes.yaxis.set_major_locator(FixedLocator([*range(-most, most + 1, step)]))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda power, _: f"{2**power:g}" if power >= 0 else f"1/{2**-power:g}")
    )
