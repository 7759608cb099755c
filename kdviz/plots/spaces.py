"""Instances and their prototypes in two feature spaces, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots.images import as_array, as_image, show_image
from kdviz.plots.panels import MARGIN, image_panels
from kdviz.plots.prototypes import draw_codes
from kdviz.plots.theme import (
    FAINT,
    INK,
    PAPER,
    class_colour,
    in_role_order,
    paler,
    role_colour,
    theme,
)

_POINT = 16.0
_CHART = 2.0  # height of the codes, inches
_LEFT = 0.64  # kept for the numbers beside them, inches
_WIDTH = 9.0


@theme()
def instance_in_spaces(
    crop: Any,
    instance: int,
    *,
    points: Mapping[str, Any],
    codes: Mapping[str, Any],
    labels: Any,
    prototypes: Any,
    names: Sequence[str],
    shares: Mapping[str, float] | None = None,
    caption: str | None = None,
) -> tuple[Figure, list[Axes]]:
    """One instance: where it lies in both spaces, how it looks, and its two codes.

    Below, each pair of dots is the cosine to one prototype in both detectors. On the ground of the
    instance's own class, lines mark the best cosine of each; their distance is what the instance
    lacks in reliability. Large marks with a black edge are prototypes, colours are classes. Axes of
    principal components have no meaning of their own, so they carry no numbers.

    Args:
        crop: of the instance, (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        instance: its index.
        points: by role, (n, 2).
        codes: by role, cosines of all instances to all prototypes, (n, P).
        labels: classes of the instances, (n,), from 1.
        prototypes: which instances they are, (P,) indices; those of a class together.
        names: of the classes, first that of label 1.
        shares: by role, of the variance that the picture keeps, [0, 1]; written above.
        caption: sentence below.

    Returns:
        The figure and its axes: one space per role, student first, the crop, the codes.
    """
    order = in_role_order(points)
    kinds, marks = as_array(labels), as_array(prototypes)
    values = {role: as_array(codes[role])[instance] for role in order}
    best = {role: values[role][kinds[marks] == kinds[instance]].max(initial=-2) for role in order}
    foot = _CHART + 0.6
    panels = image_panels(
        (1, 1),
        [*(_space_title(role, shares) for role in order), _told(instance, kinds, best, names)],
        colours=[*map(role_colour, order), INK],
        columns=len(order) + 1,
        caption=caption,
        width=_WIDTH,
        foot=foot,
    )
    figure, spaces = panels.figure, panels.axes[:-1]
    for axes, role in zip(spaces, order, strict=True):
        _draw_space(axes, as_array(points[role]), kinds, marks, instance)
    show_image(panels.axes[-1], as_image(crop))
    wide, tall = figure.get_size_inches()
    low = panels.foot * tall - foot / 2 + 0.3
    box = (_LEFT / wide, low / tall, 1 - (_LEFT + MARGIN) / wide, _CHART / tall)
    below = figure.add_axes(box)
    span = [as_array(codes[role]) for role in order]
    below.set_ylim(min(0.0, *(float(x.min()) for x in span)) - 0.02, 1.02)
    draw_codes(below, values, best, int(kinds[instance]), kinds[marks], names)
    return figure, [*panels.axes, below]


def nearest_point(points: Any, x: float, y: float) -> int:
    """Index of the point that lies nearest to a place, as after a click.

    Args:
        points: (n, 2).
        x: of the place.
        y: of the place.
    """
    return int(np.square(as_array(points) - (x, y)).sum(axis=1).argmin())


def _space_title(role: str, shares: Mapping[str, float] | None) -> str:
    kept = "" if shares is None else f"\nthis plane keeps {shares[role]:.0%} of the variance"
    return f"{role}{kept}"


def _told(
    instance: int, kinds: NDArray[Any], best: Mapping[str, float], names: Sequence[str]
) -> str:
    text = f"{names[int(kinds[instance]) - 1]}, instance {instance}\n"
    ends = list(best.values())
    if min(ends) < -1:
        return text + "its class has no prototype"
    gap = abs(ends[0] - ends[-1])
    return text + f"reliability 1 - |{ends[0]:.2f} - {ends[-1]:.2f}| = {1 - gap:.2f}"


def _draw_space(
    axes: Axes, points: NDArray[Any], kinds: NDArray[Any], marks: NDArray[Any], chosen: int | None
) -> None:
    colours = [class_colour(int(label)) for label in kinds]
    edge: Any = {"edgecolors": INK, "linewidths": 0.8}
    pale = [paler(colour, 0.4) for colour in colours]
    axes.scatter(points[:, 0], points[:, 1], _POINT, pale, linewidths=0)
    axes.scatter(
        points[marks, 0], points[marks, 1], 3 * _POINT, [colours[i] for i in marks], **edge
    )
    if chosen is not None:
        (x, y), own = points[chosen], class_colour(int(kinds[chosen]))
        axes.scatter(x, y, 3 * _POINT, own, edgecolors=PAPER, linewidths=1.0)
        ring: Any = {"facecolors": "none", "edgecolors": INK, "linewidths": 1.8}
        axes.scatter(x, y, 14 * _POINT, **ring)
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, max(float((high - low).max()) * 0.54, 1e-6)
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set(xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
