"""Where a method gains: AP of small and large, covered and free, of each class of objects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kdviz.plots import number_table
from kdviz.runs.matrix.standings import Group
from kdviz.runs.matrix.state import CellState

SIZES = {"APs": "COCO size: small", "APm": "COCO size: medium", "APl": "COCO size: large"}
_LEAST_SCALE = 0.02  # gains of a hair's breadth shall look like that

Parts = dict[str, float]
"""AP by the name of a part of the objects; parts without objects are not there."""


def gain_table(
    group: Group, states: Mapping[str, Sequence[CellState]]
) -> Iterator[tuple[str, Figure]]:
    """Pictures of the mean paired gain in each part of the objects, methods in columns.

    Args:
        group: the methods and the seeds that pair.
        states: of its runs, by method.

    Yields:
        What the objects are parted by, and the picture; nothing where no seed pairs.
    """
    results = {
        (method, state.cell.seed): state.result
        for method, each in states.items()
        for state in each
        if state.result is not None
    }
    for title, read in {"size and factor": by_factor, "class": by_class}.items():
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
            told = f"over {group.against} with the same seed, by {title}"
            yield title, _picture(values, rows, list(gains), told)


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


def _picture(values: Any, rows: Sequence[str], columns: Sequence[str], told: str) -> Figure:
    reach = max(_LEAST_SCALE, float(np.nanmax(np.abs(values))))
    figure, _ = number_table(
        values,
        rows,
        columns,
        limits=(-reach, reach),
        unit="gain in AP",
        decimals=3,
        caption=f"Mean gain in validation AP {told} of the objects. Of so many numbers some are "
        "large by chance: trust those that agree with their neighbours.",
        width=min(10.0, max(6.5, 3.4 + 0.8 * len(columns))),  # so that names of slices fit
    )
    return figure
