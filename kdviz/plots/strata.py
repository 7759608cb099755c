"""Where boxes and ribbons of an alluvial diagram stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdviz.plots.panels import LINE

TEXT_SIZE = 8.5
TEXT_LINE = TEXT_SIZE * LINE
"""Height of the text of a box, inches."""
PAD = 0.07
"""Between boxes, and from a box to its text, inches."""
_LOWEST = TEXT_LINE + 0.02  # box that holds its text, inches


@dataclass(frozen=True)
class Stratum:
    """Things of one state in one column: a box, inches from the top of the diagram.

    Attributes:
        column: its position.
        state: its position.
        count: how many things.
        top: upper edge of the box.
        height: of the box.
        outside: the text stands above the box, which is too low for it.
    """

    column: int
    state: int
    count: int
    top: float
    height: float
    outside: bool

    @property
    def above(self) -> float:
        """Upper edge of box and text."""
        return self.top - TEXT_LINE * self.outside


@dataclass(frozen=True)
class Ribbon:
    """Things that go from a state of one column to a state of the next, inches as in `Stratum`.

    Attributes:
        column: where it starts.
        state: where it starts.
        after: the state where it ends.
        count: how many things.
        top: upper edge at its start.
        top_after: upper edge at its end.
        height: its thickness.
    """

    column: int
    state: int
    after: int
    count: int
    top: float
    top_after: float
    height: float


def marginal(counts: NDArray[np.int64], *kept: int) -> NDArray[np.int64]:
    """How many things are in each state of the columns kept, whatever the others."""
    others = tuple(axis for axis in range(counts.ndim) if axis not in kept)
    return np.asarray(counts.sum(axis=others))


def layout(counts: NDArray[np.int64], height: float) -> tuple[list[Stratum], list[Ribbon]]:
    """Boxes of the columns and ribbons between them, the thickest ribbon first.

    All columns have one scale, whatever room the text of small states takes.

    Args:
        counts: how many things have each sequence of states, one axis a column.
        height: of the diagram, inches.
    """
    columns = [marginal(counts, column) for column in range(counts.ndim)]
    total = int(counts.sum())
    scale = height / total
    while True:
        # A box too low for its text has it above; that takes room, which lowers others in turn.
        low = [(column > 0) & (column * scale < _LOWEST) for column in columns]
        needs = [
            PAD * (column > 0).sum() + TEXT_LINE * flat.sum()
            for column, flat in zip(columns, low, strict=True)
        ]
        fitting = max(height - max(needs) + PAD, 0.2 * height) / total
        if fitting >= scale:
            break
        scale = fitting
    strata, tops = [], np.zeros((counts.ndim, counts.shape[0]))
    for number, column in enumerate(columns):
        y = 0.0
        for state in np.flatnonzero(column).tolist():
            count = int(column[state])
            outside = count * scale < _LOWEST
            y += TEXT_LINE * outside
            strata.append(Stratum(number, state, count, y, count * scale, outside))
            tops[number, state] = y
            y += count * scale + PAD
    ribbons = []
    for number in range(counts.ndim - 1):
        pairs = marginal(counts, number, number + 1)
        leaving, arriving = tops[number].copy(), tops[number + 1].copy()
        for state, after in np.argwhere(pairs).tolist():
            thick = float(pairs[state, after] * scale)
            start, end = float(leaving[state]), float(arriving[after])
            passing = int(pairs[state, after])
            ribbons.append(Ribbon(number, state, after, passing, start, end, thick))
            leaving[state] += thick
            arriving[after] += thick
    return strata, sorted(ribbons, key=lambda ribbon: -ribbon.count)


def curve(share: float) -> float:
    """How far a ribbon has come down after a share of the way; level at both ends."""
    return share * share * (3 - 2 * share)
