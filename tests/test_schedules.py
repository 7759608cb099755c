"""The scheduling examples: what they start exists, and is given parameters that it has."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest
import yaml

from kdviz.cli.parser import parse
from kdviz.runs.matrix.spec import load_matrix
from kdviz.runs.spec import load_spec
from kdviz.runs.suite import notebook_parameters

HOME = Path(__file__).parent.parent
SCHEDULES = HOME / "notebooks" / "recipes" / "schedules"


def commands_of(text: str, program: str) -> list[list[str]]:
    """Words after ``program`` of each of its commands in a text."""
    lines = re.findall(rf"(?:^|/){program} (.+)$", text.replace("\\\n", " "), re.MULTILINE)
    return [shlex.split(line.split(" >> ")[0]) for line in lines]


def test_papermill_executes_a_run(tiny, tmp_path):
    """As the README has it, on a run of seven steps."""
    text = (SCHEDULES / "README.md").read_text()
    ((notebook, _, *rest),) = [words for words in commands_of(text, "papermill") if "-p" in words]
    given = dict(zip(rest[1::3], rest[2::3], strict=True))
    assert load_spec(HOME / given["spec"])
    spec, out = tmp_path / "tiny.yaml", tmp_path / "out.ipynb"
    spec.write_text(yaml.safe_dump(tiny))
    words = [HOME / notebook, out, "-p", "spec", spec, "-p", "root", tmp_path / given["root"]]
    subprocess.run(
        [sys.executable, "-m", "papermill", *words], check=True, capture_output=True, cwd=tmp_path
    )
    executed = json.loads(out.read_text())
    assert executed["metadata"]["papermill"]["parameters"]["spec"] == str(spec)
    assert executed["metadata"]["papermill"]["exception"] is None
    (result,) = tmp_path.glob("runs/tiny-*/result.json")
    assert json.loads(result.read_text())["metrics"]


def test_cron_lines_are_commands_at_hours():
    text = (SCHEDULES / "nightly.cron").read_text()
    lines = [x for x in text.splitlines() if x and x[0] != "#" and "=" not in x.split()[0]]
    commands = commands_of("\n".join(lines), "kdviz")
    assert len(commands) == len(lines) == 2
    for line, words in zip(lines, commands, strict=True):
        minute, hour, *days = line.split()[:5]
        assert 0 <= int(minute) < 60
        assert 0 <= int(hour) < 24
        assert days == ["*"] * 3
        assert "%" not in line  # cron makes a line break of it
        assert parse(words)
        assert load_matrix(HOME / words[-1])


def test_every_kdviz_command_of_the_page_is_one():
    for words in commands_of((SCHEDULES / "README.md").read_text(), "kdviz"):
        assert parse(words)


@pytest.fixture
def airflow(monkeypatch):
    """Stands in for Airflow: keeps what the tasks are made with."""
    tasks: list[dict] = []

    class Dag:
        def __init__(self, name, **options):
            self.options = options

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    places = ["airflow.sdk", "airflow.providers.papermill.operators.papermill"]
    for place in places:
        *parents, _ = place.split(".")
        for end in range(1, len(parents) + 2):
            name = ".".join(place.split(".")[:end])
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[places[0]].DAG = Dag
    sys.modules[places[1]].PapermillOperator = lambda **options: tasks.append(options)
    return tasks


def test_airflow_tasks_name_what_there_is(airflow, monkeypatch):
    monkeypatch.setenv("KDVIZ", str(HOME))
    runpy.run_path(str(SCHEDULES / "airflow_dag.py"))
    assert len(airflow) > 1
    assert len({task["task_id"] for task in airflow}) == len(airflow)
    assert len({task["output_nb"] for task in airflow}) == len(airflow)
    for task in airflow:
        notebook = Path(task["input_nb"])
        assert notebook.is_file()
        assert task["parameters"].keys() <= notebook_parameters(notebook.stem).keys()
        assert load_spec(Path(task["parameters"]["spec"]))


def test_a_jupyter_job_is_asked_for(tmp_path):
    seen = {}

    class Scheduler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.update(path=self.path, token=self.headers["Authorization"], **json.loads(body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"job_id": "an-id"}')

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Scheduler)
    Thread(target=server.handle_request, daemon=True).start()
    spec = HOME / "notebooks" / "recipes" / "scenes" / "fgfi.yaml"
    words = [f"http://127.0.0.1:{server.server_port}", "secret", spec]
    script = SCHEDULES / "jupyter_job.py"
    told = subprocess.run(
        [sys.executable, script, *words], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    server.server_close()
    assert told.stdout.strip() == "an-id"
    assert (seen["path"], seen["token"]) == ("/scheduler/jobs", "token secret")
    assert (HOME / seen["input_uri"]).is_file()
    assert seen["parameters"].keys() <= notebook_parameters(Path(seen["input_uri"]).stem).keys()
    assert ast.literal_eval(seen["parameters"]["spec"]) == str(spec)
