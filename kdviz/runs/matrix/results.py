"""All that is known of a matrix: its runs, their records, and what may be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdviz.runs.matrix.outcomes import Outcome, matrix_order, outcomes
from kdviz.runs.matrix.spec import MatrixSpec
from kdviz.runs.matrix.standings import Group, groups
from kdviz.runs.matrix.state import CellState, states


@dataclass(frozen=True)
class Results:
    """What is known of a matrix.

    Attributes:
        matrix: the runs that there shall be.
        home: folder of the matrix; links start here.
        states: of its runs.
        records: of its runs, by data set, pair, method and seed.
        groups: what may be compared.
    """

    matrix: MatrixSpec
    home: Path
    states: Sequence[CellState]
    records: Sequence[Outcome]
    groups: Sequence[Group]

    def of(self, group: Group) -> dict[str, list[CellState]]:
        """The states of one group's runs, by what they are called there."""
        found: dict[str, list[CellState]] = {one.method: [] for one in group.standings}
        for state in self.states:
            if (label := group.label(state.cell)) is not None:
                found[label].append(state)
        return found


def gather(matrix: MatrixSpec, root: Path) -> Results:
    """What is known of the runs of a matrix."""
    known = states(matrix, root)
    records = matrix_order(matrix, outcomes(known))
    return Results(matrix, root / matrix.name, known, records, groups(records))
