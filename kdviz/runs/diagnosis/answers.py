"""What detectors say of an object, in a few words and a box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.overlaps import Integers
from kdviz.diagnosis.verdicts import ObjectVerdicts, Verdict
from kdviz.engine.coco_input import GroundTruth
from kdviz.plots.objects import Answer
from kdviz.structures import Detection

_BOX_SAYS = {
    BoxType.BACKGROUND: "on nothing",
    BoxType.DUPLICATE: "second box",
    BoxType.LOCALISATION: "badly localised",
    BoxType.CLASS: "wrong class",
    BoxType.BOTH: "class and place wrong",
    BoxType.TRUE: "its object went to another box",
}


def answer_of(one: ObjectVerdicts, object_: int) -> Answer:
    """What a set of detections says of an object at its threshold.

    Args:
        one: what became of the objects in this set.
        object_: which of them, no crowd.
    """
    typed, verdict, box = one.typed, Verdict(one.verdict[object_]), int(one.box[object_])
    if box < 0:
        low = int(typed.found_by[object_])
        if low < 0:
            return Answer("missed", is_right=False)
        return Answer(
            f"missed\n{_below(typed.boxes.scores[low], one.threshold)}",
            is_right=False,
            box=corners(typed.boxes.boxes[low]),
            counts=False,
        )
    score, iou = _short(typed.boxes.scores[box]), _short(np.floor(100 * typed.iou[box]) / 100)
    name = typed.truth.category_names[typed.boxes.category[box]]
    says = {
        Verdict.RIGHT: f"right {score}",
        Verdict.WRONG_CLASS: f"wrong class\n{name} {score}",
        Verdict.BADLY_LOCALISED: f"badly localised\nIoU {iou}",
        Verdict.BOTH_WRONG: f"wrong class, place\n{name}, IoU {iou}",
    }[verdict]
    return _shown(one, box, says, right=verdict == Verdict.RIGHT)


def box_answer(one: ObjectVerdicts, box: int, object_: int, *, right: bool) -> Answer:
    """What a box says of the object that it matches whatever its class, or of none.

    Args:
        one: the set of the box.
        box: which of them.
        object_: that it matches; -1 for none.
        right: it has the class of the object.
    """
    score = _short(one.typed.boxes.scores[box])
    name = one.typed.truth.category_names[one.typed.boxes.category[box]]
    if object_ >= 0:
        return _shown(one, box, f"right {score}" if right else f"{name} {score}", right=right)
    says = f"{_BOX_SAYS[BoxType(one.typed.type[box])]}\nscore {score}"
    return _shown(one, box, says, right=False)


def _shown(one: ObjectVerdicts, box: int, says: str, *, right: bool) -> Answer:
    boxes = one.typed.boxes
    return Answer(
        says,
        is_right=right,
        box=corners(boxes.boxes[box]),
        name=one.typed.truth.category_names[boxes.category[box]],
    )


def title_of(truth: GroundTruth, object_: int) -> str:
    """Class, size and file of an object."""
    width, height = truth.boxes[object_, 2:]
    name, file = truth.category_names[truth.category[object_]], file_of(truth, truth.image[object_])
    return f"{name}, {width:.0f}x{height:.0f} px, {file}"


def file_of(truth: GroundTruth, image: int) -> str:
    """Name of the file of an image, short; its id where the annotations tell none."""
    return Path(truth.file_names[image]).stem or f"image {truth.image_ids[image]}"


def found_on(one: ObjectVerdicts, image: int) -> tuple[Detection, Integers]:
    """The boxes of a set that count on an image, and their positions in the set.

    Args:
        one: verdicts of the set.
        image: number of the image.
    """
    boxes = one.typed.boxes
    counts = (boxes.image == image) & (boxes.scores >= one.threshold)
    kept = np.flatnonzero(counts & (one.typed.type != BoxType.SURPLUS))
    return Detection(
        torch.from_numpy(corners(boxes.boxes[kept])),
        torch.from_numpy(boxes.scores[kept]),
        torch.from_numpy(boxes.category[kept] + 1),
    ), kept


def corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes (..., 4) as xyxy, from x, y, width, height."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def _short(number: float) -> str:
    return f"{number:.2f}".removeprefix("0")


def _below(score: float, threshold: float) -> str:
    """A score and the threshold that it does not reach, with the digits that tell them apart."""
    digits = next(n for n in (2, 3, 4, 9) if f"{score:.{n}f}" != f"{threshold:.{n}f}" or n == 9)
    low, high = (f"{number:.{digits}f}".removeprefix("0") for number in (score, threshold))
    return f"{low} is below {high}"


def called(role: str) -> str:
    """A set of detections in a sentence: ``the distilled student``, or its own name."""
    known = {"student": "the student", "teacher": "the teacher"}
    return {**known, "distilled": "the distilled student"}.get(role, role)
