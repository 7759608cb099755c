"""Grouped detections of a whole set: one box around several near objects, counted and at hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.grouped import GroupedSummary, grouped_detections, summarise_groups
from kdviz.diagnosis.overlaps import Integers, Numbers
from kdviz.diagnosis.verdicts import ObjectVerdicts


@dataclass(frozen=True)
class GroupedBoxes:
    """The near groups of a ground truth and how one detector answers them.

    Attributes:
        summary: counted.
        group: the number of the near group of each object, -1 for objects that stand alone, (G,).
        box: the grouped boxes, (m,).
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
    shown = (typed.boxes.scores >= verdicts.threshold) & (typed.type != BoxType.SURPLUS)
    of_image = _by_image(truth.image, np.ones(len(truth.image), bool), len(truth.image_ids))
    boxes_of = _by_image(typed.boxes.image, shown, len(truth.image_ids))
    target, drawn = _corners(truth.boxes), _corners(typed.boxes.boxes)
    group, count = np.full(len(truth.image), -1), 0
    found, box, covered = [], [], []
    images = zip(of_image, boxes_of, strict=True)
    for objects, boxes in tqdm(images, "groups", len(of_image), unit="image", delay=2, leave=False):
        if len(objects) < 2:
            continue
        one = grouped_detections(
            drawn[boxes],
            typed.boxes.scores[boxes],
            typed.boxes.category[boxes],
            target[objects],
            truth.category[objects],
            truth.crowd[objects],
            score_threshold=verdicts.threshold,
        )
        found.append(one)
        for members in one.groups:
            group[objects[members]], count = count, count + 1
        box.append(boxes[one.boxes])
        covered += [objects[np.flatnonzero(row)] for row in one.covered]
    return GroupedBoxes(
        summary=summarise_groups(found),
        group=group,
        box=np.concatenate([np.zeros(0, np.int64), *box]),
        covered=tuple(covered),
    )


def _by_image(image: Integers, chosen: NDArray[np.bool_], images: int) -> list[Integers]:
    """Positions of the chosen ones, image by image."""
    order = np.argsort(image, kind="stable")
    order = order[chosen[order]]
    return np.split(order, np.searchsorted(image[order], np.arange(1, images)))


def _corners(boxes: Numbers) -> Numbers:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
