import numpy as np
import pytest
from made_sets import drawn, naive_iou, typed_sets

from kdviz.diagnosis.errors import WRONG_TYPES, type_all
from kdviz.diagnosis.inherited import repeated_boxes, same_mistake, teacher_mistakes
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.verdicts import verdicts

AT = (20, 20, 40, 40)
NOTHING = (2, 1, 0.9, (0, 0, 5, 5))


def same(one, other):
    sets = typed_sets([(1, 1, AT)], student=[one], teacher=[other])
    judged = {name: verdicts(typed, 0.5) for name, typed in sets.items()}
    forth = same_mistake(judged["student"], judged["teacher"]).tolist()
    assert same_mistake(judged["teacher"], judged["student"]).tolist() == forth
    return forth == [True]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (NOTHING, NOTHING, True),
        ((1, 2, 0.9, AT), (1, 2, 0.6, AT), True),
        ((1, 2, 0.9, AT), (1, 3, 0.6, AT), False),
        ((1, 2, 0.9, AT), NOTHING, False),
        ((1, 1, 0.9, (20, 20, 40, 15)), (1, 1, 0.9, (20, 20, 40, 15)), True),
        ((1, 1, 0.9, (20, 20, 40, 15)), (1, 1, 0.9, (20, 45, 40, 15)), False),
        ((1, 2, 0.9, (20, 20, 40, 30)), (1, 2, 0.9, (20, 20, 30, 40)), True),
        ((1, 1, 0.9, AT), (1, 1, 0.9, AT), False),
        ((1, 1, 0.9, AT), NOTHING, False),
    ],
)
def test_the_same_wrong_answer_is_of_one_class_and_in_one_place(one, other, is_same):
    assert same(one, other) == is_same


def test_what_the_student_does_by_itself_is_not_inherited():
    boxes = {"student": [NOTHING], "teacher": [NOTHING], "distilled": [(1, 1, 0.9, AT)]}
    typed = typed_sets([(1, 1, AT), (1, 1, AT, True)], **boxes)
    found = teacher_mistakes(**{name: verdicts(one, 0.5) for name, one in typed.items()})
    assert found.teacher.tolist() == [True, False]
    assert found.shown.tolist() == [False, False]
    assert found.shed.tolist() == [True, False]
    assert not found.inherited.any()


def test_wrong_boxes_are_followed_like_objects():
    ghost, near, far = (60, 60, 20, 20), (62, 60, 20, 20), (75, 75, 20, 20)
    boxes = {
        "teacher": [(1, 2, 0.9, ghost), (1, 1, 0.9, AT), (2, 1, 0.9, ghost), (2, 1, 0.4, far)],
        "student": [(1, 2, 0.9, far), (2, 1, 0.8, ghost)],
        "distilled": [(1, 1, 0.9, AT), (1, 2, 0.7, far), (1, 2, 0.6, near), (2, 2, 0.6, ghost)],
    }
    typed = typed_sets([(1, 1, AT)], **boxes)
    found = repeated_boxes(**{name: verdicts(one, 0.5) for name, one in typed.items()})
    assert found.teacher.tolist() == [0, 2]
    assert found.student.tolist() == [-1, 1]
    assert found.distilled.tolist() == [2, -1]
    assert found.inherited.tolist() == [True, False]
    assert found.shed.tolist() == [False, True]


def test_repeated_boxes_are_those_of_a_double_loop():
    truth, sets = drawn(names=("student", "teacher", "distilled"), images=10, seed=9)
    typed = type_all(read_inputs(truth, **sets))
    judged = {name: verdicts(one, 0.3) for name, one in typed.items()}
    found = repeated_boxes(**judged)
    wrong = {}
    for name, one in typed.items():
        shown = np.flatnonzero(one.boxes.scores >= 0.3).tolist()
        wrong[name] = [i for i in shown if one.type[i] in WRONG_TYPES]
    assert found.teacher.tolist() == wrong["teacher"]
    mine = typed["teacher"].boxes
    for name in ("student", "distilled"):
        theirs = typed[name].boxes
        for i, partner in zip(found.teacher, getattr(found, name), strict=True):
            near = {
                j: naive_iou(mine.boxes[i], theirs.boxes[j])
                for j in wrong[name]
                if theirs.image[j] == mine.image[i] and theirs.category[j] == mine.category[i]
            }
            best = max(near, key=lambda j: near[j], default=-1)
            assert partner == (best if near.get(best, 0) >= 0.5 else -1)
    assert np.count_nonzero(found.inherited) > 0
