import numpy as np
import pytest
from made_sets import drawn, typed_set

from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.grouped import grouped_detections, summarise_groups
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


@pytest.mark.parametrize("seed", range(6))
def test_a_set_is_the_sum_of_its_images(seed):
    truth, sets = drawn(images=9, objects=30 + 40 * seed, boxes=500, seed=seed, spread=0.5)
    threshold = 0.3 if seed % 2 else 0.0
    judged = verdicts(type_all(read_inputs(truth, **sets))["student"], threshold)
    found = grouped_boxes(judged)
    ends = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    boxes, objects = judged.typed.boxes, judged.typed.truth
    each, box, covered, group = [], [], [], np.full(len(objects.image), -1)
    for image in range(9):
        mine, there = np.flatnonzero(boxes.image == image), np.flatnonzero(objects.image == image)
        one = grouped_detections(
            boxes.boxes[mine] @ ends,
            boxes.scores[mine],
            boxes.category[mine],
            objects.boxes[there] @ ends,
            objects.category[there],
            objects.crowd[there],
            score_threshold=threshold,
        )
        for members in one.groups:
            group[there[members]] = group.max() + 1
        each.append(one)
        box += mine[one.boxes].tolist()
        covered += [there[row].tolist() for row in one.covered]
    assert found.summary == summarise_groups(each)
    assert found.group.tolist() == group.tolist()
    assert found.box.tolist() == box
    assert [one.tolist() for one in found.covered] == covered
    if seed > 1:
        assert found.summary.boxes > 0
        assert found.summary.groups > found.summary.separated


def test_objects_are_near_up_to_a_quarter_of_their_size_and_flat_ones_where_they_touch():
    objects = [
        (1, 1, (0, 0, 20, 20)), (1, 2, (25, 0, 20, 20)), (1, 1, (50.01, 0, 20, 20)),
        (1, 1, (10, 20, 0, 0)), (2, 1, (0, 0, 20, 20)),
    ]  # fmt: skip
    found = grouped_boxes(verdicts(typed_set(objects, [(1, 1, 0.9, (80, 80, 5, 5))]), 0.5))
    assert found.group.tolist() == [0, 0, -1, 0, -1]


def test_a_box_in_a_crowd_region_is_not_judged():
    boxes = [(1, 1, 0.9, (10, 10, 43, 20))]
    near = [(1, 1, box) for box in PAIR]
    for crowd, count in [((10, 10, 10, 20), 1), ((10, 10, 30, 20), 0)]:
        judged = verdicts(typed_set([*near, (1, 1, crowd, True)], boxes), 0.5)
        assert len(grouped_boxes(judged).box) == count
