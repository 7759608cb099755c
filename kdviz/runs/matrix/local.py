"""The runs of a matrix as processes of this machine, one in each slot.

All that is known of a run is on the disk, so that a driver which was killed is started again and
goes on: its workers went on without it, and are waited for. Two drivers share the slots and the
runs, since a worker's lock keeps every other out of its run.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from kdviz.runs.matrix.attempts import read_attempts, record_death
from kdviz.runs.matrix.places import log_file
from kdviz.runs.matrix.slots import free_slots, slots_for, taken_by, threads_of
from kdviz.runs.matrix.spec import MatrixSpec, cells
from kdviz.runs.matrix.state import CellState, lay_out, state_of
from kdviz.runs.matrix.worker import DONE, TRY_AGAIN, command_of
from kdviz.runs.processes import Process, last_words, start, stop


@dataclass(frozen=True)
class _Work:
    folder: Path
    process: Process
    slots: list[str]
    attempts_before: int


def execute(
    matrix: MatrixSpec,
    root: Path = Path("runs"),
    *,
    slots: int | None = None,
    poll: float = 0.5,
) -> Generator[list[CellState], None, None]:
    """Run what is not done, and tell again and again how far everything is.

    A run that fails does not keep the others from running, and is not tried again: `retry` first.
    One that was killed is, three times in a row at most. When the iterator is closed, by Ctrl-C or
    otherwise, the runs in work are asked to stop; each writes its checkpoint first.

    Args:
        matrix: the runs, in the order of `kdviz.runs.matrix.spec.cells`.
        root: folder of all matrices.
        slots: runs in work at once; None as `machine_slots` counts. A run on several devices takes
            as many slots.
        poll: seconds from one look to the next.

    Yields:
        One state for each run; the last list holds only ``done`` and ``failed``.

    Raises:
        ValueError: a run takes more slots than there are.
    """
    places = slots_for(matrix, slots)
    threads = os.environ.get("OMP_NUM_THREADS", str(threads_of(places)))
    home = lay_out(matrix, root)
    runs = cells(matrix)  # once: making them costs more than looking at them
    working: dict[Path, _Work] = {}
    try:
        while True:
            for work in [x for x in working.values() if x.process.poll() is not None]:
                _settle(work)
                del working[work.folder]
            known = [state_of(cell, home) for cell in runs]
            others = [x for x in known if x.status == "running" and x.folder not in working]
            taken = [slot for work in working.values() for slot in work.slots]
            taken += [slot for state in others for slot in _taken_by(state)]
            free = free_slots(places, taken)
            for state in known:
                needed = state.cell.spec.train.devices
                if state.status != "waiting" or state.folder in working or needed > len(free):
                    continue
                own, free = free[:needed], free[needed:]
                working[state.folder] = _start(state, own, threads)
            yield [_seen(state, state.folder in working) for state in known]
            if not working and all(state.status in ("done", "failed") for state in known):
                return
            time.sleep(poll)
    finally:
        stop([work.process for work in working.values()])


def _start(state: CellState, slots: list[str], threads: str) -> _Work:
    process = start(
        command_of(state.folder),
        log_file(state.folder),
        environment={"CUDA_VISIBLE_DEVICES": ",".join(slots), "OMP_NUM_THREADS": threads},
    )
    return _Work(state.folder, process, slots, state.attempts)


def _settle(work: _Work) -> None:
    """Write how a worker ended, where it was killed and could not."""
    code = work.process.wait()
    if code not in (DONE, TRY_AGAIN):
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        words = last_words(log_file(work.folder))
        record_death(work.folder, "\n".join(filter(None, [how, words])), work.attempts_before)


def _taken_by(state: CellState) -> list[str]:
    attempts, _ = read_attempts(state.folder)
    return taken_by(attempts[-1] if attempts else None, state.cell.spec.train.devices)


def _seen(state: CellState, is_mine: bool) -> CellState:
    """A run whose worker has not come to its lock yet is in work all the same."""
    return replace(state, status="running") if is_mine and state.status == "waiting" else state
