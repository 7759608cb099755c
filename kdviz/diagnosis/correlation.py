"""Whether one number of many objects goes with another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's coefficient of two numbers of the same objects.

    Attributes:
        value: in [-1, 1]; NaN where one of the numbers never changes.
        low: lower end of its 95 % interval.
        high: upper end.
        count: objects.
    """

    value: float
    low: float
    high: float
    count: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"none (n = {self.count})"
        return f"{self.value:+z.2f} [{self.low:+z.2f}, {self.high:+z.2f}] (n = {self.count})"


def rank_correlation(first: Any, second: Any) -> RankCorrelation:
    """Spearman's rank correlation with its 95 % interval; equal values share the mean of ranks.

    The interval is that of Fisher's z with the variance 1.06 / (n - 3), which suits ranks (Fieller,
    Hartley and Pearson, Biometrika 1957). It takes the objects for independent, and objects of one
    image are not quite that, so it is a little too narrow.

    Args:
        first: (n,) numbers.
        second: (n,) numbers of the same objects.

    Raises:
        ValueError: the lengths differ.
    """
    arrays = [np.asarray(values, dtype=np.float64).ravel() for values in (first, second)]
    if len(arrays[0]) != len(arrays[1]):
        raise ValueError(f"{len(arrays[0])} and {len(arrays[1])} numbers do not pair up")
    count = len(arrays[0])
    ranks = np.stack([_ranks(values) for values in arrays])
    if count < 4 or (np.ptp(ranks, axis=1) == 0).any():
        return RankCorrelation(math.nan, math.nan, math.nan, count)
    table: Any = np.corrcoef(ranks)
    value = float(table[0, 1])
    half = 1.96 * math.sqrt(1.06 / (count - 3))
    centre = math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12))
    return RankCorrelation(value, math.tanh(centre - half), math.tanh(centre + half), count)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last: NDArray[np.float64] = np.cumsum(counts)
    return (last - (counts - 1) / 2)[where]
