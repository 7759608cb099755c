"""Near objects close up: which detector gives each its box, and which draws one around several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.images import as_array, as_boxes, as_image, show_image
from kdviz.plots.marks import outline
from kdviz.plots.matching import box_iou
from kdviz.plots.panels import image_panels
from kdviz.plots.theme import INK, in_role_order, role_colour, theme
from kdviz.structures import Detection

_THIN = 1.2
_THICK = 2.6
_DASHED = (0.0, (2.0, 1.0))


@theme()
def group_gallery(
    images: Sequence[Any],
    groups: Sequence[Any],
    detections: Mapping[str, Sequence[Detection]],
    grouped: Mapping[str, Sequence[Any]],
    *,
    score_threshold: float = 0.3,
    titles: Sequence[str] | None = None,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """One row for each group of near objects, one column for each detector, cut out around them.

    The objects are black. Detections that touch them have the colour of their detector: thin,
    or thick and dashed where they are drawn around several objects.

    Args:
        images: one for each row, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        groups: the objects that each row shows, (m, 4) xyxy in pixels of its image, m at least 1.
        detections: by role or name, one `Detection` for each row.
        grouped: by the same names, indices of the detections drawn around several objects.
        score_threshold: detections below are not drawn, [0, 1].
        titles: one for each row, written over its first panel.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes, row by row; each in pixels of the part that is shown.

    Raises:
        ValueError: something is not given once for each row.
    """
    order = in_role_order(detections)
    given = {"groups": groups, "titles": titles or [""] * len(images)}
    for name in order:
        given |= {f"detections of {name}": detections[name], f"indices of {name}": grouped[name]}
    for what, values in given.items():
        if len(values) != len(images):
            raise ValueError(f"{len(values)} {what} for {len(images)} images; give one per image")
    rows = range(len(images))
    names = [[name if row == 0 else "" for name in order] for row in rows]
    for heads, title in zip(names, given["titles"], strict=True):
        heads[0] = f"{heads[0]}\n{title}".strip()
    panels = image_panels(
        (1, 1),
        [head for heads in names for head in heads],
        colours=[role_colour(name) for name in order] * len(images),
        columns=len(order),
        caption=caption,
        width=width,
    )
    places = [(row, name) for row in rows for name in order]
    for axes, (row, name) in zip(panels.axes, places, strict=True):
        pixels, members, found = as_image(images[row]), as_boxes(groups[row]), detections[name][row]
        left, top, right, bottom = _view(members, pixels.shape[:2])
        show_image(axes, pixels[top:bottom, left:right])
        corner = np.array([left, top, left, top])
        boxes, several = as_boxes(found.boxes), np.zeros(len(found.boxes), dtype=bool)
        several[as_array(grouped[name][row]).astype(int)] = True
        shown = (as_array(found.scores) >= score_threshold) & _touch(boxes, members)
        outline(axes, members - corner, INK, line_width=_THIN)
        colour = role_colour(name)
        outline(axes, boxes[shown & ~several] - corner, colour, line_width=_THIN)
        outline(axes, boxes[shown & several] - corner, colour, dashes=_DASHED, line_width=_THICK)
    return panels.figure, panels.axes


def _view(members: NDArray[np.float64], size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A square around the members with half of their extent to spare, inside the image, xyxy."""
    low, high = members[:, :2].min(0), members[:, 2:].max(0)
    side = min(math.ceil(1.5 * (high - low).max()), *size)
    left, top = (
        min(max(0, round(middle - side / 2)), extent - side)
        for middle, extent in zip((low + high) / 2, size[::-1], strict=True)
    )
    return left, top, left + side, top + side


def _touch(boxes: NDArray[np.float64], members: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes share some area with any of the members."""
    return np.asarray(box_iou(boxes, members).max(axis=1, initial=0.0) > 0)
