"""Grouped detections: one box around several near objects, where each should have its own.

This is the failure that FGFI's authors show in small detectors and see go away with imitation (Wang
et al., CVPR 2019). They show it in pictures; here it is counted, by a definition of our own.

Two objects are *near* when the gap between their boxes is at most a quarter of their mean size;
objects linked by such pairs form a *near group*. A detection is *grouped* when it matches no object
but matches what it covers of one near group: its IoU with every object lies below the threshold,
it covers at least half of two or more members, and its IoU with the tight box around these members
reaches the threshold. Classes take no part in this: a box around a cat and a dog has lost one of
them, whichever name it carries. A loose box around one object is not grouped, nor is one over half
of the image.

Crowd regions are nobody's group: they are no members, and a detection that lies in one by as much
as the threshold is not judged, as in COCO's evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

Boxes = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEAR = 0.25
"""Largest gap between two near objects, as a share of their mean size."""


@dataclass(frozen=True)
class GroupedDetections:
    """The near groups of one image and how a detector answers them.

    Attributes:
        groups: the objects of each near group, rising indices, at least two each.
        boxes: (n,) indices of the grouped detections, in the order they were given.
        group_of: (n,) the group that each of them answers.
        covered: (n, G) which objects each of them covers, all of that group.
        found: (G,) which objects have a detection of their own: one of their class, at IoU with
            this object at or above the threshold and no smaller than with any other of the class.
    """

    groups: tuple[NDArray[np.int64], ...]
    boxes: NDArray[np.int64]
    group_of: NDArray[np.int64]
    covered: Mask
    found: Mask


@dataclass(frozen=True)
class GroupedSummary:
    """The near groups of a data set.

    Attributes:
        groups: near groups.
        grouped: of these, groups with at least one grouped detection.
        separated: groups of which every member is found.
        members: objects in near groups.
        found: of these, objects with a detection of their own.
        boxes: grouped detections; a group may have several.
    """

    groups: int
    grouped: int
    separated: int
    members: int
    found: int
    boxes: int


def grouped_detections(
    boxes: Any,
    scores: Any,
    labels: Any,
    target_boxes: Any,
    target_labels: Any,
    ignored: Any = None,
    *,
    score_threshold: float = 0.3,
    iou_threshold: float = 0.5,
    coverage: float = 0.5,
    near: float = NEAR,
) -> GroupedDetections:
    """Which detections of one image are drawn around several near objects, and around which.

    Args:
        boxes: of the detections, (n, 4) xyxy, any array or tensor.
        scores: (n,), [0, 1].
        labels: (n,).
        target_boxes: ground truth, (G, 4) xyxy in the same pixels.
        target_labels: (G,).
        ignored: (G,), crowd regions; none by default.
        score_threshold: detections below are left out, [0, 1]; the paper's pictures take 0.3.
        iou_threshold: IoU of a match with an object or with a group, (0, 1].
        coverage: share of an object's area that a detection must hold to cover it, (0, 1].
        near: see `near_groups`.

    Raises:
        ValueError: boxes are not (n, 4), or scores, labels or ``ignored`` are not one for each.
    """
    given, target = _boxes("boxes", boxes), _boxes("target_boxes", target_boxes)
    score = _column("scores", scores, len(given))
    kept = np.flatnonzero(score >= score_threshold)
    drawn, label = given[kept], _column("labels", labels, len(given))[kept]
    wanted = _column("target_labels", target_labels, len(target))
    crowd = _crowd(ignored, len(target))

    groups = near_groups(target, crowd, near)
    member = np.zeros((len(groups), len(target)), dtype=bool)
    for row, group in enumerate(groups):
        member[row, group] = True

    shared = _intersection(drawn, target)
    iou = np.where(crowd, 0.0, _iou(drawn, target))
    matches = iou.max(axis=1, initial=0.0) >= iou_threshold
    inside = _share(shared, np.broadcast_to(_area(drawn)[:, None], shared.shape))
    excused = (inside[:, crowd] >= iou_threshold).any(axis=1)

    holds = _share(shared, np.broadcast_to(_area(target), shared.shape)) >= coverage
    held = holds[:, None] & member  # (n, groups, G)
    fit = np.where(held.sum(axis=2) >= 2, _iou(drawn[:, None], _enclosing(held, target))[:, 0], 0.0)
    grouped = ~matches & ~excused & (fit.max(axis=1, initial=0.0) >= iou_threshold)
    rows = np.flatnonzero(grouped)
    group_of = fit[rows].argmax(axis=1) if groups else np.zeros(0, dtype=np.int64)
    covered = held[rows, group_of] if groups else np.zeros((0, len(target)), dtype=bool)

    own = np.where(label[:, None] == wanted, iou, 0.0)
    best = own == own.max(axis=1, initial=0.0)[:, None]
    found = (best & (own >= iou_threshold)).any(axis=0)
    return GroupedDetections(groups, kept[rows], group_of, covered, found)


def near_groups(
    boxes: Any, ignored: Any = None, near: float = NEAR
) -> tuple[NDArray[np.int64], ...]:
    """The objects that stand together: sets of at least two, linked by near pairs.

    Args:
        boxes: ground truth of one image, (G, 4) xyxy.
        ignored: (G,), crowd regions, which belong to no group; none by default.
        near: largest gap of a near pair as a share of the mean size of the two, >= 0. The gap is
            the larger of the horizontal and the vertical one, 0 where boxes touch or overlap; the
            size of a box is the square root of its area.

    Returns:
        Rising indices of each group, in the order of the first members.
    """
    target = _boxes("boxes", boxes)
    apart = np.maximum(target[:, None, :2], target[:, :2]) - np.minimum(
        target[:, None, 2:], target[:, 2:]
    )
    gap = apart.max(axis=2).clip(min=0)
    size = np.sqrt(_area(target))
    linked = gap <= near * (size[:, None] + size) / 2
    kept = ~_crowd(ignored, len(target))
    linked &= kept[:, None] & kept
    if not len(target):
        return ()
    count, group = connected_components(linked, directed=False)
    sets = [np.flatnonzero(group == index) for index in range(count)]
    return tuple(sorted((s for s in sets if len(s) > 1), key=lambda s: int(s[0])))


def summarise_groups(images: Sequence[GroupedDetections]) -> GroupedSummary:
    """The near groups of many images, counted.

    Args:
        images: what `grouped_detections` says of each.
    """
    each = [(image, n, group) for image in images for n, group in enumerate(image.groups)]
    return GroupedSummary(
        groups=len(each),
        grouped=sum(bool((image.group_of == n).any()) for image, n, _ in each),
        separated=sum(bool(image.found[group].all()) for image, _, group in each),
        members=sum(len(group) for _, _, group in each),
        found=sum(int(image.found[group].sum()) for image, _, group in each),
        boxes=sum(len(image.boxes) for image in images),
    )


def _boxes(name: str, values: Any) -> Boxes:
    array = torch.as_tensor(values).detach().cpu().double().numpy()
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{name} must have shape (n, 4), xyxy, but have {array.shape}")
    return array


def _column(name: str, values: Any, count: int) -> NDArray[Any]:
    array = torch.as_tensor(values).detach().cpu().numpy()
    if array.shape != (count,):
        raise ValueError(f"{name} must be one for each of {count} boxes but have {array.shape}")
    return array


def _crowd(ignored: Any, count: int) -> Mask:
    if ignored is None:
        return np.zeros(count, dtype=bool)
    return _column("ignored", ignored, count).astype(bool)


def _area(boxes: Boxes) -> Boxes:
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1)


def _intersection(boxes: Boxes, others: Boxes) -> Boxes:
    low = np.maximum(boxes[..., :, None, :2], others[..., None, :, :2])
    high = np.minimum(boxes[..., :, None, 2:], others[..., None, :, 2:])
    return (high - low).clip(min=0).prod(axis=-1)


def _share(part: Boxes, whole: Boxes) -> Boxes:
    """``part / whole``, 0 where the whole is empty."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _iou(boxes: Boxes, others: Boxes) -> Boxes:
    shared = _intersection(boxes, others)
    return _share(shared, _area(boxes)[..., :, None] + _area(others)[..., None, :] - shared)


def _enclosing(held: Mask, boxes: Boxes) -> Boxes:
    """The tight box around those that each row of ``held`` (..., G) takes; empty for none."""
    low = np.where(held[..., None], boxes[:, :2], np.inf).min(axis=-2, initial=np.inf)
    high = np.where(held[..., None], boxes[:, 2:], -np.inf).max(axis=-2, initial=-np.inf)
    around = np.concatenate([low, high], axis=-1)
    return np.where(held.any(axis=-1, keepdims=True), around, 0.0)
