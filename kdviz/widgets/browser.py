"""A browser of images: what detectors find and what their maps say, in two linked figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from kdviz.plots.boxes import compare_detections
from kdviz.plots.images import as_image
from kdviz.plots.maps import compare_maps
from kdviz.plots.matching import Names
from kdviz.structures import Detection, Level, Pyramid, Target
from kdviz.widgets.controls import Control, make_control
from kdviz.widgets.explorers import image_picker
from kdviz.widgets.interactive import InteractiveFigure, interactive_figure
from kdviz.widgets.selectors import checkpoint_picker, level_picker, threshold_slider

Finder = Callable[[int, float, float], Detection]
"""From an image's index, a score threshold and a NMS threshold to what is found, from a cache."""


@dataclass(frozen=True)
class MapShelf:
    """Maps that were computed before, to choose from.

    Attributes:
        images: as the network saw them, each (3, h, w) in [0, 1] or (h, w, 3) uint8.
        boxes: ground truth (n, 4) xyxy of each, in their pixels.
        kinds: by name of the kind (``energy``, ``fgfi: mask``), then by detector, one pyramid of
            one-channel maps (1, 1, H, W) for each image.
        captions: by kind, how to read its maps.
    """

    images: Sequence[Any]
    boxes: Sequence[Any]
    kinds: Mapping[str, Mapping[str, Sequence[Pyramid]]]
    captions: Mapping[str, str] = field(default_factory=dict)


class ImageBrowser:
    """Two figures for the same image: detections side by side, and maps.

    As the last line of a cell it shows both; each leaves its static picture.

    Attributes:
        detections: image, checkpoints, score threshold and NMS threshold.
        maps: the same image and checkpoints, kind of map and level; None where there are no maps.
    """

    def __init__(self, detections: InteractiveFigure, maps: InteractiveFigure | None) -> None:
        self.detections = detections
        self.maps = maps

    def _ipython_display_(self) -> None:
        for figure in filter(None, (self.detections, self.maps)):
            figure._ipython_display_()


def browse_images(
    images: Sequence[Any],
    finders: Mapping[str, Finder],
    targets: Sequence[Target] | None = None,
    names: Names | None = None,
    maps: MapShelf | None = None,
    *,
    score_threshold: float = 0.3,
    nms_threshold: float = 0.5,
    least_score: float = 0.0,
) -> ImageBrowser:
    """An image browser over what was computed before.

    Args:
        images: each (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        finders: by detector, what it finds on an image with these thresholds.
        targets: ground truth, one per image.
        names: of the classes, first that of label 1.
        maps: to show below the detections.
        score_threshold: where the slider starts, [0, 1].
        nms_threshold: where the slider starts: IoU above which of two boxes of a class the better
            one stays, [0, 1].
        least_score: where the slider of scores ends: below it nothing was kept.

    Raises:
        ValueError: there is no image or no detector.
    """
    pixels = [as_image(image) for image in images]
    image, shown = image_picker(pixels), checkpoint_picker(finders)

    def draw_detections(
        image: int, shown: tuple[str, ...], score_threshold: float, nms_threshold: float
    ) -> Figure:
        figure, _ = compare_detections(
            pixels[image],
            {name: finders[name](image, score_threshold, nms_threshold) for name in shown},
            None if targets is None else targets[image],
            names,
            score_threshold=0.0,
        )
        return figure

    detections = interactive_figure(
        draw_detections,
        image=image,
        shown=shown if len(finders) > 1 else _out_of_sight(shown),
        score_threshold=threshold_slider("score", score_threshold, low=least_score),
        nms_threshold=threshold_slider("nms", nms_threshold),
    )
    if maps is None or not maps.kinds:
        return ImageBrowser(detections, None)
    return ImageBrowser(detections, _map_figure(maps, image, shown))


def _map_figure(maps: MapShelf, image: Control, shown: Control) -> InteractiveFigure:
    frames = [as_image(image) for image in maps.images]
    every = [pyramids[0] for kind in maps.kinds.values() for pyramids in kind.values()]

    def draw_maps(image: int, shown: tuple[str, ...], maps_of: str, level: int) -> Figure:
        kind = maps.kinds[maps_of]
        # A kind that none of the chosen detectors has is shown for those that have it.
        names = [name for name in kind if name in shown] or list(kind)
        levels = {name: _nearest(kind[name][image], level) for name in names}
        told = ", ".join(dict.fromkeys(f"{x.name} (stride {x.stride})" for x in levels.values()))
        figure, _ = compare_maps(
            frames[image],
            levels,
            boxes=maps.boxes[image],
            unit=maps_of,
            caption=f"{maps_of} on {told}. {maps.captions.get(maps_of, '')}".strip(),
        )
        return figure

    return interactive_figure(
        draw_maps,
        image=_out_of_sight(image),
        shown=_out_of_sight(shown),
        maps_of=make_control("maps of", list(maps.kinds)),
        level=level_picker(*every),
    )


def _nearest(pyramid: Pyramid, stride: int) -> Level:
    return min(pyramid.levels, key=lambda level: abs(level.stride - stride))


def _out_of_sight(control: Control) -> Control:
    return Control(None, control.source)
