"""A run here, on as many devices as it asks for: in this process, or in one for each device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from kdviz.engine.train import Interrupted
from kdviz.files import write_atomically
from kdviz.runs import run as single
from kdviz.runs.spec import RunSpec

_TORCHRUN = """\
import ctypes, runpy, signal, sys
if sys.platform == "linux":  # ask to be stopped when whoever started us is gone: PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
runpy.run_module("torch.distributed.run", run_name="__main__", alter_sys=True)
"""


def run(spec: RunSpec, root: Path) -> Path:
    """Train, score and export what a spec describes; see `kdviz.runs.run.run`.

    A run with ``train.devices`` above 1 is started through torchrun, unless torchrun started us.

    Raises:
        kdviz.engine.train.Interrupted: SIGTERM came; the checkpoint is written.
        RuntimeError: the processes failed; says how they ended.
    """
    folder = root / spec.folder_name
    if spec.train.devices == 1 or "RANK" in os.environ or (folder / "result.json").exists():
        return single.run(spec, root)
    root.mkdir(parents=True, exist_ok=True)
    file = root / f"{spec.folder_name}.yaml"
    write_atomically(file, spec.to_yaml())
    with _torchrun(spec.train.devices, ["run", str(file), "--out", str(root)]) as process:
        code = process.wait()
    if not (folder / "result.json").exists():
        if process.asked:
            raise Interrupted("stopped; the same command goes on")
        raise RuntimeError(f"the processes of {folder} ended with code {code}; see their output")
    return folder


class _Processes(subprocess.Popen[bytes]):
    asked = False


@contextmanager
def _torchrun(devices: int, words: list[str]) -> Iterator[_Processes]:
    """Processes of one run, which get the SIGTERM that we get."""
    launcher = [sys.executable, "-c", _TORCHRUN, "--standalone", "--nproc-per-node", str(devices)]
    process = _Processes([*launcher, "-m", "kdviz.cli", *words], stdin=subprocess.DEVNULL)

    def ask(number: int, frame: FrameType | None) -> None:
        process.asked = True
        process.terminate()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield process
    finally:
        signal.signal(signal.SIGTERM, before)
        if process.poll() is None:
            process.terminate()
            process.wait()
