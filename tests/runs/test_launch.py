"""A run on two devices is started through torchrun, and stops when it is asked to."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kdviz.engine.history import read_history
from kdviz.engine.train import Interrupted
from kdviz.runs import launch
from kdviz.runs.spec import parse_spec


@pytest.fixture
def spread(tiny, tmp_path, monkeypatch):
    """A run of two processes on the CPU."""
    monkeypatch.chdir(tmp_path)
    tiny["train"] |= {"devices": 2, "steps": 30, "checkpoint_every": 1}
    return parse_spec(tiny)


def test_one_device_needs_no_other_process(tiny, workplace, monkeypatch):
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda *_, **__: pytest.fail("started"))
    monkeypatch.setattr("kdviz.runs.run.environment", dict)  # asks git for the commit
    folder = launch.run(parse_spec(tiny), Path("runs"))
    assert (folder / "result.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_two_devices_are_stopped_and_go_on(spread):
    folder = Path("runs") / spread.folder_name

    def stop_in_the_middle():
        while not (folder / "last.ckpt").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_in_the_middle, daemon=True).start()
    with pytest.raises(Interrupted):
        launch.run(spread, Path("runs"))
    assert not (folder / "result.json").exists()
    launch.run(spread, Path("runs"))
    result = json.loads((folder / "result.json").read_text())
    assert result["metrics"]["AP"] >= 0
    steps = [record["step"] for record in read_history(folder / "metrics.jsonl")]
    assert steps == list(range(30))


def test_processes_that_fail_are_an_error_and_no_result(spread, monkeypatch):
    monkeypatch.setattr(launch, "_TORCHRUN", "import sys; sys.exit(3)")
    with pytest.raises(RuntimeError, match="ended with code 3"):
        launch.run(spread, Path("runs"))
