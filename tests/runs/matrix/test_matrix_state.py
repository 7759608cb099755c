"""The state of runs is read from hand-made folders, and says what happened to each."""

import json
import os
import subprocess
import sys

import pytest

from kdviz.files import write_json_atomically
from kdviz.runs.locks import is_locked, locked
from kdviz.runs.matrix import state as state_module
from kdviz.runs.matrix.attempts import (
    attempt,
    end_attempt,
    read_attempts,
    record_death,
)
from kdviz.runs.matrix.places import attempts_file, failed_notebook, spec_file
from kdviz.runs.matrix.spec import MatrixSpec, cells
from kdviz.runs.matrix.state import lay_out, retry, states
from kdviz.runs.matrix.worker import DONE, TRY_AGAIN, work
from kdviz.runs.spec import load_spec


@pytest.fixture
def matrix(tmp_path, monkeypatch, tiny):
    monkeypatch.chdir(tmp_path)
    student = tiny["student"]
    return MatrixSpec.model_validate(
        {
            "name": "tiny",
            "data": {"scenes": tiny["data"]},
            "pairs": {"fcos": {"student": student, "teacher": {**student, "weights": "x"}}},
            "methods": ["none"],
            "seeds": [0],
            "train": tiny["train"],
        }
    )


@pytest.fixture
def folder(matrix):
    home = lay_out(matrix)
    return home / cells(matrix)[0].spec.folder_name


def state(matrix):
    (only,) = states(matrix)
    return only


def tried(folder, ending=None, error=""):
    with attempt(folder) as alone:
        assert alone
        if ending:
            end_attempt(folder, ending, error)


def finish(folder, notebook=True):
    folder.mkdir(exist_ok=True)
    write_json_atomically(folder / "result.json", {"metrics": {"AP": 0.5}})
    if notebook:
        (folder / "notebook.ipynb").write_text("{}")


class TestStates:
    def test_before_anything(self, matrix):
        now = state(matrix)
        assert (now.status, now.attempts, now.step) == ("waiting", 0, 0)

    def test_a_worker_holds_its_run(self, matrix, folder):
        with attempt(folder):
            assert state(matrix).status == "running"
        assert state(matrix).status == "waiting"

    def test_a_plain_run_holds_it_too(self, matrix, folder):
        folder.mkdir()
        with locked(folder):
            assert state(matrix).status == "running"

    def test_step_of_the_history(self, matrix, folder):
        folder.mkdir()
        lines = "".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(4))
        (folder / "metrics.jsonl").write_text(lines + '{"step": 4, "lo')
        assert state(matrix).step == 4

    def test_done_with_result_and_notebook(self, matrix, folder):
        finish(folder)
        assert state(matrix).status == "done"
        assert state(matrix).result == {"metrics": {"AP": 0.5}}
        assert state(matrix).notebook == folder / "notebook.ipynb"
        assert state(matrix).step == 7

    def test_a_plain_run_still_wants_its_notebook(self, matrix, folder):
        finish(folder, notebook=False)
        assert state(matrix).status == "waiting"
        assert state(matrix).result is not None

    def test_failed_with_error_and_notebook_and_tried_again(self, matrix, folder):
        tried(folder, "failed", "In [3]: ValueError: no")
        failed_notebook(folder).write_text("{}")
        assert state(matrix).status == "failed"
        assert state(matrix).error == "In [3]: ValueError: no"
        assert state(matrix).notebook == failed_notebook(folder)
        assert [one.status for one in retry(matrix)] == ["failed"]
        assert (state(matrix).status, state(matrix).attempts) == ("waiting", 1)
        assert read_attempts(folder)[0][0].error == "In [3]: ValueError: no"  # kept on record
        tried(folder, "failed", "again")
        assert (state(matrix).error, state(matrix).attempts) == ("again", 2)

    def test_an_interrupted_one_waits(self, matrix, folder):
        tried(folder, "failed", "no")
        tried(folder, "interrupted")
        assert state(matrix).status == "waiting"

    @pytest.mark.parametrize("seen", [True, False])
    def test_three_deaths_in_a_row_are_a_failure(self, matrix, folder, seen):
        for number in range(3):
            assert state(matrix).status == "waiting"
            tried(folder)
            if seen:
                record_death(folder, "killed by SIGKILL", number)
        assert state(matrix).status == "failed"
        assert "killed 3 times in a row" in state(matrix).error
        assert ("SIGKILL" in state(matrix).error) == seen
        retry(matrix)
        assert state(matrix).status == "waiting"

    def test_deaths_between_interruptions_are_none(self, matrix, folder):
        for ending in (None, None, "interrupted", None, None):
            tried(folder, ending)
        assert state(matrix).status == "waiting"

    def test_a_worker_that_could_not_begin_has_failed(self, matrix, folder):
        record_death(folder, "exit code 1\nno module", 0)
        assert state(matrix).status == "failed"
        assert "no module" in state(matrix).error

    def test_a_half_written_line_is_skipped_and_followed(self, matrix, folder):
        tried(folder, "interrupted")
        with attempts_file(folder).open("a") as file:
            file.write('{"event": "star')
        tried(folder, "failed", "no")
        assert state(matrix).attempts == 2
        assert state(matrix).error == "no"

    def test_every_run_has_its_spec_beside_its_folder(self, matrix, folder):
        assert load_spec(spec_file(folder)) == cells(matrix)[0].spec
        assert load_spec(spec_file(folder)).folder_name == folder.name

    def test_in_words(self, matrix, folder):
        assert state_module.in_words(states(matrix)) == "1 waiting"


class TestLocks:
    def test_one_at_a_time(self, tmp_path):
        path = tmp_path / "lock"
        with locked(path) as first, locked(path) as second:
            assert first
            assert not second
            assert is_locked(path)
        assert not is_locked(path)

    def test_the_end_of_a_process_frees_them(self, tmp_path):
        code = (
            "import sys; from pathlib import Path; from kdviz.runs.locks import locked\n"
            "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline() == b"held\n"
        assert is_locked(tmp_path)
        process.kill()
        process.communicate()
        assert not is_locked(tmp_path)

    def test_a_look_keeps_nobody_out(self, tmp_path):
        """A look takes the lock for an instant, and the one who wants it asks again."""
        path = tmp_path / "lock"
        looking = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl = pytest.importorskip("fcntl")
        fcntl.flock(looking, fcntl.LOCK_SH)
        import threading

        threading.Timer(0.2, os.close, [looking]).start()
        with locked(path) as alone:
            assert alone

    def test_looking_makes_no_file(self, tmp_path):
        assert not is_locked(tmp_path / "none")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["worker", "dask_task"])
def test_who_only_waits_imports_no_pytorch(module):
    pytest.importorskip("distributed")
    told = f"import sys, kdviz.runs.matrix.{module}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True)
    assert answer.stdout.decode().strip() == "False"


class TestWorkerWithoutWork:
    def test_a_done_run_is_left_alone(self, matrix, folder, capsys):
        finish(folder)
        assert work(folder) == DONE
        assert "done already" in capsys.readouterr().out
        assert not attempts_file(folder).exists()

    def test_a_second_worker_stays_out(self, matrix, folder, capsys):
        with attempt(folder):
            assert work(folder) == TRY_AGAIN
        assert "another process is at work" in capsys.readouterr().out
        assert len(read_attempts(folder)[0]) == 1

    def test_a_plain_run_at_work_is_left_alone(self, matrix, folder):
        folder.mkdir()
        with locked(folder):
            assert work(folder) == TRY_AGAIN
        assert not attempts_file(folder).exists()
