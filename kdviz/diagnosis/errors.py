"""What is wrong with every box and every object: the error types of TIDE, with what they point at.

A box is typed once, for all score thresholds at once. Boxes of lower score never change the match
of a box above them, so dropping boxes below a threshold leaves the types of the others as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from kdviz.diagnosis.inputs import Inputs
from kdviz.diagnosis.overlaps import Integers, Numbers, Pairs, falling, match_greedily, overlapping
from kdviz.engine.coco_input import DetectionColumns, GroundTruth

FOREGROUND_IOU = 0.5
BACKGROUND_IOU = 0.1
BOXES_AN_IMAGE = 100


class BoxType(IntEnum):
    """What a box is, in the words of TIDE.

    ``iou`` is that with objects of the box's own class, then that with objects of other classes:

    - TRUE: the best free object of its class has an IoU of .5 or more; higher scores choose first.
    - CLASS: right place, wrong class: at least .5 with an object of another class.
    - LOCALISATION: right class, wrong place: best IoU with its own class from .1 to .5.
    - BOTH: none of the others: it touches some object by more than .1.
    - DUPLICATE: at least .5 with an object of its class that a better box took.
    - BACKGROUND: at most .1 with every object.
    - IGNORED: it would be wrong, but at least half of it lies in a crowd region of its class.
    - SURPLUS: beyond the 100 best boxes of its image; it never counts.

    Where several hold, the order is true, ignored, localisation, class, duplicate, background.
    """

    TRUE = 0
    CLASS = 1
    LOCALISATION = 2
    BOTH = 3
    DUPLICATE = 4
    BACKGROUND = 5
    IGNORED = 6
    SURPLUS = 7


WRONG_TYPES = (
    BoxType.CLASS,
    BoxType.LOCALISATION,
    BoxType.BOTH,
    BoxType.DUPLICATE,
    BoxType.BACKGROUND,
)


@dataclass(frozen=True)
class TypedBoxes:
    """One set of detections with what is right or wrong about each box.

    Attributes:
        truth: the objects.
        boxes: the detections.
        type: a `BoxType` for each box, (n,) int8.
        object: the object that explains the type, (n,): the one found (TRUE), the one it would have
            found with another class (CLASS), a better place (LOCALISATION) or both (BOTH), the one
            that was taken (DUPLICATE), the crowd region (IGNORED); -1 for BACKGROUND and SURPLUS.
        iou: with that object, of BACKGROUND boxes the highest with any; for IGNORED the share of
            the box inside the region; (n,) in [0, 1].
        found_by: the box that found each object, -1 where none did at any score, (G,).
        repaired_by: the box whose class or place would have to be mended for each unfound object
            to be found, the one of the highest score, -1 where there is none, (G,).
    """

    truth: GroundTruth
    boxes: DetectionColumns
    type: NDArray[np.int8]
    object: Integers
    iou: Numbers
    found_by: Integers
    repaired_by: Integers

    @property
    def missed(self) -> NDArray[np.bool_]:
        """TIDE's missed objects: neither found nor repairable, crowds left out, (G,)."""
        return (self.found_by < 0) & (self.repaired_by < 0) & ~self.truth.crowd

    def counts(self, threshold: float = 0.0) -> dict[BoxType, int]:
        """Boxes of each type whose score is at least the threshold."""
        tally = np.bincount(self.type[self.boxes.scores >= threshold], minlength=len(BoxType))
        return {kind: int(tally[kind]) for kind in BoxType}


def type_boxes(truth: GroundTruth, boxes: DetectionColumns) -> TypedBoxes:
    """Say of every box whether it is right, and if not, what is wrong.

    Matching and types are those of tidecv, of which one rule is COCO's instead: a box of which
    exactly half lies in a crowd region is ignored. Objects that a data set calls *difficult* count
    as COCO has it: by ``iscrowd`` alone.

    Args:
        truth: the annotated objects.
        boxes: detections on the same images.

    Reference: Bolya et al., TIDE, ECCV 2020, arXiv:2008.08115.
    """
    count = len(boxes.scores)
    order = falling(boxes.scores, boxes.image)
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    first = np.searchsorted(boxes.image[order], boxes.image)
    surplus = rank - first >= BOXES_AN_IMAGE

    pairs = pair_with_objects(truth, boxes, crowd=False, among=~surplus)
    same = boxes.category[pairs.left] == truth.category[pairs.right]
    own, other = pairs.where(same), pairs.where(~same)
    found = match_greedily(own.where(own.iou >= FOREGROUND_IOU), rank, count, len(truth.category))
    found_by = np.full(len(truth.category), -1)
    found_by[found[found >= 0]] = np.flatnonzero(found >= 0)

    _, true_iou = own.where(own.right == found[own.left]).best(count)
    own_object, own_iou = own.best(count)
    other_object, other_iou = other.best(count)
    any_object, any_iou = pairs.best(count)
    taken_object, taken_iou = own.where(found_by[own.right] >= 0).best(count)
    crowds = pair_with_objects(truth, boxes, crowd=True, among=~surplus)
    alike = boxes.category[crowds.left] == truth.category[crowds.right]
    region, share = crowds.where(alike & (crowds.iou >= FOREGROUND_IOU)).best(count)

    near = (own_iou >= BACKGROUND_IOU) & (own_iou <= FOREGROUND_IOU)
    confused = other_iou >= FOREGROUND_IOU
    nobody, nothing = np.full(count, -1), np.zeros(count)
    rules = [
        (surplus, BoxType.SURPLUS, nobody, nothing),
        (found >= 0, BoxType.TRUE, found, true_iou),
        (region >= 0, BoxType.IGNORED, region, share),
        (near, BoxType.LOCALISATION, own_object, own_iou),
        (confused, BoxType.CLASS, other_object, other_iou),
        (taken_iou >= FOREGROUND_IOU, BoxType.DUPLICATE, taken_object, taken_iou),
        (any_iou <= BACKGROUND_IOU, BoxType.BACKGROUND, nobody, any_iou),
        (np.ones(count, bool), BoxType.BOTH, any_object, any_iou),
    ]
    holds, types, objects, ious = (list(column) for column in zip(*rules, strict=True))

    # Also boxes in crowd regions, as tidecv has it: mending one may find an object beside it.
    target = np.where(near, own_object, np.where(confused, other_object, -1))
    mendable = np.flatnonzero((target >= 0) & (found < 0))
    mendable = mendable[found_by[target[mendable]] < 0]
    mendable = mendable[np.argsort(-rank[mendable])]
    repaired_by = np.full(len(truth.category), -1)
    repaired_by[target[mendable]] = mendable  # the last written has the highest score
    return TypedBoxes(
        truth=truth,
        boxes=boxes,
        type=np.select(holds, [np.int8(kind) for kind in types]),
        object=np.select(holds, objects),
        iou=np.select(holds, ious),
        found_by=found_by,
        repaired_by=repaired_by,
    )


def type_all(inputs: Inputs) -> dict[str, TypedBoxes]:
    """`type_boxes` for each set of detections, by its name."""
    sets = tqdm(inputs.detections.items(), desc="type boxes", unit="set", delay=2, leave=False)
    return {name: type_boxes(inputs.truth, boxes) for name, boxes in sets}


def pair_with_objects(
    truth: GroundTruth, boxes: DetectionColumns, *, crowd: bool, among: NDArray[np.bool_]
) -> Pairs:
    """Overlaps of boxes, left, with objects of any class, right.

    Args:
        truth: the annotated objects.
        boxes: the detections.
        crowd: pair with the crowd regions alone, or with all but them.
        among: which boxes to pair, (n,).
    """
    left, right = np.flatnonzero(among), np.flatnonzero(truth.crowd == crowd)
    pairs = overlapping(
        left_image=boxes.image[left],
        left_boxes=boxes.boxes[left],
        right_image=truth.image[right],
        right_boxes=truth.boxes[right],
        right_is_crowd=crowd,
    )
    return Pairs(left[pairs.left], right[pairs.right], pairs.iou)
