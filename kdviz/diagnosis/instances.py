"""Every object of some images, as two detectors see it on each level of their pyramids."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kdviz.detectors.parts import DetectorParts, Pass, in_eval
from kdviz.methods.adapters import match_levels
from kdviz.methods.gkd_bank import InstanceTable, collect_instances
from kdviz.methods.gkd_prototypes import box_means
from kdviz.structures import Batch, Pyramid, Target


def see_instances(
    *,
    student: DetectorParts,
    teacher: DetectorParts,
    images: Sequence[Tensor],
    targets: Sequence[Target],
    min_size: float = 30.0,
    batch_size: int = 24,
) -> InstanceTable:
    """Features of every box in both detectors, on every level that they share.

    The student prepares the images for both, as in training; both are in eval mode.

    Args:
        student: the small detector.
        teacher: the big one.
        images: each (3, h, w) in [0, 1].
        targets: of each image, boxes in its pixels.
        min_size: length in network pixels that both sides of a box exceed to count as large.
        batch_size: images that are kept in memory at once.

    Returns:
        One row for each box, image by image. Its ``image_ids`` are positions in ``images``.

    Raises:
        ValueError: the detectors share no level, or there is not one box.
    """
    strides = [s.stride for s, _ in match_levels(student=student.levels, teacher=teacher.levels)]
    with in_eval(student.model), in_eval(teacher.model):
        batches = _batches(student, images, targets, batch_size)
        passes = ((Pass(student, batch), Pass(teacher, batch), batch) for batch in batches)
        return collect_instances(passes, strides, min_size=min_size, limit=sys.maxsize)


@torch.no_grad()
def box_features(
    parts: DetectorParts,
    images: Sequence[Tensor],
    targets: Sequence[Target],
    strides: Iterable[int],
    batch_size: int = 24,
) -> dict[int, Tensor]:
    """Features of every box in one detector, by stride, (n, C) each, in the rows of the table.

    ``replace(table, student=box_features(another, ...))`` is the table of another student.

    Args:
        parts: the detector.
        images: each (3, h, w) in [0, 1].
        targets: of each image, boxes in its pixels.
        strides: of the levels to read.
        batch_size: images that are kept in memory at once.
    """
    strides = list(strides)
    found: list[list[Tensor]] = []
    with in_eval(parts.model):
        for batch in _batches(parts, images, targets, batch_size):
            maps, boxes = parts.features(batch), [x["boxes"] for x in batch.targets or ()]
            found.append([box_means(maps.at(s).map, boxes, s).cpu() for s in strides])
    return dict(zip(strides, map(torch.cat, zip(*found, strict=True)), strict=True))


def object_factors(
    targets: Sequence[Target], annotations: Iterable[Mapping[str, Any]]
) -> dict[str, Tensor]:
    """What is known to make each object hard, by name, (n,) each, in the rows of the table.

    The size of a box is known for any data; scenes know how much they hid, blurred and so on.

    Args:
        targets: of each image.
        annotations: of the record they were read from; those of scenes have ``factors``.

    Returns:
        ``size`` (side of the square as large as the box, pixels), then every factor that all of
        these objects have, in the order of the record.
    """
    boxes = torch.cat([target["boxes"] for target in targets])
    factors = {"size": (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt()}
    known = {entry["id"]: entry.get("factors") or {} for entry in annotations}
    ids = [i for target in targets for i in target.get("annotation_ids", torch.empty(0)).tolist()]
    if len(ids) == len(boxes) > 0:
        of_objects = [known.get(i, {}) for i in ids]
        for name in of_objects[0]:
            if name != "size" and all(name in each for each in of_objects):
                factors[name] = torch.tensor([float(each[name]) for each in of_objects])
    return factors


def box_cells(features: Pyramid, box: Tensor) -> Pyramid:
    """The cells of each level that the feature of a box is the mean of; see `box_means`.

    Args:
        features: gives the levels, maps (N, C, H, W).
        box: (4,), xyxy in network pixels.

    Returns:
        bool (1, 1, H, W) per level; at least one cell is True.
    """
    maps = []
    for level in features.levels:
        sides = []
        for axis in (1, 0):  # rows, then columns
            size = level.map.shape[-2:][1 - axis]
            first = min(max(int(box[axis] / level.stride), 0), size - 1)
            last = min(int(box[axis + 2] / level.stride), size - 1)
            cell = torch.arange(size)
            sides.append((cell >= first) & (cell <= max(first, last)))
        maps.append((sides[0][:, None] & sides[1])[None, None])
    return features.with_maps(maps)


def _batches(
    parts: DetectorParts, images: Sequence[Tensor], targets: Sequence[Target], size: int
) -> Iterator[Batch]:
    """The images as this detector takes them, each target named by the position of its image."""
    if len(images) != len(targets):
        raise ValueError(f"{len(targets)} targets for {len(images)} images; give one for each")
    named = [{**target, "image_id": torch.tensor(i)} for i, target in enumerate(targets)]
    for start in range(0, len(images), size):
        with torch.no_grad():
            yield parts.preprocess(images[start : start + size], named[start : start + size])
