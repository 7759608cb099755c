"""Runs over Dask's workers end once each, with the numbers of a serial run, whoever is killed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from kdviz.runs.matrix.state import states
from kdviz.runs.run import run

_SERIAL: dict = {}  # what a run gives without any engine; found out once
DRIVER = """
import sys
from pathlib import Path
from kdviz.runs.matrix import dask
from kdviz.runs.matrix.spec import load_matrix
for known in dask.execute(load_matrix(Path("matrix.yaml")), scheduler=sys.argv[1] or None, slots=1):
    print([state.status for state in known], flush=True)
"""


@pytest.fixture
def matrix(tiny_matrix):
    return tiny_matrix(steps=12)


@pytest.fixture
def check_ended_once(told):
    def check(matrix):
        for state in states(matrix):
            assert state.status == "done"
            if state.folder.name not in _SERIAL:
                _SERIAL[state.folder.name] = told(run(state.cell.spec, Path("serial")))
            assert told(state.folder) == _SERIAL[state.folder.name]
            endings = re.findall(r'"event": "done"', _attempts(state.folder).read_text())
            assert len(endings) == 1

    return check


def _attempts(folder):
    return folder.with_name(f"{folder.name}.attempts.jsonl")


def driver(scheduler=""):
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, scheduler], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def until_a_step_is_done(matrix, process, but="", patience=300):
    """Wait until some run, but one, has a checkpoint; gives its state."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        for state in states(matrix):
            begun = state.status == "running" and state.folder.name != but
            if begun and (state.folder / "last.ckpt").exists():
                return state
        time.sleep(0.05)
    pytest.fail(f"no run came to a checkpoint: {process.communicate(timeout=5)[0].decode()}")


def children(pid):
    """Processes below a process, itself not counted: (pid, command)."""
    listing = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    found, below = [], {pid}
    for _ in range(6):  # deeper than any tree here
        for child, parent, command in rows:
            if int(parent) in below and int(child) not in below:
                below.add(int(child))
                found.append((int(child), command))
    return found


def _own(pid):
    """Direct children of a process."""
    listing = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True
    ).stdout
    return [tuple(line.split(None, 1)) for line in listing.splitlines()]


def test_the_driver_and_then_a_dask_worker_are_killed(matrix, check_ended_once):
    first = driver()
    state = until_a_step_is_done(matrix, first)
    first.kill()
    first.communicate()
    deadline = time.monotonic() + 60
    while states(matrix)[0].status == "running" and time.monotonic() < deadline:
        time.sleep(0.2)  # its worker sees that nobody is there any more
    assert states(matrix)[0].status in ("waiting", "done")
    assert (state.folder / "last.ckpt").exists()
    second = driver()
    until_a_step_is_done(matrix, second, but=state.folder.name)
    # The nanny's child is Dask's worker: the parent of our run.
    owners = [pid for pid, _ in children(second.pid)
              if any("matrix.worker" in command for _, command in _own(pid))]  # fmt: skip
    os.kill(owners[-1], signal.SIGKILL)
    output = second.communicate(timeout=240)[0].decode()
    assert second.returncode == 0, output
    check_ended_once(matrix)


def test_the_scheduler_is_killed_and_another_one_goes_on(matrix, check_ended_once):
    with _scheduler() as (first, address), _worker(address):
        process = driver(address)
        until_a_step_is_done(matrix, process)
        first.kill()
        output = process.communicate(timeout=120)[0].decode()
    assert process.returncode != 0
    assert "is gone" in output
    with _scheduler() as (_, address), _worker(address):
        again = driver(address)
        output = again.communicate(timeout=240)[0].decode()
    assert again.returncode == 0, output
    check_ended_once(matrix)


def test_no_scheduler_there_is_told(matrix):
    from kdviz.runs.matrix import dask

    with pytest.raises(OSError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        next(dask.execute(matrix, scheduler="tcp://127.0.0.1:1"))


class _Started:
    def __init__(self, command, waits_for):
        log = Path(f"{command[3]}-{time.monotonic_ns()}.log")
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file)
        while waits_for not in (said := log.read_text()):
            if self.process.poll() is not None:
                pytest.fail(f"{command} ended: {said}")
            time.sleep(0.05)
        self.said = said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class _scheduler(_Started):
    def __init__(self):
        command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        super().__init__([sys.executable, "-m", "dask", *command], "Scheduler at:")
        self.address = re.search(r"tcp://[\d.:]+", self.said)[0]

    def __enter__(self):
        return self.process, self.address


class _worker(_Started):
    def __init__(self, address):
        command = ["worker", address, "--nthreads", "1", "--no-dashboard", "--death-timeout", "10"]
        super().__init__([sys.executable, "-m", "dask", *command], "Registered to:")
