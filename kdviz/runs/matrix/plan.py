"""What a matrix will take before it is started: which runs, how long, how much of the disk."""

from __future__ import annotations

import heapq
import shutil
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kdviz.runs.matrix.probe import PROBED_STEPS, expected_megabytes, probe_step
from kdviz.runs.matrix.spec import Cell, MatrixSpec
from kdviz.runs.matrix.state import CellState, states
from kdviz.runs.matrix.watch import aligned

Source = Literal["finished runs", "probe"]


@dataclass(frozen=True)
class Need:
    """What one run takes from its first step to its folder.

    Attributes:
        seconds: on one slot.
        megabytes: of its folder.
    """

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Plan:
    """A matrix before it is started.

    Attributes:
        matrix: its name.
        states: how far each run is.
        needs: of each run.
        source: what the times come from.
        slots: runs in work at once.
        free_megabytes: of the disk that the runs go to.
    """

    matrix: str
    states: list[CellState]
    needs: list[Need]
    source: Source
    slots: int
    free_megabytes: float

    @property
    def to_do(self) -> list[tuple[CellState, Need]]:
        """Runs without a result, each with what it takes yet."""
        pairs = zip(self.states, self.needs, strict=True)
        return [(state, _left(state, need)) for state, need in pairs if state.result is None]

    @property
    def seconds(self) -> float:
        """Wall time of what is to do."""
        return wall_time(
            [(need.seconds, state.cell.spec.train.devices) for state, need in self.to_do],
            self.slots,
        )

    @property
    def megabytes(self) -> float:
        """That will be written."""
        return sum(need.megabytes for _, need in self.to_do)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "matrix": self.matrix,
            "slots": self.slots,
            "seconds": round(self.seconds),
            "run_seconds": round(sum(need.seconds for _, need in self.to_do)),
            "times_from": self.source,
            "megabytes": round(self.megabytes),
            "free_megabytes": round(self.free_megabytes),
            "runs": [
                {
                    "folder": str(state.folder),
                    "status": state.status,
                    "seconds": round(need.seconds),
                    "megabytes": round(need.megabytes, 1),
                }
                for state, need in zip(self.states, self.needs, strict=True)
            ],
        }


def plan_matrix(
    matrix: MatrixSpec,
    root: Path = Path("runs"),
    *,
    slots: int = 1,
    probe: Callable[[Cell], float] | None = None,
) -> Plan:
    """Look at what there is and estimate what is to do; writes nothing.

    Args:
        matrix: the runs.
        root: folder of all matrices.
        slots: runs in work at once.
        probe: seconds of a step of a run; asked once for every pair and method if no run of this
            matrix is finished. `probe_step` if not given.
    """
    known = states(matrix, root)
    finished = [state for state in known if state.result is not None]
    if finished:
        needs = [_from_finished(state, finished) for state in known]
    else:
        needs = _from_probe(known, probe or probe_step)
    place = next(x for x in (Path(root).resolve(), *Path(root).resolve().parents) if x.exists())
    source: Source = "finished runs" if finished else "probe"
    free = shutil.disk_usage(place).free / 2**20
    return Plan(matrix.name, known, needs, source, slots, free)


def wall_time(runs: Iterable[tuple[float, int]], slots: int) -> float:
    """Seconds until all runs are done, each started as soon as it finds its places.

    Args:
        runs: seconds and places of each, in the order they are started.
        slots: places there are.
    """
    free_at = [0.0] * slots
    for seconds, needed in runs:
        taken = [heapq.heappop(free_at) for _ in range(min(needed, slots))]
        for _ in taken:
            heapq.heappush(free_at, max(taken) + seconds)
    return max(free_at)


def table(plan: Plan) -> str:
    """The plan in words, a line for each group of runs that differ in the seed alone."""
    groups: dict[tuple[str, str, str], list[tuple[CellState, Need]]] = {}
    for state, need in zip(plan.states, plan.needs, strict=True):
        cell = state.cell
        groups.setdefault((cell.data, cell.pair, cell.method), []).append((state, need))
    rows = [("data", "pair", "method", "seeds", "done", "each", "steps")]
    for (data, pair, method), members in groups.items():
        done = sum(state.result is not None for state, _ in members)
        each = span(statistics.fmean(need.seconds for _, need in members))
        steps = members[0][0].cell.spec.train.steps
        rows.append((data, pair, method, str(len(members)), str(done), each, str(steps)))
    lines = aligned(rows)
    to_do = plan.to_do
    lines += ["", f"{len(plan.states)} runs, {len(plan.states) - len(to_do)} have a result"]
    failed = sum(state.status == "failed" for state in plan.states)
    if failed:
        lines.append(f"{failed} failed and are left alone: kdviz matrix retry")
    if to_do:
        times = f"times of {plan.source} of this matrix"
        if plan.source == "probe":
            times = (
                f"times from {PROBED_STEPS} steps of each method on this machine, training alone"
            )
        total = sum(need.seconds for _, need in to_do)
        lines += [
            f"to do: {span(plan.seconds)} in {plan.slots} slots ({span(total)} in one); {times}",
            f"disk: {plan.megabytes:.0f} MB of {plan.free_megabytes:.0f} MB that are free",
        ]
        if plan.megabytes > plan.free_megabytes:
            lines.append("the disk is too small: free some space, or give another folder (--out)")
    return "\n".join(lines)


def span(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _left(state: CellState, need: Need) -> Need:
    part = 1 - state.step / state.cell.spec.train.steps
    return Need(need.seconds * part, need.megabytes)


def _from_finished(state: CellState, finished: list[CellState]) -> Need:
    """By the runs most like it: of its data, pair and method, else of its data and pair."""
    cell = state.cell
    like = [x for x in finished if _key(x.cell) == _key(cell)]
    like = like or [x for x in finished if _key(x.cell)[:2] == _key(cell)[:2]] or finished
    return Need(
        statistics.fmean(_seconds(x) for x in like),
        statistics.fmean(_megabytes(x.folder) for x in like),
    )


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.data, cell.pair, cell.method


def _seconds(state: CellState) -> float:
    """Training time of a finished run; a resumed one did not see all of it, but knows its rate."""
    train = state.cell.spec.train
    assert state.result is not None
    return (
        train.steps * train.batch_size * train.devices / state.result["speed"]["images_per_second"]
    )


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def _from_probe(known: list[CellState], probe: Callable[[Cell], float]) -> list[Need]:
    probed: dict[tuple[str, str, str], Need] = {}
    for state in known:
        if _key(state.cell) not in probed:
            train = state.cell.spec.train
            probed[_key(state.cell)] = Need(
                probe(state.cell) * train.steps, expected_megabytes(state.cell)
            )
    return [probed[_key(state.cell)] for state in known]
