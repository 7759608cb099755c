"""Ready interactive figures over what was computed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from kdviz.plots.boxes import compare_detections
from kdviz.plots.maps import compare_maps
from kdviz.plots.matching import Names
from kdviz.structures import Detection, Pyramid, Target
from kdviz.widgets.controls import Control, make_control, thumbnails
from kdviz.widgets.interactive import InteractiveFigure, interactive_figure

_MOST_THUMBNAILS = 40


def explore_detections(
    images: Sequence[Any],
    detections: Mapping[str, Sequence[Detection]],
    targets: Sequence[Target] | None = None,
    names: Names | None = None,
    score_threshold: float = 0.3,
) -> InteractiveFigure:
    """Detectors side by side on an image of choice, above a score of choice.

    Args:
        images: each (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        detections: by role, one `Detection` per image, with low scores kept.
        targets: ground truth, one per image.
        names: of the classes, first that of label 1.
        score_threshold: where the slider starts, [0, 1].
    """

    def render(image: int, score_threshold: float, iou_threshold: float) -> Figure:
        figure, _ = compare_detections(
            images[image],
            {role: found[image] for role, found in detections.items()},
            None if targets is None else targets[image],
            names,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
        )
        return figure

    return interactive_figure(
        render,
        image=image_picker(images),
        score_threshold=(0.0, 1.0, 0.01, score_threshold),
        iou_threshold=(0.5, 0.95, 0.05, 0.5),
    )


def explore_maps(
    images: Sequence[Any],
    maps: Mapping[str, Pyramid],
    boxes: Sequence[Any] | None = None,
    unit: str = "",
) -> InteractiveFigure:
    """Student's and teacher's maps and their difference, on an image and a level of choice.

    Args:
        images: network images, as `kdviz.plots.network_image` gives them.
        maps: by role, one-channel maps (N, 1, H, W) per level, N as many as images.
        boxes: (n, 4) xyxy per image, pixels of the network image.
        unit: written along the bars.

    Raises:
        ValueError: the pyramids have no stride in common.
    """
    pyramids = list(maps.values())
    shared = [s for s in pyramids[0].strides if all(s in p.strides for p in pyramids)]
    if not shared:
        found = {role: pyramid.strides for role, pyramid in maps.items()}
        raise ValueError(f"levels are matched by stride, but these share none: {found}")

    def render(image: int, stride: int) -> Figure:
        figure, _ = compare_maps(
            images[image],
            {role: pyramid.at(stride) for role, pyramid in maps.items()},
            boxes=None if boxes is None else boxes[image],
            index=image,
            unit=unit,
        )
        return figure

    return interactive_figure(render, image=image_picker(images), stride=shared)


def image_picker(images: Sequence[Any]) -> Control:
    """Thumbnails of a few images, a slider over many; the value is the index.

    Args:
        images: each (3, h, w) float in [0, 1] or (h, w, 3) uint8.

    Raises:
        ValueError: there is no image.
    """
    if not len(images):
        raise ValueError("there are no images to choose from; give at least one")
    few = len(images) <= _MOST_THUMBNAILS
    return thumbnails(images) if few else make_control("image", range(len(images)))
