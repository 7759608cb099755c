"""What ``kdviz matrix`` does; imports are inside: ``kdviz --help`` need not wait for PyTorch."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from kdviz.cli.answer import FAILED, OK, Answer

if TYPE_CHECKING:
    from kdviz.runs.matrix.spec import MatrixSpec
    from kdviz.runs.matrix.watch import Stream


def plan(options: argparse.Namespace) -> Answer:
    """Say what a matrix will take, before anything starts."""
    from kdviz.runs.matrix.plan import plan_matrix, table
    from kdviz.runs.matrix.slots import slots_for

    matrix = _matrix(options)
    slots = len(slots_for(matrix, options.slots))
    planned = plan_matrix(matrix, options.out, slots=slots)
    return Answer(planned.as_dict(), table(planned))


def run(options: argparse.Namespace) -> Answer:
    """Run what is not done; failed runs are left alone."""
    from kdviz.runs.matrix.watch import as_dict, table, watch

    matrix = _matrix(options)
    with _ending_as_by_ctrl_c():
        known = watch(_engine(matrix, options))
    failed = [state for state in known if state.status == "failed"]
    if failed:
        told = (
            f"{len(failed)} failed; see their notebooks, then: kdviz matrix retry {options.matrix}"
        )
        print(told, file=sys.stderr)
    return Answer([as_dict(state) for state in known], table(known), FAILED if failed else OK)


def status(options: argparse.Namespace) -> Answer:
    """Say how far each run is; starts nothing."""
    from kdviz.runs.matrix.state import states
    from kdviz.runs.matrix.watch import as_dict, table

    known = states(_matrix(options), options.out)
    return Answer([as_dict(state) for state in known], table(known))


def retry(options: argparse.Namespace) -> Answer:
    """Let the failed runs be tried again, and run what is not done."""
    from kdviz.runs.matrix.state import retry

    failed = retry(_matrix(options), options.out)
    print(f"{len(failed)} failed runs are tried again", file=sys.stderr)
    return run(options)


def report(options: argparse.Namespace) -> Answer:
    """Write the page of a matrix, and print its path or a table."""
    from kdviz.runs.matrix.report import report_table, write_report

    matrix = _matrix(options)
    page = write_report(matrix, options.out)
    told = report_table(matrix, options.out, options.form) if options.form else str(page)
    return Answer({"page": str(page)}, told)


def _matrix(options: argparse.Namespace) -> MatrixSpec:
    from kdviz.runs.matrix.spec import load_matrix

    return load_matrix(options.matrix, options.overrides)


def _engine(matrix: MatrixSpec, options: argparse.Namespace) -> Stream:
    if options.engine == "local" and options.scheduler is None:
        from kdviz.runs.matrix import local

        return local.execute(matrix, options.out, slots=options.slots)
    try:
        from kdviz.runs.matrix import dask
    except ImportError as error:
        hint = f"the Dask engine needs {error.name}: pip install 'kdviz[dask]'"
        raise ImportError(hint) from error
    return dask.execute(matrix, options.out, scheduler=options.scheduler, slots=options.slots)


@contextmanager
def _ending_as_by_ctrl_c() -> Iterator[None]:
    """A scheduler's request to end, or a closed terminal, stops the runs as Ctrl-C does."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
