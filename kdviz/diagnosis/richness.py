"""Where FRS's weights lie: in the boxes or outside them, and what in a scene draws them there.

A cell stands for one point of the image, the centre of its anchors, and is *inside* when that point
lies in a box. That is the rule by which FCOS decides what a cell may learn, so every cell that a
detector is taught to answer for is inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import to_dtype

from kdviz.datasets.scenes import SceneConfig, render
from kdviz.detectors.parts import DetectorParts
from kdviz.detectors.ssd import SSDParts
from kdviz.structures import Pyramid


@dataclass(frozen=True)
class InsideOutside:
    """Weights of each image, summed where its boxes are and where they are not.

    Attributes:
        inside: (N, L), images by levels.
        outside: (N, L).
    """

    inside: Tensor
    outside: Tensor

    @property
    def outside_share(self) -> Tensor:
        """Share of a level's weight that lies outside, over all images, (L,); NaN without any."""
        outside = self.outside.sum(0)
        return outside / (outside + self.inside.sum(0))


def point_offset(parts: DetectorParts) -> float:
    """How far the point of a cell lies from the cell's upper left corner, in strides.

    torchvision's SSD puts it into the middle of the cell, all its other detectors at the corner.
    """
    return 0.5 if isinstance(parts, SSDParts) else 0.0


def box_cells(grid: Pyramid, boxes: Sequence[Tensor], offset: float = 0.0) -> Pyramid:
    """The cells whose point lies in a box, whatever the size of the box.

    Args:
        grid: gives strides and sizes, (N, any, H, W) per level.
        boxes: of each image, (G, 4) xyxy in network pixels.
        offset: of a cell's point, see `point_offset`.

    Returns:
        Boolean (N, 1, H, W) per level.

    Raises:
        ValueError: there are not as many sets of boxes as images.
    """
    _check_count("sets of boxes", boxes, grid)
    masks = []
    for level in grid.levels:
        size = level.map.shape[-2:]
        images = [
            holds_points(each.to(level.map.device), size, level.stride, offset) for each in boxes
        ]
        masks.append(torch.stack(images).unsqueeze(1))
    return grid.with_maps(masks)


def holds_points(boxes: Tensor, size: Sequence[int], stride: int, offset: float = 0.0) -> Tensor:
    """Which cells of one map have their point in one of the boxes.

    Args:
        boxes: (n, 4) xyxy in network pixels.
        size: (H, W) of the map.
        stride: of the map.
        offset: of a cell's point, see `point_offset`.

    Returns:
        Boolean (H, W).
    """
    y, x = ((torch.arange(n, device=boxes.device) + offset) * stride for n in size)
    x1, y1, x2, y2 = boxes.unsqueeze(2).unbind(1)
    rows, columns = (y > y1) & (y < y2), (x > x1) & (x < x2)
    return (rows[:, :, None] & columns[:, None, :]).any(dim=0)


def sum_by_region(weights: Pyramid, inside: Pyramid) -> InsideOutside:
    """Sum of the weights in a region and outside it, for each image and level.

    Args:
        weights: (N, 1, H, W) per level, >= 0.
        inside: boolean, the same shapes, for example from `box_cells`.
    """
    pairs = [(level.map, inside.at(level.stride).map) for level in weights.levels]
    return InsideOutside(
        torch.stack([(values * mask).sum((1, 2, 3)) for values, mask in pairs], dim=1),
        torch.stack([(values * ~mask).sum((1, 2, 3)) for values, mask in pairs], dim=1),
    )


# --- scenes: take something away and look again ---------------------------------------------------


def rendered_again(
    record: Mapping[str, Any],
    config: SceneConfig | None = None,
    *,
    seed: int = 0,
    split: str = "val",
    **changes: Any,
) -> list[Tensor]:
    """The images of a set of scenes with some of their looks changed, everything else the same.

    Args:
        record: COCO record of rendered scenes; its image ids are one more than the scenes' numbers.
        config: that they were rendered with; the default of the embedded ones without it.
        seed: that they were rendered with.
        split: the same.
        **changes: fields of `SceneConfig`, such as ``cue_probability=0.0``.

    Returns:
        One (3, h, w) in [0, 1] for each image of the record.

    Raises:
        ValueError: these are other images, or the change moves their objects.
    """
    changed = replace(config or SceneConfig(), **changes)
    boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in record["images"]}
    for annotation in record["annotations"]:
        boxes[annotation["image_id"]].append(list(annotation["bbox"]))
    images = []
    for number, old in boxes.items():
        pixels, objects = render(changed, seed, split, number - 1)
        new = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in (o.box for o in objects)]
        if new != old:
            raise ValueError(
                f"rendered with {changes}, image {number} has other objects than its record; give "
                "the configuration, seed and split of these scenes, and change a look, such as "
                "cue_probability, and no place or size"
            )
        # As the data set makes them: the same bytes become the same floats.
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        images.append(to_dtype(image, torch.float32, scale=True))
    return images


def changed_cells(
    first: Tensor, second: Tensor, grid: Pyramid, share: float = 0.25, offset: float = 0.0
) -> Pyramid:
    """The cells around whose point two versions of an image differ.

    Args:
        first: network images, (N, 3, h, w).
        second: others of the same shape.
        grid: gives strides and sizes, (N, any, H, W) per level.
        share: least share of changed pixels in the square of one stride around the point, (0, 1].
        offset: of a cell's point, see `point_offset`.

    Returns:
        Boolean (N, 1, H, W) per level.

    Raises:
        ValueError: the images have two shapes, or are not as many as those of the grid.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"two versions of the same images are compared, but their shapes are "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    _check_count("images", first, grid)
    changed = (first != second).any(dim=1, keepdim=True).float()
    masks = []
    for level in grid.levels:
        height, width = level.map.shape[-2:]
        before = round((0.5 - offset) * level.stride)
        after = [max(0, n * level.stride - s - before)
                 for n, s in ((width, changed.shape[3]), (height, changed.shape[2]))]  # fmt: skip
        padded = F.pad(changed, (before, after[0], before, after[1]))
        squares = F.avg_pool2d(padded, level.stride)[..., :height, :width]
        masks.append(squares >= share)
    return grid.with_maps(masks)


def _check_count(what: str, given: Sequence[Any] | Tensor, grid: Pyramid) -> None:
    if len(given) != len(grid.levels[0].map):
        raise ValueError(f"{len(given)} {what} for {len(grid.levels[0].map)} images")
