"""One run as a papermill notebook: ``python -m kdviz.runs.matrix.worker FOLDER``.

Its spec lies beside the folder, as `kdviz.runs.matrix.state.lay_out` puts it, and is read by the
notebook alone: a worker waits for hours, so it imports neither PyTorch nor the spec's checks.
Exit codes: 0 done, 1 failed, 75 interrupted or killed and worth the same command again. Asked to
stop (SIGTERM), it asks the notebook's kernel, which writes its checkpoint first. When it is killed,
its kernel notices within a second and ends, too: jupyter's kernels watch their parent.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError

from kdviz.runs.matrix.attempts import attempt, end_attempt, is_at_work, is_done
from kdviz.runs.matrix.places import NOTEBOOK, failed_notebook, spec_file
from kdviz.runs.suite import FOLDER, KERNEL

DONE, FAILED, TRY_AGAIN = 0, 1, 75

SOURCE = "65_reproduce"
"""The notebook that each run is."""


def command_of(folder: Path) -> list[str]:
    """The command of the worker for the run of a folder."""
    return [sys.executable, "-m", "kdviz.runs.matrix.worker", str(folder)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute the notebook of one run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Execute one run as a papermill notebook.")
    parser.add_argument("folder", type=Path, help="of the run; beside it lies FOLDER.yaml")
    parser.add_argument("--parent", type=int, help="stop when this process, the parent, has ended")
    options = parser.parse_args(arguments)
    if options.parent is not None:
        threading.Thread(target=_end_with, args=[options.parent], daemon=True).start()
    return work(options.folder)


def work(folder: Path) -> int:
    """Bring the run of a folder to its end, or as far as this process lives."""
    if is_done(folder) or is_at_work(folder):  # perhaps by a plain `kdviz run`
        return _left_alone(folder)
    with attempt(folder) as ours:
        if not ours:
            return _left_alone(folder)
        return _execute(folder, {"spec": str(spec_file(folder)), "root": str(folder.parent)})


def _execute(folder: Path, parameters: dict[str, Any]) -> int:
    # Hidden while it grows: a reader finds whole notebooks alone.
    growing = folder.with_name(f".{folder.name}.partial.ipynb")
    with _Stop() as stop:
        try:
            execute_notebook(
                FOLDER / f"{SOURCE}.ipynb",
                growing,
                parameters=parameters,
                language="python",
                kernel_manager_class=_Kernel,
                **KERNEL,
            )
        except PapermillExecutionError as error:
            if stop.asked or error.ename in ("Interrupted", "Busy"):
                return _interrupted(folder, growing)
            told = f"In [{error.exec_count}]: {error.ename}: {error.evalue}"
        except DeadKernelError:
            if stop.asked:
                return _interrupted(folder, growing)
            os.replace(growing, failed_notebook(folder))
            end_attempt(folder, "killed", "the notebook's kernel died")
            return TRY_AGAIN
        except Exception as error:
            if stop.asked:
                return _interrupted(folder, growing)
            told = f"{type(error).__name__}: {error}"
        else:
            os.replace(growing, folder / NOTEBOOK)
            failed_notebook(folder).unlink(missing_ok=True)
            end_attempt(folder, "done")
            return DONE
    with suppress(FileNotFoundError):
        os.replace(growing, failed_notebook(folder))
    end_attempt(folder, "failed", told)
    print(told, file=sys.stderr)
    return FAILED


def _left_alone(folder: Path) -> int:
    if is_done(folder):
        print(f"{folder} is done already")
        return DONE
    print(f"another process is at work on {folder}")
    return TRY_AGAIN


def _interrupted(folder: Path, growing: Path) -> int:
    growing.unlink(missing_ok=True)
    end_attempt(folder, "interrupted")
    print(f"{folder} was interrupted; the same command goes on")
    return TRY_AGAIN


class _Kernel(AsyncKernelManager):
    """Starts the kernel, and remembers it so that a request to stop can reach it."""

    last: ClassVar[_Kernel | None] = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _Kernel.last = self

    @property
    def pid(self) -> int | None:
        """Of the kernel's process; None before its start and after its end."""
        return getattr(self.provisioner, "pid", None)


class _Stop:
    """Passes SIGTERM on to the kernel, once there is one."""

    asked = False

    def __enter__(self) -> _Stop:
        self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = True
            threading.Thread(target=_ask_kernel, daemon=True).start()


def _end_with(parent: int) -> None:
    """Take the end of the parent for a request to stop: whoever gave the place is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _ask_kernel() -> None:
    while _Kernel.last is None or _Kernel.last.pid is None:
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.kill(_Kernel.last.pid, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
