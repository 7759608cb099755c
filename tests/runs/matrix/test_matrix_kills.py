"""Workers and drivers are killed; every run ends once, with the numbers of a serial run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from kdviz.cli import FAILED, OK, TRY_AGAIN, main
from kdviz.runs.matrix.attempts import read_attempts
from kdviz.runs.matrix.spec import cells
from kdviz.runs.matrix.state import states
from kdviz.runs.prepare import CACHE
from kdviz.runs.run import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and locks of Unix"),
]

STEPS = 40
PATIENCE = 300  # seconds, on a machine that does other things too


@pytest.fixture
def matrix(tiny_matrix):
    return tiny_matrix(STEPS)


@pytest.fixture
def drivers():
    """Starts ``kdviz matrix run``; what is left of it afterwards is killed."""
    started = []

    def start(slots):
        command = ["matrix", "run", "matrix.yaml", "--slots", str(slots)]
        with Path("driver.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "kdviz.cli", *command], stdout=log, stderr=log
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(condition, *processes):
    """Wait for something to be so, and say what the driver said if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        alive = all(process.poll() is None for process in processes)
        hopeless = not alive or time.monotonic() > deadline
        assert not hopeless, Path("driver.log").read_text()
        time.sleep(0.05)


def in_the_middle(state):
    """Whether a run has a checkpoint, and steps before and after it."""
    begun = state.step > 1 and (state.folder / "last.ckpt").exists()
    return state.status == "running" and begun and state.result is None


def children(pid):
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listing.stdout.split()]


def is_gone(pid):
    """Whether a process has ended; one that nobody waits for stays as a name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def check_ended_once(matrix, told):
    """Every run is done, once, and gave what it gives without any engine."""

    def check():
        for state in states(matrix):
            assert state.status == "done"
            endings = [one.ending for one in read_attempts(state.folder)[0]]
            assert endings.count("done") == 1
            assert told(state.folder) == told(run(state.cell.spec, Path("serial")))
            notebook = nbformat.read(state.notebook, as_version=4)
            assert notebook.metadata.papermill.exception is None
            assert notebook.metadata.papermill.parameters["root"] == str(Path("runs/tiny"))
        assert not list(Path("runs/tiny").glob(".*"))  # nothing half-written

    return check


def test_workers_and_drivers_are_killed(matrix, drivers, check_ended_once):
    one, other = (Path("runs/tiny") / cell.spec.folder_name for cell in cells(matrix))
    driver = drivers(1)
    until(lambda: in_the_middle(states(matrix)[0]), driver)
    driver.kill()
    driver.wait()
    driver = drivers(1)
    # The worker goes on without its driver and keeps the only slot.
    until(lambda: states(matrix)[0].status == "done", driver)
    assert len(read_attempts(one)[0]) == 1
    until(lambda: in_the_middle(states(matrix)[1]), driver)
    worker = read_attempts(other)[0][0].pid
    (kernel,) = children(worker)
    os.kill(worker, signal.SIGKILL)
    until(lambda: is_gone(kernel))
    assert driver.wait(PATIENCE) == OK
    first, second = read_attempts(other)[0]
    assert first.ending == "killed"
    assert "SIGKILL" in first.error
    assert second.ending == "done"
    check_ended_once()


def test_a_driver_that_is_asked_to_end_is_followed_by_another(matrix, drivers, check_ended_once):
    """Beside it, a run that a plain ``kdviz run`` finished gets its notebook and nothing else."""
    plain = run(cells(matrix)[0].spec, Path("runs/tiny"))
    weights = (plain / "student.safetensors").stat().st_mtime_ns
    driver = drivers(1)
    until(lambda: in_the_middle(states(matrix)[1]), driver)
    driver.terminate()
    assert driver.wait(PATIENCE) == TRY_AGAIN
    done, waiting = states(matrix)
    assert (done.status, waiting.status) == ("done", "waiting")
    assert done.notebook.exists()
    assert (plain / "student.safetensors").stat().st_mtime_ns == weights
    (attempt,) = read_attempts(waiting.folder)[0]
    assert attempt.ending == "interrupted"
    assert "each writes its checkpoint first" in Path("driver.log").read_text()
    assert 1 < waiting.step < STEPS
    assert drivers(2).wait(PATIENCE) == OK
    assert (plain / "student.safetensors").stat().st_mtime_ns == weights
    check_ended_once()


def test_a_failed_run_keeps_its_notebook_and_is_retried(matrix, capsys):
    """A spec that nobody can train: the notebook says so in its failing cell."""
    words = [
        "matrix.yaml",
        "seeds=[0]",
        "train.steps=3",
        "data.scenes={path: nowhere}",
        "--slots",
        "1",
    ]
    assert main(["matrix", "run", *words]) == FAILED
    assert "kdviz matrix retry matrix.yaml" in capsys.readouterr().err
    (failed,) = Path("runs/tiny").glob("*.failed.ipynb")
    notebook = nbformat.read(failed, as_version=4)
    assert "FileNotFoundError" in notebook.cells[0].source + json.dumps(notebook)
    assert main(["matrix", "status", "--json", *words[:-2]]) == OK
    (state,) = json.loads(capsys.readouterr().out)
    assert state["status"] == "failed"
    assert state["error"].startswith("In [")
    assert "nowhere" in state["error"]
    assert state["notebook"] == str(failed)
    before = failed.stat().st_mtime_ns
    assert main(["matrix", "run", *words]) == FAILED  # at once: nothing is tried again
    assert failed.stat().st_mtime_ns == before
    folder = Path("nowhere")
    shutil.copytree(next(CACHE.glob("scenes-*")), folder)
    assert main(["matrix", "retry", *words]) == OK
    assert not failed.exists()
