"""The local engine with workers that only pretend: order, slots, failures, deaths, two drivers."""

import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from kdviz.runs.matrix import local
from kdviz.runs.matrix.attempts import read_attempts
from kdviz.runs.matrix.local import execute
from kdviz.runs.matrix.places import attempts_file, spec_file
from kdviz.runs.matrix.spec import MatrixSpec, cells
from kdviz.runs.matrix.state import retry, states
from kdviz.runs.matrix.watch import table, watch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and locks of Unix")

GOOD = ("waiting", "running", "done")

PRETENDER = """
import json, os, signal, sys, time
from pathlib import Path
from kdviz.runs.matrix.attempts import attempt, end_attempt
folder = Path(sys.argv[1])
behaviour = Path("behaviour", folder.name)
how = behaviour.read_text() if behaviour.exists() else "works"
if how == "crashes at once": raise SystemExit("no such module")
with attempt(folder) as alone:
    if not alone: raise SystemExit(75)
    place = os.environ["CUDA_VISIBLE_DEVICES"]
    with open("trace.txt", "a") as trace: trace.write(f"begin {folder.name} {place}\\n")
    signal.signal(signal.SIGTERM, lambda *_: (end_attempt(folder, "interrupted"), os._exit(75)))
    time.sleep(0.3)
    if how == "is killed": os.kill(os.getpid(), signal.SIGKILL)
    if how == "is killed once":
        behaviour.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs": time.sleep(60)
    with open("trace.txt", "a") as trace: trace.write(f"end {folder.name} {place}\\n")
    if how == "fails":
        end_attempt(folder, "failed", "In [3]: ValueError: no")
        raise SystemExit(1)
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({"metrics": {"AP": 0.5}}))
    (folder / "notebook.ipynb").write_text("{}")
    end_attempt(folder, "done")
"""


@pytest.fixture
def content(tmp_path, monkeypatch, tiny):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    pretend = [sys.executable, "-c", PRETENDER]
    monkeypatch.setattr(local, "command_of", lambda folder: [*pretend, str(folder)])
    Path("behaviour").mkdir()
    student = tiny["student"]
    return {
        "name": "tiny",
        "data": {"scenes": tiny["data"]},
        "pairs": {"fcos": {"student": student, "teacher": {**student, "weights": "none.pt"}}},
        "methods": ["none"],
        "seeds": [0, 1, 2],
        "train": tiny["train"],
    }


@pytest.fixture
def matrix(content):
    return MatrixSpec.model_validate(content)


def names(matrix):
    return [cell.spec.folder_name for cell in cells(matrix)]


def behave(name, how):
    Path("behaviour", name).write_text(how)


def trace():
    return [line.split(" ") for line in Path("trace.txt").read_text().splitlines()]


def most_at_once():
    working, most = 0, 0
    for what, *_ in trace():
        working += 1 if what == "begin" else -1
        most = max(most, working)
    return most


def last(stream):
    return [known for known in stream][-1]


def statuses(known):
    return [state.status for state in known]


@pytest.mark.parametrize("slots", [1, 2])
def test_all_run_in_order_within_their_slots(matrix, slots):
    seen = list(execute(matrix, slots=slots, poll=0.05))
    assert statuses(seen[-1]) == ["done"] * 3
    assert most_at_once() == slots
    begun = [name for what, name, _ in trace() if what == "begin"]
    assert begun == names(matrix) or slots > 1
    assert {status for known in seen for status in statuses(known)} <= {
        "waiting",
        "running",
        "done",
    }
    assert Counter(name for _, name, _ in trace()) == dict.fromkeys(names(matrix), 2)
    assert statuses(last(execute(matrix, slots=1))) == ["done"] * 3  # nothing is left to do
    assert len(trace()) == 6


def test_each_gpu_has_one_run_at_a_time(content, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,7")
    content["train"] = {**content["train"], "accelerator": "auto"}
    matrix = MatrixSpec.model_validate(content)
    last(execute(matrix, poll=0.05))
    assert {place for _, _, place in trace()} == {"3", "7"}
    for gpu in ("3", "7"):
        own = [what for what, _, place in trace() if place == gpu]
        assert own == ["begin", "end"] * (len(own) // 2)


def test_a_run_on_two_devices_takes_two(content, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,7,8")
    content["train"] = {**content["train"], "accelerator": "auto", "devices": 2}
    matrix = MatrixSpec.model_validate(content)
    last(execute(matrix, poll=0.05))
    assert most_at_once() == 1
    assert {place for _, _, place in trace()} == {"3,7"}


def test_a_failure_keeps_the_others_running_and_waits_for_retry(matrix):
    behave(names(matrix)[0], "fails")
    known = last(execute(matrix, slots=2, poll=0.05))
    assert statuses(known) == ["failed", "done", "done"]
    assert known[0].error == "In [3]: ValueError: no"
    last(execute(matrix, slots=2, poll=0.05))
    assert known[0].attempts == states(matrix)[0].attempts == 1
    Path("behaviour", names(matrix)[0]).unlink()
    retry(matrix)
    assert statuses(last(execute(matrix, slots=2, poll=0.05))) == ["done"] * 3


def test_a_killed_worker_gets_another_chance(matrix):
    behave(names(matrix)[1], "is killed once")
    known = last(execute(matrix, slots=2, poll=0.05))
    assert statuses(known) == ["done"] * 3
    assert [state.attempts for state in known] == [1, 2, 1]
    first, _ = read_attempts(known[1].folder)[0]
    assert first.ending == "killed"
    assert "SIGKILL" in first.error


def test_but_not_for_ever(matrix):
    behave(names(matrix)[1], "is killed")
    known = last(execute(matrix, slots=2, poll=0.05))
    assert statuses(known) == ["done", "failed", "done"]
    assert known[1].attempts == 3
    assert "killed 3 times in a row" in known[1].error


def test_a_worker_that_cannot_begin_fails_with_what_it_said(matrix):
    behave(names(matrix)[2], "crashes at once")
    known = last(execute(matrix, slots=2, poll=0.05))
    assert statuses(known) == ["done", "done", "failed"]
    assert "no such module" in known[2].error


def test_closing_asks_the_runs_to_stop(matrix):
    for name in names(matrix):
        behave(name, "hangs")
    with closing(execute(matrix, slots=2, poll=0.05)) as stream:
        for _ in stream:
            if Path("trace.txt").exists() and len(trace()) == 2:
                time.sleep(0.2)  # until they listen to signals
                break
    assert statuses(states(matrix)) == ["waiting"] * 3
    endings = [[x.ending for x in read_attempts(state.folder)[0]] for state in states(matrix)]
    assert endings == [["interrupted"], ["interrupted"], []]


def test_two_drivers_share_runs_and_slots(matrix):
    """Both look in turn; whoever starts a run, the other leaves it alone and its slot too."""
    one, other = (execute(matrix, slots=2, poll=0.05) for _ in range(2))
    list(zip(one, other, strict=False))
    list(other)
    list(one)
    assert statuses(states(matrix)) == ["done"] * 3
    assert Counter(name for _, name, _ in trace()) == dict.fromkeys(names(matrix), 2)


def test_the_spec_of_a_run_lies_beside_it_while_it_works(matrix):
    last(execute(matrix, slots=2, poll=0.05))
    for state in states(matrix):
        assert spec_file(state.folder).is_file()
        assert attempts_file(state.folder).is_file()


class TestWatch:
    def test_a_line_for_each_beginning_and_end(self, matrix):
        behave(names(matrix)[1], "fails")
        said = []
        known = watch(execute(matrix, slots=1, poll=0.05), said.append)
        first, second, third = names(matrix)
        words = [line.partition("] ")[2] for line in said]
        assert words == [
            f"started: {first}",
            f"done 1/3: {first}, AP 0.500",
            f"started: {second}",
            f"failed: {second}: In [3]: ValueError: no",
            f"started: {third}",
            f"done 2/3: {third}, AP 0.500",
        ]
        assert "2 done, 1 failed" in table(known)
        said.clear()
        watch(execute(matrix, slots=1, poll=0.05), said.append)
        assert [line.partition("] ")[2] for line in said] == [
            "2 of 3 runs are done already",
            f"failed: {second}: In [3]: ValueError: no",
        ]
