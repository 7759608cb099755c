"""What every notebook promises its reader: thin, parametrised, stored with its pictures, runnable.

``pytest --nbval-lax notebooks`` (in ``make test``) runs each with its own defaults and compares the
cells tagged ``nbval-check-output`` with what is stored; ``tests/test_demo.py`` runs each as ``make
demo`` does.
"""

import ast
import re
from itertools import pairwise

import nbformat
import pytest
import yaml

from kdviz.runs.html import WIDGET_VIEW, notebook_page
from kdviz.runs.store import MOST_BYTES, clean
from kdviz.runs.suite import (
    FOLDER,
    notebook_names,
    notebook_parameters,
    profile_parameters,
)

ROOT = FOLDER.parent
MOST_LINES = 20
MOST_DEFINITIONS = 2
# A person's or a machine's folder has no place in a notebook that others run.
ABSOLUTE_PATH = re.compile(
    r"""(?<![\w.:/])(?:/(?:home|root|Users|tmp|mnt|media|opt|usr|var|data|work|content)\b|~/|[A-Z]:\\\\?\w)"""
)
VALUE_OF_A_UNIT = re.compile(r"#\s*\S.{3,}")

pytestmark = pytest.mark.parametrize("name", notebook_names())


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(name):
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def tags_of(cell):
    return set(cell.metadata.get("tags", []))


def texts_of(output):
    """Everything in an output that a person can read."""
    data = output.get("data", {})
    return [output.get("text", ""), *(data.get(kind, "") for kind in ("text/plain", "text/html"))]


class TestSource:
    def test_one_parameters_cell_of_literals_each_explained(self, name):
        tagged = [x for x in code_cells(name) if "parameters" in x.metadata.get("tags", [])]
        assert len(tagged) == 1
        assert notebook_parameters(name)  # a ValueError names a line that is no literal
        for line in filter(None, tagged[0].source.splitlines()):
            assert VALUE_OF_A_UNIT.search(line), f"{line!r} has no comment with unit or range"

    def test_cells_are_short(self, name):
        for number, cell in enumerate(read(name).cells):
            lines = cell.source.splitlines()
            if cell.cell_type == "code":
                assert len(lines) <= MOST_LINES, f"cell {number} has {len(lines)} lines"

    def test_the_code_is_in_kdviz(self, name):
        """But what a learner is to write, and its solution."""
        own = [x for x in code_cells(name) if not {"exercise", "solution"} & tags_of(x)]
        trees = [ast.parse(cell.source) for cell in own]
        defined = [
            node.name
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        assert len(defined) <= MOST_DEFINITIONS, defined

    def test_solutions_are_folded_and_leave_the_answers_alone(self, name):
        defined = {"exercise": set(), "solution": set()}
        for cell in code_cells(name):
            for tag in defined.keys() & tags_of(cell):
                tree = ast.parse(cell.source)
                defined[tag] |= {x.name for x in tree.body if isinstance(x, ast.FunctionDef)}
                if tag == "solution":
                    assert cell.metadata["jupyter"]["source_hidden"]
        assert defined["solution"] == {f"solved_{answer}" for answer in defined["exercise"]}

    def test_nothing_of_one_machine_and_no_shell(self, name):
        for number, cell in enumerate(read(name).cells):
            found = ABSOLUTE_PATH.search(cell.source)
            assert not found, f"cell {number}: {found.group()}"
            if cell.cell_type == "code":
                shell = re.search(r"^\s*[!%]|get_ipython\(", cell.source, re.MULTILINE)
                assert not shell, f"cell {number}: {shell.group()}"

    def test_prose_and_code_take_turns(self, name):
        cells = read(name).cells
        prose = [cell for cell in cells if cell.cell_type == "markdown"]
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert cells[0].cell_type == "markdown"
        assert cells[0].source.startswith("# ")
        assert 0.5 <= len(prose) / len(code) <= 2
        assert len(cells) <= 50
        assert sum(len(cell.source.split()) for cell in prose) >= 250

    def test_headings_go_down_step_by_step(self, name):
        prose = [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]
        depths = [len(x) for x in re.findall(r"^(#{1,6}) ", "\n".join(prose), re.MULTILINE)]
        assert depths.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(depths))

    def test_files_and_notebooks_it_names_exist(self, name):
        prose = " ".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
        for path in re.findall(r"\b(?:kdviz|notebooks|tests|data)/[\w./-]+\.\w+", prose):
            assert (ROOT / path).exists(), path
        for other in re.findall(r"`(\d\d_\w+)`", prose):
            assert other in notebook_names(), other

    def test_some_outputs_are_checked_by_nbval(self, name):
        assert any("nbval-check-output" in x.metadata.get("tags", []) for x in code_cells(name))


class TestStored:
    def test_executed_once_from_top_to_bottom(self, name):
        counts = [cell.execution_count for cell in code_cells(name)]
        assert counts == list(range(1, len(counts) + 1)), "run make notebooks"

    def test_pictures_are_inside_and_the_file_is_small(self, name):
        outputs = [output for cell in code_cells(name) for output in cell.outputs]
        assert any("image/png" in output.get("data", {}) for output in outputs)
        assert (FOLDER / f"{name}.ipynb").stat().st_size <= MOST_BYTES

    def test_no_errors_and_nothing_that_only_works_live(self, name):
        assert "widgets" not in read(name).metadata
        for cell in code_cells(name):
            for output in cell.outputs:
                assert output.output_type != "error"
                assert output.get("name") != "stderr"
                assert WIDGET_VIEW not in output.get("data", {})

    def test_outputs_say_nothing_of_a_machine(self, name):
        for cell in code_cells(name):
            for output in cell.outputs:
                for text in texts_of(output):
                    assert not ABSOLUTE_PATH.search(text)
                    assert not re.search(r"site-packages| at 0x[0-9a-f]{6}", text)

    def test_stored_as_make_notebooks_stores_it(self, name):
        notebook = read(name)
        clean(notebook)
        stored = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
        assert nbformat.writes(notebook) + "\n" == stored

    def test_page_draws_every_formula(self, name):
        page = notebook_page(read(name), name, str(FOLDER))
        unknown = re.findall(r"<mi>\\\w+", page)
        assert not unknown, f"commands that MathML has no sign for: {unknown}"
        assert "$" not in re.sub(r"<(pre|code)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_profiles_name_only_what_there_is(name):
    for profile in yaml.safe_load((FOLDER / "recipes" / "profiles.yaml").read_text()):
        for values in profile_parameters(profile).values():
            assert values
