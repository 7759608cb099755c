"""Who is at work where: locks that the system takes back when their process ends, however it ends.

A look at a lock takes it for an instant, so whoever wants it asks again for a moment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 1.0  # seconds


class Busy(RuntimeError):
    """Another process is at this work; the same command is worth another try."""


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a file or folder against other processes, until the block or this process ends.

    Gives False, and holds nothing, where another process has it. Where the system has no such
    locks, everybody gets True.

    Args:
        path: a file, which is made if it is missing, or a folder; nothing is written into it.
    """
    if sys.platform == "win32":
        yield True
        return
    import fcntl

    lock = _open(path)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not (held := _try(lock, fcntl.LOCK_EX)) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield held
    finally:
        os.close(lock)


def is_locked(path: Path) -> bool:
    """Whether a process holds the file or folder; not if there is none."""
    if sys.platform == "win32" or not path.exists():
        return False
    import fcntl

    lock = _open(path)
    try:
        return not _try(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    # Network file systems lock only what is open for writing; folders cannot be.
    writing = not path.is_dir() and (not path.exists() or os.access(path, os.W_OK))
    return os.open(path, os.O_RDWR | os.O_CREAT if writing else os.O_RDONLY, 0o644)


def _try(lock: int, kind: int) -> bool:
    import fcntl

    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
