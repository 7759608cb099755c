import math

import numpy as np
import pytest
import torch

from kdviz.datasets.scenes import SceneConfig, render
from kdviz.diagnosis.grouped import (
    GroupedDetections,
    GroupedSummary,
    grouped_detections,
    near_groups,
    summarise_groups,
)

PAIR = [[0, 0, 10, 10], [12, 0, 22, 10]]  # a gap of 2 between objects of size 10
AROUND = [0, 0, 22, 10]


def judge(boxes, target_boxes=PAIR, labels=None, target_labels=None, scores=None, **options):
    """One call with every score 0.9 and every label 1 unless told otherwise."""
    return grouped_detections(
        boxes,
        scores or [0.9] * len(boxes),
        labels or [1] * len(boxes),
        target_boxes,
        target_labels or [1] * len(target_boxes),
        **options,
    )


def test_one_box_around_two_near_objects_is_grouped():
    seen = judge([AROUND])
    assert [group.tolist() for group in seen.groups] == [[0, 1]]
    assert seen.boxes.tolist() == [0]
    assert seen.group_of.tolist() == [0]
    assert seen.covered.tolist() == [[True, True]]
    assert seen.found.tolist() == [False, False]


def test_a_box_of_its_own_for_each_is_not():
    seen = judge(PAIR)
    assert len(seen.boxes) == 0
    assert seen.covered.shape == (0, 2)
    assert seen.found.tolist() == [True, True]


def test_objects_of_two_classes_can_be_grouped_but_are_found_by_their_own_class_only():
    seen = judge([AROUND, *PAIR], labels=[1, 1, 1], target_labels=[1, 2])
    assert seen.boxes.tolist() == [0]
    assert seen.found.tolist() == [True, False]


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ([0, 0, 13, 10], "matches the first object: IoU 10/13"),
        ([0, 0, 16, 10], "matches the first object: IoU 10/16"),
        ([5, 0, 16, 10], "holds 0.4 of the second object"),
        ([0, 0, 22, 60], "holds both, but its IoU with them together is 220/1320"),
        ([40, 40, 60, 60], "holds none"),
        ([5, 5, 5, 5], "is empty"),
    ],
)
def test_what_is_not_a_grouped_detection(box, why):
    assert len(judge([box]).boxes) == 0, why


def test_a_loose_box_around_an_object_with_a_small_one_inside_is_not_grouped():
    # The box around both is the larger object, which the detection either matches or does not.
    nested = [[0, 0, 20, 20], [2, 2, 6, 6]]
    for grown in range(1, 12):
        assert len(judge([[0, 0, 20 + grown, 20 + grown]], nested).boxes) == 0


def test_only_what_is_near_makes_a_group():
    for gap, near in ((2.5, True), (2.6, False)):
        target = [[0, 0, 10, 10], [10 + gap, 0, 20 + gap, 10]]
        seen = judge([[0, 0, 20 + gap, 10]], target)
        assert bool(seen.groups) is near
        assert (len(seen.boxes) == 1) is near


def test_the_gap_counts_in_mean_sizes():
    # Sizes 10 and 30: mean 20, so a gap of 5 is a quarter.
    assert len(near_groups([[0, 0, 10, 10], [15, 0, 45, 30]])) == 1
    assert len(near_groups([[0, 0, 10, 10], [15.1, 0, 45, 30]])) == 0
    assert len(near_groups([[0, 0, 10, 10], [15.1, 0, 45, 30]], near=0.26)) == 1


def test_a_chain_is_one_group_and_a_box_answers_the_part_it_covers():
    chain = [[0, 0, 10, 10], [12, 0, 22, 10], [24, 0, 34, 10], [80, 80, 90, 90]]
    seen = judge([[0, 0, 22, 10], [0, 0, 34, 10]], chain)
    assert [group.tolist() for group in seen.groups] == [[0, 1, 2]]
    assert seen.covered.tolist() == [[True, True, False, False], [True, True, True, False]]


def test_a_box_answers_the_group_that_it_fits_best():
    far = [[x + 50, y, z + 50, w] for x, y, z, w in PAIR]
    seen = judge([[50, 0, 72, 10], AROUND], [*PAIR, *far])
    assert seen.group_of.tolist() == [1, 0]


def test_scores_below_the_threshold_take_no_part_and_indices_stay():
    seen = judge([AROUND, AROUND, *PAIR], scores=[0.2, 0.4, 0.2, 0.9])
    assert seen.boxes.tolist() == [1]
    assert seen.found.tolist() == [False, True]
    seen = judge([AROUND, AROUND, *PAIR], scores=[0.2, 0.4, 0.2, 0.9], score_threshold=0.4)
    assert seen.boxes.tolist() == [1]  # the threshold itself is enough


def test_a_box_that_matches_two_objects_finds_the_one_it_fits_best():
    target = [[0, 0, 10, 10], [3, 0, 13, 10]]
    assert judge([[0, 0, 11, 10]], target).found.tolist() == [True, False]


def test_a_crowd_is_no_member_and_excuses_what_lies_in_it():
    crowd = [False, False, True]
    beside = [*PAIR, [0, 12, 22, 22]]
    assert [g.tolist() for g in near_groups(beside, crowd)] == [[0, 1]]
    assert judge([AROUND], beside, ignored=crowd).boxes.tolist() == [0]
    half = [*PAIR, [0, 0, 11, 10]]
    assert len(judge([AROUND], half, ignored=crowd).boxes) == 0
    less = [*PAIR, [0, 0, 10.9, 10]]
    assert judge([AROUND], less, ignored=crowd).boxes.tolist() == [0]
    seen = judge([half[2]], half, ignored=crowd)
    assert not seen.found[2]


@pytest.mark.parametrize("targets", [0, 1, 2])
@pytest.mark.parametrize("count", [0, 1])
def test_few_objects_and_few_detections(count, targets):
    seen = judge([AROUND][:count], PAIR[:targets])
    assert len(seen.groups) == (targets == 2)
    assert len(seen.boxes) == (targets == 2 and count == 1)
    assert seen.covered.shape == (len(seen.boxes), targets)
    assert seen.found.shape == (targets,)


def test_tensors_and_arrays_are_one():
    arrays = np.array([AROUND, *PAIR]), np.full(3, 0.9), np.ones(3, int)
    target = np.array(PAIR), np.ones(2, int), np.zeros(2, bool)
    first = grouped_detections(*arrays, *target)
    second = grouped_detections(
        *(torch.from_numpy(x).requires_grad_(x.dtype == float) for x in arrays),
        *(torch.from_numpy(x) for x in target),
    )
    assert first.boxes.tolist() == second.boxes.tolist() == [0]
    assert first.found.tolist() == second.found.tolist() == [True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [[1, 2, 3]]}, r"boxes must have shape \(n, 4\)"),
        ({"scores": [0.9]}, "scores must be one for each of 2 boxes"),
        ({"target_labels": [1]}, "target_labels must be one for each of 2 boxes"),
        ({"ignored": [True]}, "ignored must be one for each of 2 boxes"),
    ],
)
def test_wrong_shapes_are_named(change, message):
    given = {
        "boxes": PAIR,
        "scores": [0.9, 0.9],
        "labels": [1, 1],
        "target_boxes": PAIR,
        "target_labels": [1, 1],
    }
    with pytest.raises(ValueError, match=message):
        grouped_detections(**(given | change))


# --- against loops --------------------------------------------------------------------------------


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a, b):
    return overlap(a, b) / (area(a) + area(b) - overlap(a, b))


def are_near(a, b):
    gap = max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3], 0)
    return gap <= 0.25 * (math.sqrt(area(a)) + math.sqrt(area(b))) / 2


def naive_groups(target, crowd):
    free = {i for i in range(len(target)) if not crowd[i]}
    groups = []
    while free:
        group, edge = set(), {min(free)}
        while edge:
            group |= edge
            edge = {j for i in edge for j in free - group if are_near(target[i], target[j])}
        free -= group
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


def naive(boxes, scores, target, crowd):
    """(detection, group, covered members) of each grouped detection."""
    regular = [box for box, is_crowd in zip(target, crowd, strict=True) if not is_crowd]
    answers = []
    for index, (box, score) in enumerate(zip(boxes, scores, strict=True)):
        in_crowd = any(
            overlap(box, t) / area(box) >= 0.5 for t, c in zip(target, crowd, strict=True) if c
        )
        if score < 0.3 or in_crowd or any(iou(box, t) >= 0.5 for t in regular):
            continue
        fits = []
        for number, group in enumerate(naive_groups(target, crowd)):
            held = [i for i in group if overlap(box, target[i]) / area(target[i]) >= 0.5]
            if len(held) >= 2:
                corners = list(zip(*(target[i] for i in held), strict=True))
                around = [*map(min, corners[:2]), *map(max, corners[2:])]
                fits.append((iou(box, around), number, held))
        if fits and max(fits)[0] >= 0.5:
            answers.append((index, *max(fits)[1:]))
    return answers


def test_agrees_with_loops():
    answers = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        corner = draw.uniform(0, 60, (9, 2))
        target = np.hstack([corner, corner + draw.uniform(6, 16, (9, 2))])
        crowd = draw.random(9) < 0.1
        # Around two objects drawn at random, a little off: many are grouped, many are not.
        pairs = target[draw.integers(0, 9, (100, 2))]
        boxes = np.hstack([pairs[:, :, :2].min(1), pairs[:, :, 2:].max(1)])
        boxes += draw.uniform(-2, 2, boxes.shape)
        scores = draw.random(100)
        seen = grouped_detections(boxes, scores, np.ones(100), target, np.ones(9), crowd)
        assert [g.tolist() for g in seen.groups] == naive_groups(target, crowd)
        told = [
            (index, group, np.flatnonzero(held).tolist())
            for index, group, held in zip(seen.boxes, seen.group_of, seen.covered, strict=True)
        ]
        assert told == naive(boxes, scores, target, crowd)
        answers += len(told)
    assert answers > 100


def test_near_is_what_scenes_call_crowded():
    config = SceneConfig(pair_probability=0.8)
    for index in range(20):
        _, objects = render(config, 0, "val", index)
        grouped = {i for group in near_groups([o.box for o in objects]) for i in group}
        assert grouped == {i for i, o in enumerate(objects) if o.factors["crowding"] >= 0.75}


# --- many images ----------------------------------------------------------------------------------


def test_counts_of_many_images():
    far = [[50, 50, 60, 60]]
    images = [
        judge([AROUND, [0, 0, 22, 11]], [*PAIR, *far]),  # grouped twice, nobody found
        judge([AROUND, *PAIR]),  # grouped, yet both found
        judge([PAIR[0]]),  # one of two found
        judge([*far], far),  # no group
    ]
    assert summarise_groups(images) == GroupedSummary(
        groups=3, grouped=2, separated=1, members=6, found=3, boxes=3
    )
    assert summarise_groups([]) == GroupedSummary(0, 0, 0, 0, 0, 0)
    assert isinstance(images[0], GroupedDetections)
