"""Executing notebooks: profiles, parameters, failures that stay alone, stable stored outputs."""

import io
import json
from contextlib import redirect_stdout
from types import SimpleNamespace

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from kdviz.cli import FAILED, OK, main
from kdviz.runs import notebooks, store, suite
from kdviz.runs.notebooks import run_notebooks
from kdviz.runs.store import clean, store_notebooks
from kdviz.runs.suite import notebook_names, notebook_parameters, profile_parameters

V4 = nbformat.v4

PARAMETERS = (
    'count = 3  # images, 1 or more\nratio = 0.5  # [0, 1]\nname = "val"  # split\npath = None'
)
DRAW = """\
from IPython.display import display
import base64
live = {"application/vnd.jupyter.widget-view+json": {"model_id": "7"}, "text/plain": "Live"}
display(live, raw=True)
dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
display({"image/png": dot, "text/plain": "a dot"}, raw=True)
"""


def write(folder, name, *sources, parameters=PARAMETERS):
    cells = [V4.new_markdown_cell(f"# Title of {name}")]
    cells += [V4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [V4.new_code_cell(source) for source in sources]
    nbformat.write(V4.new_notebook(cells=cells), folder / f"{name}.ipynb")


def use(folder, monkeypatch, profiles="smoke: {}\n"):
    (folder / "recipes").mkdir(exist_ok=True)
    (folder / "recipes" / "profiles.yaml").write_text(profiles)
    monkeypatch.setattr(suite, "FOLDER", folder)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two notebooks and an empty profile; nothing is executed here."""
    write(tmp_path, "00_first", "print(count)")
    write(tmp_path, "01_second", "print(other)", parameters="other = 1  # thing")
    (tmp_path / "draft.ipynb").write_text("{}")
    return use(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Two good notebooks and three that fail, each in its own way, in one command."""
    folder, out = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("out") / "html"
    write(folder, "00_good", DRAW, "print(count, ratio, name, path)")
    write(folder, "01_fails", "print('so far')", "[][count]", "print('never')")
    write(folder, "02_dies", "import os\nos._exit(3)")
    write(
        folder,
        "03_good",
        "import os\nprint(os.getcwd())",
        "from IPython.display import Markdown\nMarkdown('[first](00_good.ipynb)')",
    )
    write(
        folder, "04_online", "from IPython.display import HTML\nHTML('<img src=//cdn.org/x.png>')"
    )
    out.mkdir()
    (out / "02_dies.ipynb").write_text("a copy of yesterday")
    arguments = ["notebooks", "run", "--html", "--json", "--out", str(out), "-p", "ratio=1"]
    with pytest.MonkeyPatch.context() as patch:
        use(folder, patch, "smoke: {00_good: {count: 8, ratio: 0.25}}\n")
        patch.chdir(folder.parent)
        with redirect_stdout(io.StringIO()) as printed:
            code = main(arguments)
    told = {x["name"]: x for x in json.loads(printed.getvalue())}
    return SimpleNamespace(code=code, out=out, told=told, folder=folder)


class TestRun:
    def test_one_failure_fails_the_command_and_hinders_no_other(self, ran):
        assert ran.code == FAILED
        assert {name[:2]: x["error"] is None for name, x in ran.told.items()} == {
            "00": True,
            "01": False,
            "02": False,
            "03": True,
            "04": False,
        }

    def test_profile_under_parameters_of_the_command(self, ran):
        assert outputs(ran.out / "00_good.ipynb")[-1] == "8 1 val None\n"

    def test_runs_where_the_command_is_given(self, ran):
        assert outputs(ran.out / "03_good.ipynb")[0] == f"{ran.folder.parent}\n"

    def test_pages_link_to_pages(self, ran):
        assert '<a href="00_good.html">first</a>' in (ran.out / "03_good.html").read_text()

    def test_a_failed_notebook_keeps_what_it_did(self, ran):
        assert ran.told["01_fails"]["error"] == "In [4]: IndexError: list index out of range"
        copy = nbformat.read(ran.out / "01_fails.ipynb", as_version=4)
        failing = next(cell for cell in copy.cells if cell.source == "[][count]")
        assert failing.outputs[0].ename == "IndexError"
        assert outputs(ran.out / "01_fails.ipynb")[0] == "so far\n"
        page = (ran.out / "01_fails.html").read_text()
        assert "so far" in page
        assert "IndexError" in page

    def test_a_dead_kernel_is_told(self, ran):
        assert "DeadKernelError" in ran.told["02_dies"]["error"]
        assert "yesterday" not in (ran.out / "02_dies.ipynb").read_text()

    def test_a_page_that_needs_a_network_is_an_error(self, ran):
        error = ran.told["04_online"]["error"]
        assert error.startswith("no page: the page of 04_online would load from the network")
        assert ran.told["04_online"]["page"] is None

    def test_index_links_all_and_marks_the_failed(self, ran):
        index = (ran.out / "index.html").read_text()
        for name, told in ran.told.items():
            assert (f'href="{name}.html"' in index) == (told["page"] is not None)
            assert (ran.out / f"{name}.html").exists() == (told["page"] is not None)
        assert index.count('class="card failed"') == 3
        assert "3 of 5 failed" in index
        assert "Title of 00_good" in index
        assert "profile smoke" in index

    def test_the_originals_are_untouched(self, ran):
        original = nbformat.read(ran.folder / "00_good.ipynb", as_version=4)
        assert all(not cell.get("outputs") for cell in original.cells)


class TestRefusals:
    def test_names_and_parameters(self, folder):
        assert notebook_names() == ["00_first", "01_second"]
        assert notebook_parameters("00_first") == {
            "count": 3,
            "ratio": 0.5,
            "name": "val",
            "path": None,
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"names": ["02_third"]}, "no notebook '02_third'; there are 00_first, 01_second"),
            ({"profile": "huge"}, r"no profile 'huge' in .*profiles.yaml; there are smoke"),
            ({"parameters": {"cuont": 4}}, "no parameter 'cuont' .* there are count, name, other"),
            ({"parameters": {"count": "four"}}, "count must be like 3, not 'four'"),
            ({"parameters": {"count": 4.5}}, "count must be like 3, not 4.5"),
            ({"parameters": {"count": True}}, "count must be like 3, not True"),
            ({"parameters": {"name": 2007}}, "name must be like 'val', not 2007"),
            ({"names": ["00_first"], "parameters": {"other": 2}}, "no parameter 'other'"),
        ],
    )
    def test_before_anything_runs(self, arguments, message, folder, tmp_path):
        with pytest.raises(ValueError, match=message):
            run_notebooks(arguments.pop("names", []), tmp_path / "out", **arguments)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("smoke: {00_first: {coutn: 1}}", "smoke.00_first: no parameter 'coutn' in 00_first"),
            ("smoke: {00_first: {count: many}}", "count must be like 3, not 'many'"),
            ("smoke: {00_frist: {count: 1}}", "smoke: no notebook '00_frist'"),
            ("smoke: {00_first: 3}", "must map notebooks to parameters"),
            ("smoke: [00_first]", "must map notebooks to parameters"),
            ("smoke", "must map profiles to notebooks"),
            ("smoke: {", "is not readable YAML"),
        ],
    )
    def test_profiles(self, content, message, folder, monkeypatch):
        use(folder, monkeypatch, content)
        with pytest.raises(ValueError, match=message):
            profile_parameters("smoke")

    @pytest.mark.parametrize("line", ["count = len('abc')", "count", "a = b = 1", "count = ("])
    def test_parameters_that_are_no_literals(self, line, folder):
        write(folder, "02_third", parameters=f"# comment\n\n{line}")
        with pytest.raises(ValueError, match="02_third must set a name to a literal"):
            notebook_parameters("02_third")

    def test_no_notebook_at_all(self, tmp_path, monkeypatch):
        use(tmp_path, monkeypatch)
        with pytest.raises(ValueError, match="there is no notebook"):
            run_notebooks([], tmp_path / "out")

    def test_whole_numbers_do_for_reals(self, folder, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(notebooks, "_papermill", lambda *_: None)
        arguments = ["notebooks", "run", "00_first", "--out", str(tmp_path / "out")]
        assert main([*arguments, "-p", "ratio=1", "-p", "path=data/mine"]) == OK
        assert "all 1 ran through" in capsys.readouterr().out


class TestStore:
    def test_a_second_execution_gives_the_same_bytes(self, tmp_path, monkeypatch):
        use(tmp_path, monkeypatch)
        noisy = "import os, sys\nprint('bar', os.getpid(), file=sys.stderr)\nprint('out')"
        figure = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
        write(tmp_path, "00_first", DRAW, noisy, figure, "count * 2")
        path = tmp_path / "00_first.ipynb"
        store_notebooks(["00_first"])
        first = path.read_bytes()
        store_notebooks()
        assert path.read_bytes() == first

        stored = nbformat.read(path, as_version=4)
        nbformat.validate(stored)
        assert [cell.id for cell in stored.cells] == [f"cell-{i:02d}" for i in range(6)]
        counts = [cell.execution_count for cell in stored.cells if cell.cell_type == "code"]
        assert counts == [1, 2, 3, 4, 5]
        assert all("widget" not in key for output in all_outputs(stored) for key in output)
        assert outputs(path) == ["Live", "a dot", "out\n", "<Figure size 640x480 with 1 Axes>", "6"]
        assert not any(cell.metadata.get("execution") for cell in stored.cells)
        assert stored.metadata.keys() == {"kernelspec", "language_info"}

    def test_a_failed_notebook_stays_as_it_was(self, tmp_path, monkeypatch):
        use(tmp_path, monkeypatch)
        write(tmp_path, "00_first", "1 / 0")
        before = (tmp_path / "00_first.ipynb").read_bytes()
        with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
            store_notebooks()
        assert (tmp_path / "00_first.ipynb").read_bytes() == before

    def test_too_large_to_store(self, tmp_path, monkeypatch):
        use(tmp_path, monkeypatch)
        monkeypatch.setattr(store, "MOST_BYTES", 2000)
        write(tmp_path, "00_first", "print('x' * 2000)")
        before = (tmp_path / "00_first.ipynb").read_bytes()
        with pytest.raises(ValueError, match=r"would take 2,\d+ bytes, above 2,000"):
            store_notebooks()
        assert (tmp_path / "00_first.ipynb").read_bytes() == before

    def test_unknown_name(self, folder):
        with pytest.raises(ValueError, match="no notebook '09_gone'"):
            store_notebooks(["09_gone"])

    def test_papermill_traces_go(self):
        cell = V4.new_code_cell("1", metadata={"papermill": {"duration": 1}, "tags": ["keep"]})
        given = V4.new_notebook(cells=[cell], metadata={"papermill": {}, "widgets": {}})
        clean(given)
        assert given.cells[0].metadata == {"tags": ["keep"]}


def outputs(path):
    """Plain text of each output of a notebook."""
    found = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            found.append(output.get("text") or output.get("data", {}).get("text/plain"))
    return found


def all_outputs(notebook):
    return [x.get("data", {}) for cell in notebook.cells for x in cell.get("outputs", [])]
