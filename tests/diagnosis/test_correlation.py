"""Rank correlation against scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from kdviz.diagnosis.correlation import rank_correlation


@pytest.mark.parametrize("levels", [3, 1000])
def test_agrees_with_scipy_with_and_without_ties(levels):
    stream = np.random.default_rng(levels)
    first = stream.integers(0, levels, 60)
    second = first + stream.integers(0, levels, 60)
    found = rank_correlation(torch.tensor(first), second)
    assert found.value == pytest.approx(spearmanr(first, second).statistic)
    assert found.low < found.value < found.high
    assert found.count == 60


def test_only_order_counts():
    x = np.arange(1.0, 30)
    assert rank_correlation(x, np.exp(x)).value == pytest.approx(1)
    assert rank_correlation(x, -(x**3)).value == pytest.approx(-1)


def test_interval_holds_zero_for_about_19_of_20_unrelated_pairs():
    stream = np.random.default_rng(0)
    pairs = stream.normal(size=(400, 2, 40))
    clear = sum(rank_correlation(first, second).is_clear for first, second in pairs)
    assert 8 <= clear <= 34


def test_says_so_where_there_is_nothing_to_order():
    for first, second in (([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]), ([1, 2], [2, 1]), ([], [])):
        found = rank_correlation(first, second)
        assert math.isnan(found.value)
        assert not found.is_clear
        assert str(found) == f"none (n = {len(first)})"


def test_reads_as_a_sentence():
    assert str(rank_correlation(range(103), range(103))).endswith("+1.00] (n = 103)")


def test_numbers_must_pair_up():
    with pytest.raises(ValueError, match="3 and 2 numbers"):
        rank_correlation([1, 2, 3], [1, 2])
