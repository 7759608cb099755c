"""Grouped detections of a whole set: one box around several near objects, counted and at hand.

The definitions are those of `kdviz.diagnosis.grouped`, here for all images at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from kdviz.diagnosis.errors import FOREGROUND_IOU, BoxType, pair_with_objects
from kdviz.diagnosis.grouped import NEAR, GroupedSummary
from kdviz.diagnosis.overlaps import Integers, Numbers, Pairs, iou_of_pairs, overlapping
from kdviz.diagnosis.verdicts import ObjectVerdicts
from kdviz.engine.coco_input import GroundTruth

COVERED = 0.5
"""Share of an object's area that a box must hold to cover it."""


@dataclass(frozen=True)
class GroupedBoxes:
    """The near groups of a ground truth and how one detector answers them.

    Attributes:
        summary: counted.
        group: the number of the near group of each object, -1 for objects that stand alone, (G,).
        box: the grouped boxes, image by image, (m,).
        covered: the objects that each of them covers, two or more.
    """

    summary: GroupedSummary
    group: Integers
    box: Integers
    covered: tuple[Integers, ...]


def grouped_boxes(verdicts: ObjectVerdicts) -> GroupedBoxes:
    """Which boxes of a set are drawn around several near objects, and around which.

    Args:
        verdicts: of one set; boxes below its threshold are left out.
    """
    typed, truth = verdicts.typed, verdicts.typed.truth
    boxes, count = typed.boxes, len(typed.boxes.scores)
    shown = (boxes.scores >= verdicts.threshold) & (typed.type != BoxType.SURPLUS)
    pairs = pair_with_objects(truth, boxes, crowd=False, among=shown)
    crowds = pair_with_objects(truth, boxes, crowd=True, among=shown)
    group = _near_groups(truth)
    _, best = pairs.best(count)
    _, inside = crowds.best(count)
    open_ = (best < FOREGROUND_IOU) & (inside < FOREGROUND_IOU)
    held = pairs.where(open_[pairs.left] & (group[pairs.right] >= 0))
    held = held.where(_share_held(boxes.boxes[held.left], truth.boxes[held.right]) >= COVERED)
    box, answered, covered = _around_groups(held, group, boxes.boxes, truth.boxes)
    order = np.argsort(boxes.image[box], kind="stable")

    same = pairs.where(boxes.category[pairs.left] == truth.category[pairs.right])
    _, own = same.best(count)
    found = np.zeros(len(group), bool)
    found[same.right[(same.iou >= FOREGROUND_IOU) & (same.iou == own[same.left])]] = True
    member = group >= 0
    lost = np.unique(group[member & ~found])
    groups = int(group.max(initial=-1)) + 1
    summary = GroupedSummary(
        groups=groups,
        grouped=len(np.unique(answered)),
        separated=groups - len(lost),
        members=int(member.sum()),
        found=int((member & found).sum()),
        boxes=len(box),
    )
    return GroupedBoxes(summary, group, box[order], tuple(covered[n] for n in order))


def _near_groups(truth: GroundTruth) -> Integers:
    """The number of the near group of each object, by image and first member; -1 for none."""
    objects = np.flatnonzero(~truth.crowd)
    boxes, image = truth.boxes[objects], truth.image[objects]
    reach = NEAR / 2 * np.sqrt(boxes[:, 2] * boxes[:, 3])
    # Boxes grown by their reach touch if they are near; grown a little more, they share area.
    more = (reach + 1e-6)[:, None] * 1.001
    grown = np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + 2 * more], axis=1)
    pairs = overlapping(left_image=image, left_boxes=grown, right_image=image, right_boxes=grown)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    gap = np.maximum(low[pairs.left], low[pairs.right])
    gap -= np.minimum(high[pairs.left], high[pairs.right])
    near = gap.max(axis=1, initial=0) <= reach[pairs.left] + reach[pairs.right]
    linked = (np.ones(int(near.sum())), (pairs.left[near], pairs.right[near]))
    shape = (len(objects), len(objects))
    _, label = connected_components(csr_array(linked, shape=shape), directed=False)
    _, first, sizes = np.unique(label, return_index=True, return_counts=True)
    order = np.lexsort((first, image[first]))
    order = order[sizes[order] > 1]
    number = np.full(len(first), -1)
    number[order] = np.arange(len(order))
    group = np.full(len(truth.crowd), -1)
    group[objects] = number[label]
    return group


def _around_groups(
    held: Pairs, group: Integers, boxes: Numbers, objects: Numbers
) -> tuple[Integers, Integers, list[Integers]]:
    """Boxes that match what they hold of one group, that group, and what they hold of it.

    Args:
        held: boxes, left, and the objects they cover, right.
        group: of each object.
        boxes: x, y, width, height.
        objects: the same.
    """
    answered = group[held.right]
    order = np.lexsort((held.right, answered, held.left))
    left, right, answered = held.left[order], held.right[order], answered[order]
    new = (np.diff(left, prepend=-1) != 0) | (np.diff(answered, prepend=-1) != 0)
    start = np.flatnonzero(new)
    members = np.split(right, start[1:])
    if not len(start):
        return start, start, []
    low = np.minimum.reduceat(objects[right, :2], start)
    high = np.maximum.reduceat(objects[right, :2] + objects[right, 2:], start)
    fit = iou_of_pairs(boxes[left[start]], np.concatenate([low, high - low], axis=1))
    several = np.array([len(one) > 1 for one in members])
    fits = Pairs(left[start], np.arange(len(start)), fit)
    fits = fits.where(several & (fit >= FOREGROUND_IOU))
    chosen, _ = fits.best(len(boxes))
    chosen = chosen[chosen >= 0]
    return left[start[chosen]], answered[start[chosen]], [members[n] for n in chosen]


def _share_held(boxes: Numbers, objects: Numbers) -> Numbers:
    """The share of each object's area that lies in the box of the same row, x, y, width, height."""
    low = np.maximum(boxes[:, :2], objects[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], objects[:, :2] + objects[:, 2:])
    shared, area = (high - low).clip(min=0).prod(axis=1), objects[:, 2:].prod(axis=1)
    return np.divide(shared, area, out=np.zeros(len(area)), where=area > 0)
