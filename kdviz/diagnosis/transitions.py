"""Every object from the student alone through the teacher to the distilled student.

The question is what the teacher's lessons did to each object: mended it, broke it, left it, or
handed it the teacher's own mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.inherited import TeacherMistakes, teacher_mistakes
from kdviz.diagnosis.inputs import ROLES
from kdviz.diagnosis.overlaps import Integers, Numbers
from kdviz.diagnosis.verdicts import JUDGED, ObjectVerdicts, Verdict


class Transition(IntEnum):
    """What happened to an object between the student and the distilled student.

    - FIXED: wrong before, right after.
    - BROKEN: right before, wrong after, and not with the teacher's mistake.
    - INHERITED: after, it is wrong in the way the teacher is, and before it was not: it was right,
      or wrong in another way; see `same_mistake`.
    - KEPT_RIGHT: right before and after.
    - KEPT_WRONG: wrong before and after, and nothing was inherited.

    Without a teacher nothing is inherited.
    """

    FIXED = 0
    BROKEN = 1
    INHERITED = 2
    KEPT_RIGHT = 3
    KEPT_WRONG = 4


_GAINS = (Transition.FIXED, Transition.KEPT_RIGHT)


@dataclass(frozen=True)
class Transitions:
    """Every object in the sets that there are.

    Attributes:
        verdicts: by role, in the order teacher, student, distilled, of those that there are.
        flow: objects by their verdicts in that order, one axis of `JUDGED` for each role.
        transition: a `Transition` for each object, (G,) int8; -1 for crowds, and for all where
            student or distilled is missing.
        gain: by how much the score of the box that finds the object rose from student to
            distilled, 0 for an unfound object; in [-1, 1], (G,). Scores below the threshold count
            in it.
        mistakes: what was handed down; None without all three roles.
    """

    verdicts: dict[str, ObjectVerdicts]
    flow: Integers
    transition: NDArray[np.int8]
    gain: Numbers
    mistakes: TeacherMistakes | None

    def counts(self) -> dict[Transition, int]:
        """Objects of each transition."""
        return {kind: int((self.transition == kind).sum()) for kind in Transition}

    def objects(self, kind: Transition) -> Integers:
        """Objects of a transition, the largest gain first, or of a bad one the largest loss."""
        chosen = np.flatnonzero(self.transition == kind)
        sign = -1 if kind in _GAINS else 1
        return chosen[np.argsort(sign * self.gain[chosen], kind="stable")]

    def path(self, **verdicts: Verdict) -> Integers:
        """Objects with these verdicts, ``path(teacher=Verdict.RIGHT, distilled=Verdict.MISSED)``.

        Raises:
            ValueError: there is no such role.
        """
        chosen = np.ones(len(self.gain), bool)
        for role, verdict in verdicts.items():
            if role not in self.verdicts:
                raise ValueError(f"there is no {role!r} here, only {list(self.verdicts)}")
            chosen &= self.verdicts[role].verdict == verdict
        return np.flatnonzero(chosen)


def follow_objects(
    *,
    student: ObjectVerdicts | None = None,
    teacher: ObjectVerdicts | None = None,
    distilled: ObjectVerdicts | None = None,
) -> Transitions:
    """Follow every object through one, two or all three sets of detections.

    Args:
        student: verdicts of the student trained alone, see `kdviz.diagnosis.verdicts.verdicts`.
        teacher: of the teacher.
        distilled: of the student trained with the teacher.

    Raises:
        ValueError: there is no set, or they judge different annotations.
    """
    given = {"teacher": teacher, "student": student, "distilled": distilled}
    known = {role: one for role, one in given.items() if one is not None}
    if not known:
        raise ValueError(f"give the verdicts of at least one of {ROLES}")
    truths = [one.typed.truth for one in known.values()]
    if any(truth is not truths[0] for truth in truths):
        raise ValueError(
            "all sets must be judged on one ground truth; read them with one read_inputs"
        )
    objects = ~truths[0].crowd
    flow = np.zeros((len(JUDGED),) * len(known), np.int64)
    np.add.at(flow, tuple(one.verdict[objects] for one in known.values()), 1)

    transition, gain = np.full(len(objects), -1, np.int8), np.zeros(len(objects))
    mistakes = None
    if student is not None and distilled is not None:
        before, after = student.right, distilled.right
        transition[~before & after] = Transition.FIXED
        transition[before & ~after] = Transition.BROKEN
        transition[before & after] = Transition.KEPT_RIGHT
        transition[~before & ~after] = Transition.KEPT_WRONG
        gain = _confidence(distilled) - _confidence(student)
        if teacher is not None:
            mistakes = teacher_mistakes(student=student, teacher=teacher, distilled=distilled)
            transition[mistakes.inherited] = Transition.INHERITED
        transition[~objects] = -1
    return Transitions(known, flow, transition, gain, mistakes)


def _confidence(one: ObjectVerdicts) -> Numbers:
    """Score of the box that finds each object at any threshold; 0 where none does."""
    found = np.flatnonzero(one.typed.found_by >= 0)
    confidence = np.zeros(len(one.verdict))
    confidence[found] = one.typed.boxes.scores[one.typed.found_by[found]]
    return confidence
