"""How far the runs of a matrix are: read from the disk alone, by whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdviz.engine.history import read_history
from kdviz.files import read_json, write_atomically
from kdviz.runs.local import Status
from kdviz.runs.matrix.attempts import (
    failure,
    forget_failures,
    is_at_work,
    is_done,
    read_attempts,
)
from kdviz.runs.matrix.places import NOTEBOOK, failed_notebook, spec_file
from kdviz.runs.matrix.spec import Cell, MatrixSpec, cells, to_yaml


@dataclass(frozen=True)
class CellState:
    """How far one run of a matrix is.

    Attributes:
        cell: the run.
        folder: of the run; made when its training begins.
        status: ``done`` with result and notebook; ``failed`` if the last attempt failed;
            ``running`` while a process holds its lock; else ``waiting``, also after a kill or an
            interruption.
        attempts: at it so far.
        step: steps done, as far as the history tells.
        result: content of ``result.json``; None before the end of the training. It counts also
            while the notebook is still to be made.
        error: what a failed run failed with: cell, name and text.
        notebook: the executed one; of a failed run the copy that ends in the failing cell.
    """

    cell: Cell
    folder: Path
    status: Status
    attempts: int = 0
    step: int = 0
    result: dict[str, Any] | None = field(default=None, repr=False)
    error: str = ""
    notebook: Path | None = None


def states(matrix: MatrixSpec, root: Path = Path("runs")) -> list[CellState]:
    """How far each run of a matrix is; starts nothing.

    Args:
        matrix: which runs.
        root: folder of all matrices; the runs lie in ``root/<matrix.name>``.
    """
    return [state_of(cell, Path(root) / matrix.name) for cell in cells(matrix)]


def state_of(cell: Cell, home: Path) -> CellState:
    """How far one run is.

    Args:
        cell: the run.
        home: folder of the matrix.
    """
    folder = home / cell.spec.folder_name
    working = is_at_work(folder)  # before the files, so that what ends meanwhile is seen as ended
    attempts, counting = read_attempts(folder)
    finished = (folder / "result.json").exists()
    result = read_json(folder / "result.json") if finished else None
    step = cell.spec.train.steps if finished else _step(folder)
    known = (cell, folder)
    if is_done(folder):
        return CellState(*known, "done", len(attempts), step, result, notebook=folder / NOTEBOOK)
    if working:
        return CellState(*known, "running", len(attempts), step, result)
    if (error := failure(counting)) is not None:
        kept = failed_notebook(folder) if failed_notebook(folder).exists() else None
        return CellState(*known, "failed", len(attempts), step, result, error, kept)
    return CellState(*known, "waiting", len(attempts), step, result)


def lay_out(matrix: MatrixSpec, root: Path = Path("runs")) -> Path:
    """Write what the workers read: the matrix and the spec of each run.

    Returns:
        ``root/<matrix.name>``, which is the ``--root`` of the workers.
    """
    home = Path(root) / matrix.name
    home.mkdir(parents=True, exist_ok=True)
    write_atomically(home / "matrix.yaml", to_yaml(matrix))
    for cell in cells(matrix):
        write_atomically(spec_file(home / cell.spec.folder_name), cell.spec.to_yaml())
    return home


def retry(matrix: MatrixSpec, root: Path = Path("runs")) -> list[CellState]:
    """Let the failed runs wait for another attempt; returns what they were."""
    failed = [state for state in states(matrix, root) if state.status == "failed"]
    for state in failed:
        forget_failures(state.folder)
    return failed


def in_words(known: Sequence[CellState]) -> str:
    """How many runs are done, in work, waiting or failed."""
    counts = {status: 0 for status in ("done", "running", "waiting", "failed")}
    for state in known:
        counts[state.status] += 1
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _step(folder: Path) -> int:
    history = read_history(folder / "metrics.jsonl")
    return history[-1]["step"] + 1 if history else 0
