"""Overlap and ranks against loops, ties and padding by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from kdviz.diagnosis.agreement import (
    cells_of,
    chance_iou,
    mean_and_spread,
    pairs_by_similarity,
    rank_correlation,
    similar_together,
    strongest,
    top_iou,
)
from kdviz.structures import Level, Pyramid


def rows(count=4, cells=30, seed=0):
    return np.random.default_rng(seed).random((count, cells))


class TestCells:
    def test_padding_is_left_out_and_order_is_row_by_row(self):
        values = torch.arange(2 * 3 * 4, dtype=torch.float32).view(2, 1, 3, 4)
        maps = {"a": Pyramid((Level("p3", 8, values),)), "b": Pyramid((Level("p3", 8, -values),))}
        # 17 px need three cells of stride 8, 16 px two; the second image fills the map.
        small, whole = cells_of(maps, 8, [(16, 17), (24, 32)])
        assert small.tolist() == [[0, 1, 2, 4, 5, 6], [0, -1, -2, -4, -5, -6]]
        assert whole.tolist() == [list(range(12, 24)), [-x for x in range(12, 24)]]

    def test_masks_are_numbers_and_a_missing_level_is_named(self):
        mask = Pyramid((Level("p3", 8, torch.tensor([[[[True, False]]]])),))
        assert cells_of({"mask": mask}, 8, [(8, 16)])[0].tolist() == [[1.0, 0.0]]
        with pytest.raises(KeyError, match="no level of stride 16"):
            cells_of({"mask": mask}, 16, [(8, 16)])


class TestStrongest:
    def test_by_hand(self):
        cells = np.array([[5.0, 1, 3, 2, 4], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 1, 1, 1]])
        half = 0.5
        expected = [
            [1, 0, 0.5, 0, 1],
            [0.4, 0.4, 0.4, 0.4, 0.4],
            # One cell of the mask, the rest of 2 * 2.5 shared by the four outside.
            [1, 0.375, 0.375, 0.375, 0.375],
            [0, 0.5, 0.5, 0.5, 0.5],
        ]
        assert strongest(cells, 0.4)[0] == pytest.approx([1, 0, 0, 0, 1])
        assert strongest(cells[:1], half)[0] == pytest.approx(expected[0])
        assert strongest(cells[1:2], 0.4)[0] == pytest.approx(expected[1])
        assert strongest(cells[2:3], half)[0] == pytest.approx(expected[2])
        assert strongest(cells[3:], 0.4)[0] == pytest.approx(expected[3])

    @pytest.mark.parametrize("share", [0.01, 0.2, 1 / 3, 0.5, 1.0])
    def test_every_map_gets_the_same_number_of_cells(self, share):
        cells = np.concatenate([rows(), np.round(rows(seed=1), 1), np.eye(4, 30)])
        assert strongest(cells, share).sum(axis=1) == pytest.approx(np.full(12, share * 30))

    def test_a_map_of_zeros_has_no_strongest_cells(self):
        assert np.isnan(strongest(np.zeros((1, 5)), 0.4)).all()

    @pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
    def test_share_is_checked(self, share):
        with pytest.raises(ValueError, match=r"in \(0, 1\]"):
            strongest(rows(), share)


class TestIoU:
    def test_against_sets(self):
        cells = rows(5, 40)
        found = top_iou([cells], 0.25)[0]
        tops = [set(np.argsort(-row)[:10]) for row in cells]
        for i, one in enumerate(tops):
            for j, other in enumerate(tops):
                assert found[i, j] == pytest.approx(len(one & other) / len(one | other))

    def test_a_constant_map_is_at_chance(self):
        cells = np.stack([np.ones(40), rows(1, 40)[0]])
        assert top_iou([cells], 0.25)[0, 0, 1] == pytest.approx(chance_iou(0.25))
        assert chance_iou(0.25) == pytest.approx(1 / 7)

    def test_units_and_order_preserving_changes_do_not_matter(self):
        cells = rows()
        assert np.allclose(top_iou([cells], 0.3), top_iou([1e6 * cells**3], 0.3))

    def test_nothing_overlaps_with_a_map_of_zeros(self):
        found = top_iou([np.stack([np.zeros(10), np.arange(10.0)])], 0.3)[0]
        assert np.isnan(found[0]).all()
        assert found[1, 1] == pytest.approx(1)


class TestRanks:
    def test_against_scipy_with_ties(self):
        cells = np.round(rows(4, 50), 1)
        found = rank_correlation([cells])[0]
        for i in range(4):
            for j in range(4):
                assert found[i, j] == pytest.approx(spearmanr(cells[i], cells[j]).statistic)

    def test_a_constant_map_has_no_order(self):
        found = rank_correlation([np.stack([np.ones(9), np.arange(9.0), -np.arange(9.0)])])[0]
        assert np.isnan(found[0]).all()
        assert found[1:, 1:] == pytest.approx(np.array([[1, -1], [-1, 1]]))


def test_mean_and_spread_leave_out_what_is_not_known():
    nan = np.nan
    values = np.array([[1.0, nan, nan, 2.0], [3.0, 4.0, nan, 2.0], [5.0, nan, nan, 2.0]])
    mean, spread = mean_and_spread(values)
    assert mean == pytest.approx([3, 4, nan, 2], nan_ok=True)
    assert spread == pytest.approx([2, nan, nan, 0], nan_ok=True)


def test_pairs_once_each_most_alike_first():
    similarity = np.array([[1, 0.2, np.nan], [0.2, 1, 0.7], [np.nan, 0.7, 1]])
    found = pairs_by_similarity(similarity, ["a", "b", "c"])
    assert found == [("b", "c", 0.7), ("a", "b", 0.2)]


def test_similar_ones_stand_together_and_unknown_ones_last():
    groups = np.array([0, 1, 0, 9, 1, 0])
    similarity = np.where(groups[:, None] == groups, 0.9, 0.1)
    similarity[3], similarity[:, 3] = np.nan, np.nan
    order = similar_together(similarity)
    assert sorted(order) == list(range(6))
    assert order[-1] == 3
    assert np.count_nonzero(np.diff(groups[order[:-1]])) == 1
    assert similar_together(np.full((2, 2), np.nan)) == [0, 1]
