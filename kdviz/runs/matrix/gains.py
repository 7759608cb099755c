"""Where a method gains: AP of small and large, covered and free, of each class of objects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.plots import number_table
from kdviz.runs.matrix.standings import Group
from kdviz.runs.matrix.state import CellState

SIZES = {"APs": "COCO size: small", "APm": "COCO size: medium", "APl": "COCO size: large"}
_ENDS = (0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)

Parts = dict[str, float]
"""AP by the name of a part of the objects; parts without objects are not there."""


@dataclass(frozen=True)
class GainTable:
    """Mean paired gains of a group's methods in each part of the objects.

    Attributes:
        group: whose methods.
        by: what the objects are parted by.
        parts: names of the rows.
        methods: names of the columns.
        values: (parts, methods), NaN where no seed pairs.
    """

    group: Group
    by: str
    parts: list[str]
    methods: list[str]
    values: NDArray[np.float64]

    @property
    def reach(self) -> float:
        """The greatest gain or loss."""
        return float(np.nanmax(np.abs(self.values)))


def gain_tables(group: Group, states: Mapping[str, Sequence[CellState]]) -> Iterator[GainTable]:
    """Where the methods of a group gain; nothing where no seed pairs.

    Args:
        group: the methods and the seeds that pair.
        states: of its runs, by method.
    """
    results = {
        (method, state.cell.seed): state.result
        for method, each in states.items()
        for state in each
        if state.result is not None
    }
    for by, read in {"size and factor": by_factor, "class": by_class}.items():
        parts = {place: read(result) for place, result in results.items()}
        gains = {
            one.method: mean_gains(
                [parts[one.method, seed] for seed in one.paired],
                [parts[group.baseline, seed] for seed in one.paired],
            )
            for one, _ in group.compared
        }
        rows = list(dict.fromkeys(name for part in parts.values() for name in part))
        values = np.array([[gains[m].get(row, math.nan) for m in gains] for row in rows])
        if values.size and not np.isnan(values).all() and len(rows) > 1:
            yield GainTable(group, by, rows, list(gains), values)


def draw_gains(table: GainTable, reach: float) -> Figure:
    """A table as a picture.

    Args:
        table: of `gain_tables`.
        reach: the greatest gain of all tables of the page, so that all have one scale.
    """
    count = len(table.methods)
    figure, _ = number_table(
        table.values,
        table.parts,
        table.methods,
        limits=(-round_up(reach), round_up(reach)),
        unit="gain in AP",
        decimals=3,
        caption=f"Mean gain in validation AP over {table.group.against} with the same seed, by "
        f"{table.by} of the objects. Of so many numbers some are large by chance: trust those "
        "that agree with their neighbours.",
        width=min(10.0, max(6.5, 3.4 + 0.8 * count)),  # so that the names of slices fit
    )
    return figure


def round_up(reach: float) -> float:
    """The end of a scale of AP, so round that its numbers are short."""
    return next((end for end in _ENDS if end >= reach), 1.0)


def mean_gains(after: Sequence[Parts], before: Sequence[Parts]) -> Parts:
    """Mean over the seeds of the differences, of the parts that all of them have.

    Args:
        after: of the method, one for each seed.
        before: of the student alone, the same seeds.
    """
    if not after:
        return {}
    shared = [name for name in after[0] if all(name in each for each in (*after, *before))]
    return {
        name: float(np.mean([a[name] - b[name] for a, b in zip(after, before, strict=True)]))
        for name in shared
    }


def by_factor(result: Mapping[str, Any]) -> Parts:
    """AP of all objects, of each COCO size, and of each slice of each factor."""
    metrics = result["metrics"]
    parts = {"all": metrics["AP"], **{name: metrics[key] for key, name in SIZES.items()}}
    for factor, slices in result.get("per_factor", {}).items():
        for one in slices:
            parts[f"{factor}: {_bounds(one['slice'])}"] = one["stats"]["AP"]
    return {name: value for name, value in parts.items() if value >= 0}


def by_class(result: Mapping[str, Any]) -> Parts:
    """AP of each class."""
    classes = result.get("per_class", {})
    parts = {name: one["stats"]["AP"] for name, one in classes.items()}
    return {name: value for name, value in parts.items() if value >= 0}


def _bounds(part: Mapping[str, Any]) -> str:
    """The bounds of a slice as a reader says them."""
    low, high = part["low"], part["high"]
    if high == 0:
        return "0"
    told = [f"over {low:.3g}" if low is not None else "", f"to {high:.3g}" if high else ""]
    return " ".join(filter(None, told)) or str(part["name"])
