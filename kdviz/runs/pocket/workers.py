"""Processes that have imported everything when they begin: a minute is not long."""

from __future__ import annotations

from multiprocessing import forkserver, get_all_start_methods, get_context
from multiprocessing.context import BaseContext

WORK = "kdviz.runs.pocket.trial"


def context() -> BaseContext:
    """How workers are started: forked from a server that has imported their work and done no more.

    Where a system cannot fork, each is a fresh process and imports for itself.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    found = get_context("forkserver")
    found.set_forkserver_preload([WORK])
    return found


def get_ready() -> None:
    """Let the server import while this process does; it needs nothing of PyTorch for that."""
    if context().get_start_method() == "forkserver":
        forkserver.ensure_running()
