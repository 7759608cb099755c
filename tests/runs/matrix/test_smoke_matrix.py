"""The matrix that shows in minutes that everything works, from its file to its report."""

import csv
import json
import shutil

import nbformat
import pytest

from kdviz.cli import OK, main
from kdviz.runs.compare import RECIPES
from kdviz.runs.local import HOME
from kdviz.runs.matrix.attempts import read_attempts
from kdviz.runs.matrix.spec import load_matrix
from kdviz.runs.matrix.state import states

SMOKE = RECIPES / "matrices" / "smoke.yaml"


@pytest.mark.slow
def test_the_smoke_matrix_runs_and_ends_in_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(HOME)
    words = [str(SMOKE), "--out", str(tmp_path)]
    assert main(["matrix", "run", *words, "--slots", "2"]) == OK
    assert main(["matrix", "report", *words]) == OK
    home = tmp_path / "smoke"
    assert str(home / "index.html") in capsys.readouterr().out
    page = (home / "index.html").read_text()
    assert "<script src" not in page
    rows = json.loads((home / "results.json").read_text())["rows"]
    assert len(rows) == 8
    assert {row["status"] for row in rows} == {"done"}
    assert all(0 < row["AP"] < 1 and 0 < row["test_AP"] < 1 for row in rows)
    with (home / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    for state in states(load_matrix(SMOKE), tmp_path):
        assert len(read_attempts(state.folder)[0]) == 1
        notebook = nbformat.read(state.notebook, as_version=4)
        assert f"{state.folder.name}/notebook.ipynb" in page
        assert all(x.execution_count for x in notebook.cells if x.cell_type == "code")
    before = (home / "matrix.yaml").read_text()
    assert main(["matrix", "run", *words, "--json"]) == OK  # all is done: nothing starts
    assert {run["attempts"] for run in json.loads(capsys.readouterr().out)} == {1}
    assert (home / "matrix.yaml").read_text() == before
    shutil.rmtree(home)
