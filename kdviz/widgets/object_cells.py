"""Click an object, and see the cells that are trained to find it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from kdviz.plots.assigned_cells import box_at, draw_assignment
from kdviz.plots.matching import Names, class_name
from kdviz.structures import Pyramid, Target
from kdviz.widgets.controls import thumbnails
from kdviz.widgets.interactive import InteractiveFigure, interactive_figure

_READING = (
    "Orange cells are trained on it, a dot is where a point or the anchors of a cell stand; blue "
    "cells are trained on other objects, slanted ones on nothing."
)


def explore_assignment(
    images: Sequence[Any],
    assigned: Mapping[str, Pyramid],
    targets: Sequence[Target],
    names: Names | None = None,
    *,
    overlaps: Sequence[Any] | None = None,
    points: Mapping[str, Sequence[Any]] | None = None,
    image: int = 0,
    box: int = 0,
    width: float | None = None,
) -> InteractiveFigure:
    """The cells of one object on every level that has an object at all; a click chooses it.

    Args:
        images: network images, as `kdviz.plots.network_image` gives them.
        assigned: by detector, int (N, A, H, W) per level, N as many as images, as
            `kdviz.detectors.assignment.assigned_slots` gives them.
        targets: ground truth of each image, boxes in its network pixels.
        names: of the classes, first that of label 1.
        overlaps: for each image (G,): greatest IoU of any anchor with each object.
        points: by detector, (H, W, 2) per level, as in `draw_assignment`.
        image: chosen first.
        box: chosen first, from 0.
        width: of the figure, inches.

    Raises:
        ValueError: no image has an object.
    """
    most = max((len(target["boxes"]) for target in targets), default=0)
    if not most:
        raise ValueError(f"none of the {len(images)} images has an object to look at")
    strides = sorted(
        {
            level.stride
            for pyramid in assigned.values()
            for level in pyramid.levels
            if (level.map >= 0).any()
        }
    )

    def render(image: int, box: int) -> Figure:
        target = targets[image]
        count = len(target["boxes"])
        chosen = min(box, count - 1) if count else None
        told = "This image has no object."
        if chosen is not None:
            left, top, right, bottom = (float(x) for x in target["boxes"][chosen])
            name = class_name(names, int(target["labels"][chosen]))
            told = f"Object {chosen}: {name}, {right - left:.0f} x {bottom - top:.0f} pixels."
            if overlaps is not None:
                told += (
                    f" Its best anchor overlaps it with an IoU of {overlaps[image][chosen]:.2f}."
                )
        return draw_assignment(
            images[image],
            assigned,
            target["boxes"],
            chosen=chosen,
            points=points,
            strides=strides,
            index=image,
            columns=max(len(strides), min(4, len(strides) * len(assigned))),
            caption=f"{told} {_READING}",
            width=width,
        )[0]

    def pick(panel: int, x: float, y: float, state: dict[str, Any]) -> dict[str, Any]:
        found = box_at(targets[state["image"]]["boxes"], x, y)
        return {} if found is None else {"box": found}

    figure = interactive_figure(
        render, pick, image=thumbnails(images, start=image), box=range(most)
    )
    figure.controls["box"].value = box
    return figure
