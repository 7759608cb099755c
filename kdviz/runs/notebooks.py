"""Execute the notebooks with the parameters of a profile, as copies and as offline pages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient import NotebookClient
from papermill.exceptions import PapermillExecutionError

import kdviz
from kdviz.files import write_atomically
from kdviz.runs import suite
from kdviz.runs.html import Card, index_page, notebook_page
from kdviz.runs.suite import KERNEL, Parameters


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
    chosen = list(dict.fromkeys(names)) or suite.notebook_names()
    if not chosen:
        raise ValueError(f"there is no notebook in {suite.FOLDER}; clone the repository")
    for name in chosen:
        suite.check_name(name, "notebooks")
    presets = suite.profile_parameters(profile)
    given = dict(parameters or {})
    known = {name: suite.notebook_parameters(name) for name in chosen}
    suite.check_parameters(given, known, "parameters")
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
    error = _papermill(suite.FOLDER / f"{name}.ipynb", target, parameters)
    seconds = time.perf_counter() - started
    if name in pages and target.exists():
        notebook = nbformat.read(target, as_version=4)
        try:
            content = notebook_page(notebook, name, str(suite.FOLDER), pages)
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
            language="python",
            **KERNEL,
        )
    except PapermillExecutionError as failure:
        return f"In [{failure.exec_count}]: {failure.ename}: {failure.evalue}"
    except Exception as failure:  # a kernel that died, for one; the other notebooks still run
        return f"{type(failure).__name__}: {failure}"
    return None


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run every cell with the notebook's own defaults, in the folder of the notebooks.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    NotebookClient(
        notebook,
        timeout=600,
        coalesce_streams=True,
        resources={"metadata": {"path": str(suite.FOLDER)}},
        **KERNEL,
    ).execute()
