import numpy as np
import pytest
from made_sets import coco, drawn, results

from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.groups import grouped_boxes
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.tables import box_table, object_table, word
from kdviz.diagnosis.transitions import Transition
from kdviz.diagnosis.verdicts import Verdict

LEFT, RIGHT = (10.0, 10.0, 20.0, 20.0), (32.0, 10.0, 20.0, 20.0)
BOTH = (10.0, 10.0, 42.0, 20.0)
ALONE = (60.0, 60.0, 30.0, 30.0)
FAR = (5.0, 80.0, 10.0, 10.0)
OBJECTS = [(1, 1, LEFT), (1, 1, RIGHT), (1, 2, ALONE), (2, 1, BOTH, True)]


def hand_made():
    truth = coco(OBJECTS)
    truth["images"][1] = {"id": 2}
    inputs = read_inputs(
        truth,
        student=results([(1, 1, 0.9, LEFT), (1, 1, 0.2, RIGHT), (2, 1, 0.8, (12, 12, 9, 9))]),
        teacher=results([(1, 1, 0.9, BOTH), (1, 3, 0.8, ALONE), (1, 1, 0.7, FAR)]),
        distilled=results([(1, 1, 0.75, FAR), (1, 1, 0.5, BOTH), (1, 3, 0.875, ALONE)]),
    )
    return diagnose(inputs, thresholds=0.5, draws=3)


def boxes(found, name):
    return box_table(found, name, grouped_boxes(found.sets[name].verdicts))


def test_boxes_of_the_hand_made_sets():
    found = hand_made()
    student, distilled = boxes(found, "student"), boxes(found, "distilled")
    assert student["set"] == ["student"] * 3
    assert student["box"] == [0, 1, 2]
    assert student["image_id"] == [1, 1, 2]
    assert student["file_name"] == ["1.png", "1.png", None]
    assert student["category"] == ["class 1"] * 3
    assert [student[side][1] for side in ("x", "y", "width", "height")] == [32, 10, 20, 20]
    assert student["box_type"] == ["true_positive", "true_positive", "ignored"]
    assert student["object_id"] == [11, 12, 14]
    assert student["object_iou"] == [1, 1, 1]
    assert student["above_threshold"] == [True, False, True]
    assert student["repeats_teacher"] == [None] * 3
    assert distilled["category_id"] == [1, 1, 3]
    assert distilled["box_type"] == ["background", "localisation", "class"]
    assert distilled["object_id"] == [None, 11, 13]
    assert distilled["object_iou"] == [None, pytest.approx(400 / 840), 1]
    assert distilled["above_threshold"] == [True] * 3
    assert distilled["grouped"] == [False, True, False]
    assert distilled["repeats_teacher"] == [True] * 3


def test_objects_of_the_hand_made_sets():
    table = object_table(hand_made(), {"blur": np.array([0.5, np.nan, 2, np.inf])})
    assert table["object_id"] == [11, 12, 13, 14]
    assert table["file_name"] == ["1.png"] * 3 + [None]
    assert table["area"] == [400, 400, 900, 840]
    assert table["crowd"] == [False] * 3 + [True]
    assert table["student_verdict"] == ["right", "missed", "missed", "crowd"]
    assert table["student_box"] == [0, None, None, None]
    assert table["student_score"] == [0.9, None, None, None]
    assert table["teacher_verdict"] == ["badly_localised", "missed", "wrong_class", "crowd"]
    assert table["distilled_box"] == [1, None, 2, None]
    assert table["distilled_score"] == [0.5, None, 0.875, None]
    assert table["transition"] == ["inherited", "kept_wrong", "inherited", None]
    assert table["gain"] == [-0.9, -0.2, 0, None]
    assert table["factor_blur"] == [0.5, None, 2, None]


def test_many_boxes_against_a_loop():
    truth, sets = drawn(names=("student", "teacher", "distilled", "second method"), seed=4)
    found = diagnose(read_inputs(truth, **sets), draws=2)
    ids = found.inputs.truth.object_ids
    for name, one in found.sets.items():
        table, grouped = boxes(found, name), set(grouped_boxes(one.verdicts).box.tolist())
        repeated = set(found.repeated.distilled.tolist())
        for n, row in enumerate(zip(*table.values(), strict=True)):
            told = dict(zip(table, row, strict=True))
            given, typed = sets[name][n], one.typed
            assert [told[key] for key in ("x", "y", "width", "height")] == given["bbox"]
            for key in ("image_id", "category_id", "score"):
                assert told[key] == given[key]
            assert told["box_type"] == word(BoxType(typed.type[n]))
            object_ = typed.object[n]
            assert told["object_id"] == (ids[object_] if object_ >= 0 else None)
            assert told["object_iou"] == (typed.iou[n] if object_ >= 0 else None)
            assert told["above_threshold"] == (given["score"] >= one.verdicts.threshold)
            assert told["grouped"] == (n in grouped)
            assert told["repeats_teacher"] == ((n in repeated) if name == "distilled" else None)
        assert grouped <= set(range(900))


def test_many_objects_against_a_loop():
    truth, sets = drawn(names=("student", "distilled"), seed=5)
    found = diagnose(read_inputs(truth, **sets), draws=2)
    table, moved = object_table(found), found.transitions
    for n, annotation in enumerate(truth["annotations"]):
        told = {key: values[n] for key, values in table.items()}
        assert told["object_id"] == annotation["id"]
        assert [told[key] for key in ("x", "y", "width", "height")] == annotation["bbox"]
        for name, one in found.sets.items():
            box = one.verdicts.box[n]
            assert told[f"{name}_verdict"] == word(Verdict(one.verdicts.verdict[n]))
            assert told[f"{name}_box"] == (box if box >= 0 else None)
            assert told[f"{name}_score"] == (sets[name][box]["score"] if box >= 0 else None)
        crowd = annotation["iscrowd"]
        assert told["crowd"] == bool(crowd)
        kind = None if crowd else word(Transition(moved.transition[n]))
        assert told["transition"] == kind
        assert told["gain"] == (None if crowd else moved.gain[n])


@pytest.mark.parametrize("names", [("mine",), ("student",), ("teacher", "distilled")])
def test_without_student_and_distilled_nothing_moved(names):
    truth, sets = drawn(names=names)
    table = object_table(diagnose(read_inputs(truth, **sets), draws=2))
    assert set(table["transition"]) == set(table["gain"]) == {None}


def test_no_word_is_read_as_a_boolean_or_as_nothing():
    words = [word(kind) for kinds in (BoxType, Verdict, Transition) for kind in kinds]
    assert not {"true", "false", "none", "null", "nan", "na"} & set(words)
    assert len(words) == len(set(words))
    assert word(BoxType.TRUE) == "true_positive"
    assert word(Transition.KEPT_WRONG) == "kept_wrong"


def test_plain_values_all():
    truth, sets = drawn()
    found = diagnose(read_inputs(truth, **sets), draws=2)
    for table in (boxes(found, "student"), object_table(found, {"one": np.ones(180)})):
        assert len({len(values) for values in table.values()}) == 1
        for values in table.values():
            assert {type(value) for value in values} <= {int, float, str, bool, type(None)}
