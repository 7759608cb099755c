import numpy as np
import pytest
from made_sets import drawn, naive_iou, typed_set

from kdviz.diagnosis.confusion import BACKGROUND, confuse
from kdviz.diagnosis.errors import BoxType, type_all
from kdviz.diagnosis.inputs import read_inputs

AT, FAR, EMPTY = (10, 10, 40, 40), (70, 70, 20, 20), (70, 5, 20, 20)


def test_each_cell_holds_its_boxes_and_objects():
    objects = [(1, 1, AT), (2, 2, AT), (2, 3, FAR)]
    boxes = [
        (1, 1, 0.6, AT),
        (2, 1, 0.9, AT),  # class 1 in place of class 2
        (2, 2, 0.8, AT),  # the object is taken: on nothing
        (1, 3, 0.7, EMPTY),
        (1, 3, 0.4, EMPTY),  # below the threshold
    ]
    found = confuse(typed_set(objects, boxes), 0.5)
    assert found.names == ("class 1", "class 2", "class 3", BACKGROUND)
    assert found.matrix.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    for row, column, entry in [
        (0, 0, (0, 0, 0)),
        (1, 0, (1, 1, 1)),
        (2, 3, (2, -1, 1)),
        (3, 1, (-1, 2, 1)),
        (3, 2, (-1, 3, 0)),
    ]:
        cell = found.cell(row, column)
        assert (cell.objects.tolist(), cell.boxes.tolist(), cell.images.tolist()) == tuple(
            [value] for value in entry
        )
    assert len(found.cell(0, 1).objects) == 0
    assert found.mix_ups() == [(1, 0, 1)]


def test_entries_of_a_cell_fall_in_score():
    boxes = [(1, 2, score, EMPTY) for score in (0.6, 0.9, 0.7)]
    assert confuse(typed_set([(1, 1, AT)], boxes), 0.5).cell(3, 1).boxes.tolist() == [1, 2, 0]


def test_crowds_are_not_missed_and_excuse_boxes_of_their_class():
    objects = [(1, 1, AT), (1, 1, FAR, True)]
    boxes = [(1, 1, 0.9, AT), (1, 1, 0.9, FAR), (1, 2, 0.9, FAR)]
    found = confuse(typed_set(objects, boxes), 0.5)
    assert found.matrix.tolist() == [[1, 0, 0, 0], [0] * 4, [0] * 4, [0, 1, 0, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_matrix_is_that_of_a_loop(seed):
    truth, sets = drawn(seed=seed, images=10)
    typed = type_all(read_inputs(truth, **sets))["student"]
    boxes, objects = typed.boxes, typed.truth
    taken, expected = {}, np.zeros((6, 6), int)
    shown = [i for i in range(len(boxes.scores)) if boxes.scores[i] >= 0.3]
    for i in sorted(shown, key=lambda i: -boxes.scores[i]):
        if typed.type[i] == BoxType.SURPLUS:
            continue
        overlap = {
            g: naive_iou(boxes.boxes[i], objects.boxes[g])
            for g in range(len(objects.image))
            if objects.image[g] == boxes.image[i] and not objects.crowd[g] and g not in taken
        }
        best = max(overlap, key=lambda g: overlap[g], default=None)
        if best is not None and overlap[best] >= 0.5:
            taken[best] = i
            expected[objects.category[best], boxes.category[i]] += 1
        elif typed.type[i] != BoxType.IGNORED:
            expected[5, boxes.category[i]] += 1
    for g in range(len(objects.image)):
        if g not in taken and not objects.crowd[g]:
            expected[objects.category[g], 5] += 1
    found = confuse(typed, 0.3)
    assert found.matrix.tolist() == expected.tolist()
    assert found.matrix[-1, -1] == 0
    for row, column in np.ndindex(6, 6):
        cell = found.cell(row, column)
        assert len(cell.images) == found.matrix[row, column]
        assert row == 5 or set(objects.category[cell.objects].tolist()) <= {row}
        assert column == 5 or set(boxes.category[cell.boxes].tolist()) <= {column}
        assert row == 5 or cell.images.tolist() == objects.image[cell.objects].tolist()
    counts = [count for _, _, count in found.mix_ups(3)]
    assert counts == sorted(expected[:5, :5][~np.eye(5, dtype=bool)], reverse=True)[:3]
