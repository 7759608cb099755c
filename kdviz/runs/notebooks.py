"""Execute the notebooks with the parameters of a profile, as copies and as offline pages."""

from __future__ import annotations

import ast
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from nbclient import NotebookClient
from papermill.exceptions import PapermillExecutionError

import kdviz
from kdviz.files import write_atomically
from kdviz.runs.html import Card, index_page, notebook_page
from kdviz.runs.kernel import FOLDER as FOLDER
from kdviz.runs.kernel import KERNEL_ARGUMENTS

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Execution:
    """How one notebook went.

    Attributes:
        name: of the notebook, without ending.
        path: the executed copy; a failed one holds all up to the failing cell.
        seconds: wall time.
        page: the HTML page; None without one.
        error: cell, name and text of the error that stopped it; None if none did.
    """

    name: str
    path: Path
    seconds: float
    page: Path | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return {
            "name": self.name,
            "path": str(self.path),
            "seconds": round(self.seconds, 1),
            "page": None if self.page is None else str(self.page),
            "error": self.error,
        }


def notebook_names() -> list[str]:
    """Names of all notebooks in reading order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.ipynb"))


def questions() -> dict[str, str]:
    """The question that each notebook asks, its title, by name in reading order."""
    titles = {}
    for name in notebook_names():
        first = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells[0].source
        titles[name] = first.partition("\n")[0].removeprefix("# ")
    return titles


def suite_map(folder: str = "") -> str:
    """A Markdown table of the notebooks and their questions, with links.

    Args:
        folder: put before each file's name, such as ``notebooks/``.
    """
    rows = ["| notebook | question |", "|---|---|"]
    for name, question in questions().items():
        rows.append(f"| [`{name}`]({folder}{name}.ipynb) | {question} |")
    return "\n".join(rows)


def notebook_parameters(name: str) -> Parameters:
    """The parameters of a notebook with their defaults, read from its cell tagged ``parameters``.

    Raises:
        ValueError: a line of that cell is neither empty, nor a comment, nor sets a name to a
            literal.
    """
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters: Parameters = {}
    for cell in tagged:
        for line in cell.source.splitlines():
            try:
                parameters |= _parameter(line)
            except (SyntaxError, ValueError) as error:
                raise ValueError(
                    f"each line of the parameters cell of {name} must set a name to a literal, "
                    f"which {line!r} does not"
                ) from error
    return parameters


def profile_parameters(profile: str) -> dict[str, Parameters]:
    """Parameters of each notebook in a profile; the notebooks' own defaults need no entry.

    Raises:
        FileNotFoundError: there is no ``recipes/profiles.yaml``.
        ValueError: there is no such profile, or the file, a notebook or a parameter in it is wrong.
    """
    path = FOLDER / "recipes" / "profiles.yaml"
    try:
        profiles = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(profiles, dict):
        raise ValueError(f"{path} must map profiles to notebooks, not be {profiles!r}")
    if profile not in profiles:
        raise ValueError(f"no profile {profile!r} in {path}; there are {', '.join(profiles)}")
    presets = profiles[profile] or {}
    if not isinstance(presets, dict) or not all(isinstance(x, dict) for x in presets.values()):
        raise ValueError(f"{path}: {profile} must map notebooks to parameters, not be {presets!r}")
    for name, values in presets.items():
        check_name(name, f"{path}: {profile}")
        _check_parameters(values, {name: notebook_parameters(name)}, f"{path}: {profile}.{name}")
    return presets


def run_notebooks(
    names: Sequence[str],
    out: Path,
    profile: str = "smoke",
    parameters: Mapping[str, Any] | None = None,
    html: bool = False,
) -> list[Execution]:
    """Execute notebooks through papermill; one that fails does not keep the others from running.

    They run in the folder that this is called in, so relative paths among the parameters hold.

    Args:
        names: which, without ending; none means all.
        out: folder for the executed copies.
        profile: which set of parameters.
        parameters: put over those of the profile, for each notebook that has them.
        html: also write each as an offline page, and ``index.html``.

    Raises:
        ValueError: an unknown notebook, profile or parameter, or a value of another type; lists
            what there is.
        OSError: ``out`` cannot be written.
    """
    chosen = list(dict.fromkeys(names)) or notebook_names()
    if not chosen:
        raise ValueError(f"there is no notebook in {FOLDER}; clone the repository")
    for name in chosen:
        check_name(name, "notebooks")
    presets = profile_parameters(profile)
    given = dict(parameters or {})
    known = {name: notebook_parameters(name) for name in chosen}
    _check_parameters(given, known, "parameters")
    out.mkdir(parents=True, exist_ok=True)
    pages = chosen if html else []
    executions: list[Execution] = []
    cards = []
    for number, name in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {name}", flush=True)
        own = {key: value for key, value in given.items() if key in known[name]}
        execution, card = _execute(name, out, {**presets.get(name, {}), **own}, pages)
        print(f"    {execution.error or 'done'} ({execution.seconds:.0f} s)", flush=True)
        executions.append(execution)
        cards.append(card)
    if html:
        note = f"profile {profile}, kdviz {kdviz.__version__}"
        write_atomically(out / "index.html", index_page(cards, note))
        print(f"open {out / 'index.html'}")
    return executions


def _execute(
    name: str, out: Path, parameters: Parameters, pages: Sequence[str]
) -> tuple[Execution, Card]:
    """Execute one notebook, and export it if it is among the ``pages``."""
    target = out / f"{name}.ipynb"
    target.unlink(missing_ok=True)  # an old copy must not stand for this execution
    page, notebook = None, None
    started = time.perf_counter()
    error = _papermill(FOLDER / f"{name}.ipynb", target, parameters)
    seconds = time.perf_counter() - started
    if name in pages and target.exists():
        notebook = nbformat.read(target, as_version=4)
        try:
            content = notebook_page(notebook, name, str(FOLDER), pages)
        except ValueError as problem:
            error = error or f"no page: {problem}"
            notebook = None
        else:
            page = out / f"{name}.html"
            write_atomically(page, content)
    return Execution(name, target, seconds, page, error), Card(name, notebook, seconds, error)


def _papermill(source: Path, target: Path, parameters: Parameters) -> str | None:
    """Execute one notebook; returns what stopped it."""
    try:
        papermill.execute_notebook(
            source,
            target,
            parameters=parameters,
            kernel_name="python3",
            language="python",
            extra_arguments=KERNEL_ARGUMENTS,
        )
    except PapermillExecutionError as failure:
        return f"In [{failure.exec_count}]: {failure.ename}: {failure.evalue}"
    except Exception as failure:  # a kernel that died, for one; the other notebooks still run
        return f"{type(failure).__name__}: {failure}"
    return None


def _parameter(line: str) -> Parameters:
    match ast.parse(line).body:
        case []:
            return {}
        case [ast.Assign(targets=[ast.Name(id=name)], value=value)]:
            return {name: ast.literal_eval(value)}
    raise ValueError(line)


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run every cell with the notebook's own defaults, in the folder of the notebooks.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        coalesce_streams=True,
        extra_arguments=KERNEL_ARGUMENTS,
        resources={"metadata": {"path": str(FOLDER)}},
    ).execute()


def check_name(name: str, where: str) -> None:
    """Raise ValueError, with the names there are, unless there is a notebook of this name."""
    if name not in notebook_names():
        raise ValueError(f"{where}: no notebook {name!r}; there are {', '.join(notebook_names())}")


def _check_parameters(
    values: Mapping[str, Any], known: Mapping[str, Parameters], where: str
) -> None:
    """Refuse a key that no notebook has and a value unlike the default: papermill only warns."""
    for key, value in values.items():
        defaults = [own[key] for own in known.values() if key in own]
        if not defaults:
            every = sorted({x for own in known.values() for x in own})
            raise ValueError(
                f"{where}: no parameter {key!r} in {', '.join(known)}; there are {', '.join(every)}"
            )
        for default in defaults:
            if not _is_like(value, default):
                raise ValueError(f"{where}: {key} must be like {default!r}, not {value!r}")


def _is_like(value: Any, default: Any) -> bool:
    if value is None or default is None:
        return True
    if isinstance(default, float) and not isinstance(value, bool):
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return type(value) is type(default)
