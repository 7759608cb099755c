"""Commands as processes of this machine: out of the terminal's reach, and stopped with patience."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_LAST_LINES = 12
_PATIENCE = 30.0  # seconds that a stopped run has to write its checkpoint

Process = subprocess.Popen[bytes]


def start(
    command: Sequence[str],
    log: Path,
    *,
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """Start a command that writes into a log.

    Args:
        command: the words of it.
        log: file for all that it says; begun anew.
        home: folder it is started in; this process's own if not given.
        environment: variables beside those of this process.
    """
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=home,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # Else Ctrl-C would reach the run itself, which then dies before its next checkpoint.
            start_new_session=True,
        )


def stop(processes: Sequence[Process]) -> None:
    """Ask processes to end, all at once, and end those that take too long."""
    deadline = time.monotonic() + _PATIENCE
    for process in processes:
        process.terminate()
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            process.kill()  # no harm to one that has ended
            process.wait()


def last_words(log: Path) -> str:
    """The last lines of a log, without progress bars painted over each other."""
    text = re.sub(r"[^\n]*\r", "", log.read_text(errors="replace"))
    return "\n".join(text.strip().splitlines()[-_LAST_LINES:])
