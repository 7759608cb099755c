import numpy as np
from made_sets import drawn, typed_set

from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.grouped import grouped_detections
from kdviz.diagnosis.groups import grouped_boxes
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.verdicts import verdicts

PAIR = [(10, 10, 20, 20), (33, 10, 20, 20)]


def test_one_box_around_two_objects():
    objects = [(1, 2, (0, 0, 9, 9)), *((2, 1, box) for box in PAIR), (2, 1, (70, 70, 9, 9))]
    boxes = [
        (2, 1, 0.9, (10, 10, 43, 20)),
        (2, 1, 0.4, (10, 10, 43, 20)),  # below the threshold
        (2, 1, 0.8, PAIR[0]),
        (1, 1, 0.9, (10, 10, 43, 20)),  # on the image without the pair
    ]
    found = grouped_boxes(verdicts(typed_set(objects, boxes), 0.5))
    assert found.box.tolist() == [0]
    assert [one.tolist() for one in found.covered] == [[1, 2]]
    assert found.group.tolist() == [-1, 0, 0, -1]
    assert (found.summary.groups, found.summary.grouped, found.summary.found) == (1, 1, 1)


def test_nothing_near_is_no_group():
    found = grouped_boxes(verdicts(typed_set([(1, 1, PAIR[0])], [(1, 1, 0.9, PAIR[0])]), 0.5))
    assert found.box.tolist() == []
    assert found.covered == ()
    assert found.summary.groups == 0


def test_a_set_is_the_sum_of_its_images():
    truth, sets = drawn(images=12, objects=160, boxes=700, seed=2, spread=0.5)
    judged = verdicts(type_all(read_inputs(truth, **sets))["student"], 0.3)
    found = grouped_boxes(judged)
    ends = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    boxes, objects, count = judged.typed.boxes, judged.typed.truth, 0
    for image in range(12):
        mine, there = np.flatnonzero(boxes.image == image), np.flatnonzero(objects.image == image)
        one = grouped_detections(
            boxes.boxes[mine] @ ends,
            boxes.scores[mine],
            boxes.category[mine],
            objects.boxes[there] @ ends,
            objects.category[there],
            objects.crowd[there],
            score_threshold=0.3,
        )
        assert set(mine[one.boxes].tolist()) == set(
            found.box[boxes.image[found.box] == image].tolist()
        )
        for members in one.groups:
            assert set(found.group[there[members]].tolist()) == {count}
            count += 1
    assert found.summary.groups == count == found.group.max() + 1
    assert len(found.box) == len(found.covered) > 0
    for box, covered in zip(found.box, found.covered, strict=True):
        assert len(covered) > 1
        assert set(objects.image[covered].tolist()) == {boxes.image[box]}
        assert len(set(found.group[covered].tolist())) == 1
