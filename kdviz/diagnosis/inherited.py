"""What the teacher gets wrong, and who repeats it: wrong answers to objects, and wrong boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.errors import FOREGROUND_IOU, WRONG_TYPES
from kdviz.diagnosis.overlaps import Integers, iou_of_pairs, overlapping
from kdviz.diagnosis.verdicts import ObjectVerdicts, Verdict


@dataclass(frozen=True)
class TeacherMistakes:
    """Of the objects that the teacher gets wrong, which get the same wrong answer from others.

    A student may repeat a mistake without having seen the teacher, since some objects are hard for
    everybody; only what the distilled student repeats beyond that speaks of the teacher.

    Attributes:
        teacher: wrong in the teacher, (G,) bool.
        student: the student alone makes the same mistake, (G,) bool.
        distilled: the distilled student makes it, (G,) bool.
        shown: the mistake is a wrong box, not a miss, (G,) bool.
    """

    teacher: NDArray[np.bool_]
    student: NDArray[np.bool_]
    distilled: NDArray[np.bool_]
    shown: NDArray[np.bool_]

    @property
    def inherited(self) -> NDArray[np.bool_]:
        """The distilled student makes the teacher's mistake and the student alone does not."""
        return self.distilled & ~self.student

    @property
    def shed(self) -> NDArray[np.bool_]:
        """The student alone makes the teacher's mistake and the distilled student does not."""
        return self.student & ~self.distilled


def teacher_mistakes(
    *, student: ObjectVerdicts, teacher: ObjectVerdicts, distilled: ObjectVerdicts
) -> TeacherMistakes:
    """Which objects the teacher gets wrong, and who gives them the same wrong answer.

    Args:
        student: verdicts of the student trained alone.
        teacher: of the teacher.
        distilled: of the student trained with the teacher.
    """
    return TeacherMistakes(
        teacher=teacher.wrong,
        student=same_mistake(student, teacher),
        distilled=same_mistake(distilled, teacher),
        shown=teacher.wrong & (teacher.box >= 0),
    )


def same_mistake(one: ObjectVerdicts, other: ObjectVerdicts) -> NDArray[np.bool_]:
    """Where two detectors give the same wrong answer to an object.

    Either both miss it, or both show it by a wrong box, and these boxes are of the same class and
    have an IoU of .5 or more with each other.

    Args:
        one: what became of the objects in one set.
        other: in the other.

    Returns:
        (G,) bool, False for crowds.
    """
    same = (one.verdict == Verdict.MISSED) & (other.verdict == Verdict.MISSED)
    shown = np.flatnonzero(one.wrong & other.wrong & (one.box >= 0) & (other.box >= 0))
    left, right = one.box[shown], other.box[shown]
    of_one, of_other = one.typed.boxes, other.typed.boxes
    near = iou_of_pairs(of_one.boxes[left], of_other.boxes[right]) >= FOREGROUND_IOU
    same[shown] = near & (of_one.category[left] == of_other.category[right])
    return same


@dataclass(frozen=True)
class RepeatedBoxes:
    """The teacher's wrong boxes, and who shows the same wrong box.

    Attributes:
        teacher: wrong boxes of the teacher at its threshold, (m,).
        student: the wrong box of the student alone of the same class and an IoU of .5 or more, the
            one of the highest IoU; -1 where there is none, (m,).
        distilled: the same of the distilled student, (m,).
    """

    teacher: Integers
    student: Integers
    distilled: Integers

    @property
    def inherited(self) -> NDArray[np.bool_]:
        """The distilled student shows the teacher's wrong box and the student alone does not."""
        return (self.distilled >= 0) & (self.student < 0)

    @property
    def shed(self) -> NDArray[np.bool_]:
        """The student alone shows the teacher's wrong box and the distilled student does not."""
        return (self.student >= 0) & (self.distilled < 0)


def repeated_boxes(
    *, student: ObjectVerdicts, teacher: ObjectVerdicts, distilled: ObjectVerdicts
) -> RepeatedBoxes:
    """Follow the teacher's false positives as `follow_objects` follows the objects.

    Args:
        student: verdicts of the student trained alone.
        teacher: of the teacher.
        distilled: of the student trained with the teacher.
    """
    wrong = _wrong_boxes(teacher)
    return RepeatedBoxes(
        wrong, _repeats(teacher, student, wrong), _repeats(teacher, distilled, wrong)
    )


def _repeats(one: ObjectVerdicts, other: ObjectVerdicts, boxes: Integers) -> Integers:
    """The wrong box of the other set that repeats each of these, -1 where there is none."""
    theirs, mine, other_boxes = _wrong_boxes(other), one.typed.boxes, other.typed.boxes
    pairs = overlapping(
        left_image=mine.image[boxes],
        left_boxes=mine.boxes[boxes],
        right_image=other_boxes.image[theirs],
        right_boxes=other_boxes.boxes[theirs],
    )
    same = mine.category[boxes[pairs.left]] == other_boxes.category[theirs[pairs.right]]
    partner, _ = pairs.where(same & (pairs.iou >= FOREGROUND_IOU)).best(len(boxes))
    return np.where(partner >= 0, np.append(theirs, -1)[partner], -1)


def _wrong_boxes(one: ObjectVerdicts) -> Integers:
    typed = one.typed
    is_wrong = np.isin(typed.type, WRONG_TYPES) & (typed.boxes.scores >= one.threshold)
    return np.flatnonzero(is_wrong)
