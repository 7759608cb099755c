"""What a Dask worker does; it imports no PyTorch, which only the notebook's kernel needs."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from distributed import Event

from kdviz.runs.matrix.attempts import read_attempts, record_death
from kdviz.runs.matrix.places import log_file
from kdviz.runs.matrix.worker import DONE, TRY_AGAIN, command_of
from kdviz.runs.processes import last_words, start, stop

_LOOK = 0.5  # seconds from one look at the run to the next


def run_cell(folder: str, here: str, token: str) -> int:
    """What a Dask worker does for one run: the same command as the local engine.

    Args:
        folder: of the run; its spec lies beside it.
        here: folder that the command is started in; relative paths of specs hold there.
        token: name of the event that asks it to stop.

    Returns:
        The worker's exit code.
    """
    run = Path(folder)
    command = [*command_of(run), "--parent", str(os.getpid())]
    before = len(read_attempts(run)[0])
    own = log_file(run).with_name(f"{run.name}.{uuid.uuid4().hex[:8]}.log")
    process = start(command, own, home=Path(here))
    try:
        asked = Event(token)
        while process.poll() is None:
            if asked.is_set():
                break
            time.sleep(_LOOK)
    finally:
        if process.poll() is None:
            stop([process])
        code = process.wait()
        if code not in (DONE, TRY_AGAIN):
            record_death(run, f"exit code {code}\n{last_words(own)}", before)
        os.replace(own, log_file(run))
    return code
