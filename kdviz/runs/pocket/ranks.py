"""Does the pocket benchmark put methods in the order of the full scenes runs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student_t

from kdviz.files import read_json
from kdviz.runs.compare import ALONE
from kdviz.runs.embedded import FOLDER
from kdviz.runs.scores import Score, compare

FULL = FOLDER / "matrices" / "scenes.json"
"""Rows of the scenes matrix: data, pair, method, seed, test_AP, ..."""

PAIR = "fcos"
"""Pair of the matrix whose student and teacher are the pocket's."""

_FEWEST = 3  # two methods are in order or not; that is no correlation
_EXACT = 8  # methods whose orders can all be counted


@dataclass(frozen=True)
class Agreement:
    """How two benchmarks order the same methods, by what each adds to the student alone.

    Attributes:
        methods: that both have run, best of the full runs first.
        pocket: mean paired difference to the student alone in the pocket, for each.
        full: the same in the full runs.
        rho: Spearman's rank correlation, [-1, 1].
        p: share of all orders that agree as well or better: how easily luck does it, (0, 1].
    """

    methods: tuple[str, ...]
    pocket: tuple[float, ...]
    full: tuple[float, ...]
    rho: float
    p: float

    def __str__(self) -> str:
        order = ", ".join(
            f"{method} {a:+z.3f} / {b:+z.3f}"
            for method, a, b in zip(self.methods, self.pocket, self.full, strict=True)
        )
        return (
            f"Spearman's rank correlation with the full scenes runs: {self.rho:+z.2f} over "
            f"{len(self.methods)} methods (one-sided p {self.p:.3f}); pocket / full: {order}"
        )


def agreement(pocket: Mapping[str, float], full: Mapping[str, float]) -> Agreement:
    """Compare two sets of differences to the student alone.

    Args:
        pocket: method -> mean paired difference.
        full: the same of the other benchmark; methods of one alone are left out.

    Raises:
        ValueError: they share fewer than three methods.
    """
    shared = sorted(set(pocket) & set(full), key=lambda method: -full[method])
    if len(shared) < _FEWEST:
        raise ValueError(
            f"a rank correlation needs {_FEWEST} methods that both benchmarks have run, not "
            f"{shared}"
        )
    mine, theirs = ([values[method] for method in shared] for values in (pocket, full))
    rho, p = spearman(mine, theirs)
    return Agreement(tuple(shared), tuple(mine), tuple(theirs), rho, p)


def spearman(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Rank correlation, and the share of all orders of ``second`` that reach it by luck.

    Ties share their mean rank. All orders are counted up to eight values; beyond, Student's t is
    near enough.

    Returns:
        (rho, p); rho is NaN and p 1 if all values of one side are equal.
    """
    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    size = float(np.sqrt((a @ a) * (b @ b)))
    if size == 0:
        return float("nan"), 1.0
    rho, count = float(a @ b) / size, len(a)
    if count <= _EXACT:
        orders = np.fromiter(permutations(range(count)), np.dtype((int, count)), factorial(count))
        return rho, float(np.mean(b[orders] @ a >= float(a @ b) - 1e-9))
    statistic = rho * np.sqrt((count - 2) / max(1e-12, 1 - rho * rho))
    return rho, float(student_t.sf(statistic, count - 2))


def differences(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    """Mean paired difference of each method to the student alone.

    Args:
        rows: with ``method``, ``seed`` and ``key``; one without a number there is left out.
        key: column of the score.
    """
    scores = [
        Score(row["method"], row["seed"], float(row[key]), 0, 0.0)
        for row in rows
        if row.get(key) is not None
    ]
    return {
        row.method: row.difference
        for row in compare(scores)
        if row.method != ALONE and row.differences
    }


def ranking(rows: Sequence[Mapping[str, Any]], full: Path = FULL) -> str:
    """A sentence on how far a pocket result agrees with the full runs, or why nobody can tell."""
    if not full.is_file():
        return f"No rank correlation with the full scenes runs yet: {full.name} is missing."
    try:
        return f"{against_full(rows, full)}."
    except ValueError as error:
        return f"No rank correlation with the full scenes runs: {error}."


def against_full(rows: Sequence[Mapping[str, Any]], full: Path = FULL) -> Agreement:
    """Rows of a pocket result beside the full runs of the same student and teacher.

    Raises:
        FileNotFoundError: there are no full runs yet.
        ValueError: they share fewer than three methods.
    """
    told = [row for row in read_json(full)["rows"] if row["pair"] == PAIR]
    return agreement(differences(rows, "AP"), differences(told, "test_AP"))
