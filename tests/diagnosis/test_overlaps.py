import numpy as np
import pytest
from made_sets import naive_iou

from kdviz.diagnosis import overlaps
from kdviz.diagnosis.overlaps import Pairs, iou_of_pairs, match_greedily, overlapping


@pytest.mark.parametrize("crowd", [False, True])
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_pairs_are_those_of_a_double_loop(monkeypatch, crowd, block):
    monkeypatch.setattr(overlaps, "_PAIRS_AT_ONCE", block)
    rng = np.random.default_rng(0)
    left_image, right_image = rng.integers(6, size=40), rng.integers(5, size=30)
    left, right = (rng.integers(1, 12, (n, 4)).astype(float) for n in (40, 30))
    pairs = overlapping(
        left_image=left_image,
        left_boxes=left,
        right_image=right_image,
        right_boxes=right,
        right_is_crowd=crowd,
    )
    expected = [
        (i, j, naive_iou(left[i], right[j], crowd))
        for i in range(40)
        for j in range(30)
        if left_image[i] == right_image[j] and naive_iou(left[i], right[j])
    ]
    found = zip(pairs.left.tolist(), pairs.right.tolist(), pairs.iou.tolist(), strict=True)
    assert list(found) == expected


def test_boxes_without_area_overlap_nothing():
    flat, whole = np.array([[1.0, 1, 0, 5], [1, 1, 4, 0]]), np.array([[0.0, 0, 9, 9]] * 2)
    assert iou_of_pairs(flat, whole).tolist() == [0, 0]
    assert iou_of_pairs(flat, flat).tolist() == [0, 0]


def test_nothing_pairs_with_nothing():
    none = {"left_image": np.zeros(0, int), "left_boxes": np.zeros((0, 4))}
    some = {"right_image": np.zeros(1, int), "right_boxes": np.ones((1, 4))}
    pairs = overlapping(**none, **some)
    assert len(pairs.left) == 0
    assert [x.tolist() for x in pairs.best(2)] == [[-1, -1], [0, 0]]


def test_best_takes_the_first_of_equals():
    pairs = Pairs(np.array([0, 0, 0, 2]), np.array([1, 4, 5, 3]), np.array([0.2, 0.7, 0.7, 0.1]))
    partner, iou = pairs.best(3)
    assert partner.tolist() == [4, -1, 3]
    assert iou.tolist() == [0.7, 0.0, 0.1]


def test_greedy_matching_is_that_of_a_loop_over_the_queue():
    rng = np.random.default_rng(1)
    table = rng.integers(0, 5, (25, 12)) / 4 * (rng.random((25, 12)) < 0.3)
    left, right = np.nonzero(table)
    rank = rng.permutation(25)
    found = match_greedily(Pairs(left, right, table[left, right]), rank, 25, 12)
    free, expected = table.copy(), np.full(25, -1)
    for one in np.argsort(rank):
        if free[one].max() > 0:
            expected[one] = free[one].argmax()
            free[:, expected[one]] = 0
    assert found.tolist() == expected.tolist()
    assert (expected >= 0).sum() > 8
