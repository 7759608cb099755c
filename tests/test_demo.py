"""What ``make demo`` does: papermill, profile ``smoke``, offline pages.

``pytest --nbval-lax notebooks``, the other half of ``make test``, executes every notebook with its
defaults. So only a few are executed here as well, and all whose parameters in ``smoke`` are others.
"""

import json

import nbformat
import pytest

from kdviz.cli import OK, main
from kdviz.runs.suite import FOLDER, profile_parameters

WITH_OTHERS = sorted(name for name, own in profile_parameters("smoke").items() if own)


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
@pytest.mark.parametrize(
    "names",
    [["00_start_here", "10_fine_grained_imitation"], ["65_reproduce"], *([x] for x in WITH_OTHERS)],
    ids=" ".join,
)
def test_runs_in_the_smoke_profile(names, tmp_path, monkeypatch, capsys):
    """Every cell runs and leaves as many pictures as in the stored notebook.

    Also outside the repository, where no relative path helps.
    """
    monkeypatch.chdir(tmp_path)
    assert main(["notebooks", "run", *names, "--html", "--json", "--out", "out"]) == OK
    reports = json.loads(capsys.readouterr().out)
    assert [told["name"] for told in reports] == names
    index = (tmp_path / "out" / "index.html").read_text()
    for told in reports:
        assert told["error"] is None
        executed = nbformat.read(tmp_path / told["path"], as_version=4)
        stored = nbformat.read(FOLDER / f"{told['name']}.ipynb", as_version=4)
        assert pictures_by_cell(executed) == pictures_by_cell(stored)
        page = (tmp_path / told["page"]).read_text()
        assert page.count("data:image/png;base64,") >= 1
        assert "<script" not in page
        assert f'href="{told["name"]}.html"' in index
