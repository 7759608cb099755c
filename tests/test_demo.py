"""What ``make demo`` does with each notebook: papermill, profile ``smoke``, offline page."""

import json

import nbformat
import pytest

from kdviz.cli import OK, main
from kdviz.runs.suite import FOLDER, notebook_names


def pictures_by_cell(notebook):
    """How many pictures each code cell left, and whether it ran at all."""
    return [
        (
            cell.execution_count is not None,
            sum("image/png" in output.get("data", {}) for output in cell.outputs),
        )
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", notebook_names())
def test_runs_in_the_smoke_profile(name, tmp_path, monkeypatch, capsys):
    """Every cell runs and leaves as many pictures as in the stored notebook.

    Also outside the repository, where no relative path helps.
    """
    monkeypatch.chdir(tmp_path)
    assert main(["notebooks", "run", name, "--html", "--json", "--out", "out"]) == OK
    (told,) = json.loads(capsys.readouterr().out)
    assert told["error"] is None
    executed = nbformat.read(tmp_path / told["path"], as_version=4)
    assert pictures_by_cell(executed) == pictures_by_cell(
        nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    )
    page = (tmp_path / told["page"]).read_text()
    assert page.count("data:image/png;base64,") >= 1
    assert "<script" not in page
    assert f'href="{name}.html"' in (tmp_path / "out" / "index.html").read_text()
