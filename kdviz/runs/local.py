"""Runs as processes of this machine: each is the command ``kdviz run SPEC``, its state is on disk.

Nothing is kept in memory that the folders do not say. So a notebook that was stopped, or whose
kernel was started anew, gives the same call and goes on: finished runs are found, a cut one goes on
from its checkpoint.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kdviz.engine.history import read_history
from kdviz.files import read_json, write_atomically
from kdviz.runs import embedded
from kdviz.runs.processes import Process, last_words, start, stop
from kdviz.runs.spec import RunSpec

HOME = embedded.FOLDER.parent
"""Where runs are started: the paths of recipes hold there, and scenes are rendered once."""

Status = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class RunState:
    """How far one run is.

    Attributes:
        spec: the run.
        folder: of the run; made when its training begins.
        status: of the run; a stopped one is waiting again.
        history: records of ``metrics.jsonl`` so far.
        result: content of ``result.json``; None before the end.
        error: the last lines that a failed run wrote.
    """

    spec: RunSpec
    folder: Path
    status: Status
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)
    result: dict[str, Any] | None = field(default=None, repr=False)
    error: str = ""

    @property
    def step(self) -> int:
        """Steps done, as far as the history tells."""
        if self.result is not None:
            return self.spec.train.steps
        return self.history[-1]["step"] + 1 if self.history else 0


def run_all(
    specs: Sequence[RunSpec],
    root: Path,
    *,
    processes: int = 2,
    poll: float = 0.5,
    home: Path = HOME,
) -> Generator[list[RunState], None, None]:
    """Run what is not finished, and tell again and again how far everything is.

    A run that fails does not keep the others from running. When the iterator is closed, by Ctrl-C
    or otherwise, the runs in work are asked to stop; each writes its checkpoint first.

    Args:
        specs: the runs, in the order they are started.
        root: folder of all runs. Beside the folder of a run lie its ``.yaml`` and its ``.log``.
        processes: runs that are in work at once, at least 1; they share the cores.
        poll: seconds from one look to the next.
        home: folder that the commands are started in.

    Yields:
        One state for each spec; the last list holds only ``done`` and ``failed``.
    """
    if processes < 1:
        raise ValueError(f"processes is how many runs are in work at once, not {processes}")
    root = Path(root).resolve()
    root.mkdir(parents=True, exist_ok=True)
    waiting = [spec for spec in specs if not _is_finished(spec, root)]
    working: dict[str, Process] = {}
    failed: dict[str, str] = {}
    try:
        while True:
            for name in [name for name, process in working.items() if process.poll() is not None]:
                del working[name]
                if not (root / name / "result.json").exists():
                    failed[name] = last_words(root / f"{name}.log")
            while waiting and len(working) < processes:
                spec = waiting.pop(0)
                working[spec.folder_name] = _start(spec, root, processes, home)
            yield [_state(spec, root, working, failed) for spec in specs]
            if not working:
                return
            time.sleep(poll)
    finally:
        stop(list(working.values()))


def states_of(specs: Sequence[RunSpec], root: Path) -> list[RunState]:
    """How far the runs are according to their folders; starts nothing."""
    return [_state(spec, Path(root).resolve(), {}, {}) for spec in specs]


def command_of(spec: RunSpec, root: Path) -> list[str]:
    """The command of one run, as `run_all` starts it."""
    file = root / f"{spec.folder_name}.yaml"
    return [sys.executable, "-m", "kdviz.cli", "run", str(file), "--out", str(root)]


def _start(spec: RunSpec, root: Path, processes: int, home: Path) -> Process:
    write_atomically(root / f"{spec.folder_name}.yaml", spec.to_yaml())
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    return start(
        command_of(spec, root),
        root / f"{spec.folder_name}.log",
        home=home,
        environment={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)},
    )


def _is_finished(spec: RunSpec, root: Path) -> bool:
    return (root / spec.folder_name / "result.json").exists()


def _state(
    spec: RunSpec,
    root: Path,
    working: dict[str, Process],
    failed: dict[str, str],
) -> RunState:
    name = spec.folder_name
    folder = root / name
    history = read_history(folder / "metrics.jsonl")
    if name in failed:
        return RunState(spec, folder, "failed", history, error=failed[name])
    if _is_finished(spec, root):
        return RunState(spec, folder, "done", history, read_json(folder / "result.json"))
    return RunState(spec, folder, "running" if name in working else "waiting", history)
