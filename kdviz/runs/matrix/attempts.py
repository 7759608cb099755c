"""Every attempt at a run, as lines of a file beside its folder; nobody keeps them elsewhere.

The lines of one attempt are its start and, if it lived to write one, its end. A worker holds the
file locked while it works, so a start without an end and without a lock is of a worker that died.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kdviz.runs.locks import is_locked, locked
from kdviz.runs.matrix.places import NOTEBOOK, attempts_file

Ending = Literal["done", "failed", "interrupted", "killed"]

MOST_DEATHS = 3
"""Attempts in a row that may be killed before a run counts as failed."""


@dataclass(frozen=True)
class Attempt:
    """One try to bring a run to its end.

    Attributes:
        host: name of the machine.
        pid: of the worker's process there.
        devices: its ``CUDA_VISIBLE_DEVICES``; None without.
        ending: how it ended; None where nobody wrote an end: it is at work, or died unseen.
        error: what it failed with.
    """

    host: str
    pid: int
    devices: str | None
    ending: Ending | None = None
    error: str = ""


@contextmanager
def attempt(folder: Path) -> Iterator[bool]:
    """Be the one that works on a run, from the start on record.

    Gives False where another process is at work, or has done it while we waited.
    """
    path = attempts_file(folder)
    with locked(path) as alone:
        ours = alone and not is_done(folder)
        if ours:
            _append(path, {"event": "started", **_here()})
        yield ours


def end_attempt(folder: Path, ending: Ending, error: str = "") -> None:
    """Write how the last attempt ended."""
    _append(attempts_file(folder), {"event": ending, "error": error})


def record_death(folder: Path, error: str, attempts_before: int) -> None:
    """Put on record that a worker ended, if it could not do so itself.

    Args:
        folder: of the run.
        error: what was seen of it.
        attempts_before: how many attempts were on record when the worker was started. One that did
            not come as far as to begin another would not the next time, so the run has failed.
    """
    attempts, _ = read_attempts(folder)
    if len(attempts) == attempts_before:
        _append(attempts_file(folder), {"event": "started", **_here()})
        end_attempt(folder, "failed", error)
    elif attempts[-1].ending is None:
        end_attempt(folder, "killed", error)


def forget_failures(folder: Path) -> None:
    """Let a failed run be tried again; what it failed with stays on record."""
    _append(attempts_file(folder), {"event": "retried"})


def read_attempts(folder: Path) -> tuple[list[Attempt], list[Attempt]]:
    """All attempts at a run, oldest first, and those of them that count: since the last retry."""
    path = attempts_file(folder)
    attempts: list[Attempt] = []
    forgotten = 0
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            record: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:  # a dying worker's last word
            continue
        match record["event"]:
            case "started":
                attempts.append(Attempt(record["host"], record["pid"], record["devices"]))
            case "retried":
                forgotten = len(attempts)
            case ending if attempts:
                attempts[-1] = replace(attempts[-1], ending=ending, error=record["error"])
    return attempts, attempts[forgotten:]


def failure(attempts: list[Attempt]) -> str | None:
    """What the attempts that count failed with; None if the run is worth another one."""
    if attempts and attempts[-1].ending == "failed":
        return attempts[-1].error
    last = attempts[-MOST_DEATHS:]
    if len(last) == MOST_DEATHS and all(one.ending in (None, "killed") for one in last):
        told = last[-1].error or "nobody saw how"
        return (
            f"killed {MOST_DEATHS} times in a row (is there enough memory?); the last time: {told}"
        )
    return None


def is_done(folder: Path) -> bool:
    """Whether a run has its result and its notebook."""
    return (folder / "result.json").exists() and (folder / NOTEBOOK).exists()


def is_at_work(folder: Path) -> bool:
    """Whether a worker, or a plain ``kdviz run``, is at work on a run."""
    return is_locked(attempts_file(folder)) or is_locked(folder)


def _here() -> dict[str, Any]:
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {"host": socket.gethostname(), "pid": os.getpid(), "devices": devices}


def _append(path: Path, record: dict[str, Any]) -> None:
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with path.open("a") as file:
        file.write("\n" * torn + json.dumps({**record, "time": stamp}) + "\n")
