import numpy as np
import pytest
from made_sets import drawn, typed_sets

from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.transitions import Transition, follow_objects
from kdviz.diagnosis.verdicts import JUDGED, Verdict, verdicts

# One object in each place; what each detector shows there decides its transition.
PLACES = [(5 + 30 * (n % 3), 5 + 30 * (n // 3), 20, 20) for n in range(9)]
OBJECTS = [(1, 1, place) for place in PLACES]


def shown(*classes, score=0.9):
    """Boxes of these classes in the places, 0 for none."""
    return [(1, k, score, place) for k, place in zip(classes, PLACES, strict=False) if k]


def judged(threshold=0.5, **sets):
    return {name: verdicts(one, threshold) for name, one in typed_sets(OBJECTS, **sets).items()}


def test_every_transition():
    student, teacher, distilled = zip(
        (2, 1, 1),  # fixed
        (1, 1, 1),  # kept right
        (1, 1, 2),  # broken
        (1, 2, 2),  # inherited from a right answer
        (3, 2, 2),  # inherited from another wrong answer
        (2, 2, 2),  # kept wrong, and the student made the teacher's mistake by itself
        (1, 0, 0),  # inherited: missed as by the teacher
        (1, 2, 3),  # broken, but not as the teacher
        (0, 2, 3),  # kept wrong, all in their own ways
        strict=True,
    )
    sets = judged(student=shown(*student), teacher=shown(*teacher), distilled=shown(*distilled))
    found = follow_objects(**sets)
    kinds = [Transition(x).name for x in found.transition]
    assert kinds == [
        "FIXED", "KEPT_RIGHT", "BROKEN", "INHERITED", "INHERITED", "KEPT_WRONG", "INHERITED",
        "BROKEN", "KEPT_WRONG",
    ]  # fmt: skip
    assert found.counts() == {
        Transition.FIXED: 1,
        Transition.BROKEN: 2,
        Transition.INHERITED: 3,
        Transition.KEPT_RIGHT: 1,
        Transition.KEPT_WRONG: 2,
    }
    assert list(found.verdicts) == ["teacher", "student", "distilled"]
    right, wrong, missed = Verdict.RIGHT, Verdict.WRONG_CLASS, Verdict.MISSED
    assert found.flow[right, wrong, right] == 1
    assert found.flow[wrong, right, wrong] == 2
    assert found.flow[missed, right, missed] == 1
    assert found.flow.sum() == 9
    assert found.path(student=right, distilled=wrong).tolist() == [2, 3, 7]
    assert found.path(teacher=missed).tolist() == [6]
    assert (
        found.mistakes.inherited.tolist() == [False] * 3 + [True, True, False, True] + [False] * 2
    )


def test_objects_come_by_gain_or_by_loss():
    scores = [0.9, 0.6, 0.7, 0.8]
    boxes = [(1, 1, s, place) for s, place in zip(scores, PLACES, strict=False)]
    after = judged(student=[(2, 1, 0.9, (0, 0, 5, 5))], distilled=boxes)
    fixed = follow_objects(**after)
    assert fixed.objects(Transition.FIXED).tolist() == [0, 3, 2, 1]
    assert fixed.gain[:4].tolist() == scores
    swapped = judged(student=boxes, distilled=[(2, 1, 0.9, (0, 0, 5, 5))])
    broken = follow_objects(**swapped)
    assert broken.objects(Transition.BROKEN).tolist() == [0, 3, 2, 1]
    assert broken.gain[:4].tolist() == [-s for s in scores]


def test_scores_below_the_threshold_count_in_the_gain():
    sets = judged(student=shown(1, score=0.4), distilled=shown(1, score=0.9))
    found = follow_objects(**sets)
    assert found.transition[0] == Transition.FIXED
    assert found.gain[0] == pytest.approx(0.5)


def test_two_sets_and_one():
    sets = judged(student=shown(1, 2), distilled=shown(2, 1), teacher=shown(2))
    two = follow_objects(student=sets["student"], distilled=sets["distilled"])
    assert two.flow.shape == (5, 5)
    assert two.mistakes is None
    assert [Transition(x).name for x in two.transition[:2]] == ["BROKEN", "FIXED"]
    assert two.counts()[Transition.INHERITED] == 0
    gap = follow_objects(student=sets["student"], teacher=sets["teacher"])
    assert gap.flow[Verdict.WRONG_CLASS, Verdict.RIGHT] == 1  # teacher, then student
    assert set(gap.transition.tolist()) == {-1}
    one = follow_objects(teacher=sets["teacher"])
    assert one.flow.tolist() == [0, 1, 0, 0, 8]


def test_crowds_take_no_part():
    objects = [(1, 1, PLACES[0]), (1, 1, PLACES[4], True)]
    sets = typed_sets(objects, **dict.fromkeys(("student", "teacher", "distilled"), shown(1)))
    found = follow_objects(**{name: verdicts(one, 0.5) for name, one in sets.items()})
    assert found.transition.tolist() == [Transition.KEPT_RIGHT, -1]
    assert found.flow.sum() == 1


def test_on_many_objects_everything_adds_up():
    truth, sets = drawn(names=("student", "teacher", "distilled"), seed=8)
    typed = type_all(read_inputs(truth, **sets))
    found = follow_objects(**{name: verdicts(one, 0.5) for name, one in typed.items()})
    regular = ~typed["student"].truth.crowd
    assert sum(found.counts().values()) == found.flow.sum() == regular.sum()
    assert min(found.counts().values()) > 0
    for axis, one in enumerate(found.verdicts.values()):
        others = tuple(a for a in range(3) if a != axis)
        assert found.flow.sum(others).tolist() == [one.counts()[verdict] for verdict in JUDGED]
    right = {name: one.right for name, one in found.verdicts.items()}
    fixed = ~right["student"] & right["distilled"] & regular
    assert np.flatnonzero(fixed).tolist() == sorted(found.objects(Transition.FIXED).tolist())
    assert np.all(np.diff(found.gain[found.objects(Transition.FIXED)]) <= 0)
    assert np.all(np.diff(found.gain[found.objects(Transition.INHERITED)]) >= 0)


def test_what_cannot_be_followed_is_refused():
    one, other = judged(student=shown(1)), judged(student=shown(1))
    with pytest.raises(ValueError, match="one ground truth"):
        follow_objects(student=one["student"], distilled=other["student"])
    with pytest.raises(ValueError, match="at least one of"):
        follow_objects()
    with pytest.raises(ValueError, match="no 'teacher' here, only \\['student'\\]"):
        follow_objects(**one).path(teacher=Verdict.RIGHT)
