"""Execute the notebooks: with a profile into a folder, or as they stand into themselves."""

from __future__ import annotations

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
from kdviz.runs.html import index_page, notebook_page

FOLDER = Path(kdviz.__file__).resolve().parent.parent / "notebooks"
"""Where the notebooks and ``profiles.yaml`` are."""


@dataclass(frozen=True)
class Execution:
    """How one notebook went.

    Attributes:
        name: of the notebook, without ending.
        path: the executed copy.
        seconds: wall time.
        error: name and text of the error that stopped it; None if none did.
    """

    name: str
    path: Path
    seconds: float
    error: str | None = None


def notebook_names() -> list[str]:
    """Names of all notebooks in reading order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.ipynb"))


def profile_parameters(profile: str) -> dict[str, dict[str, Any]]:
    """Parameters of each notebook in a profile; the notebooks' own defaults need no entry.

    Raises:
        ValueError: there is no such profile.
    """
    profiles = yaml.safe_load((FOLDER / "recipes" / "profiles.yaml").read_text())
    if profile not in profiles:
        raise ValueError(f"no profile {profile!r}; there are {', '.join(profiles)}")
    return dict(profiles[profile] or {})


def run_notebooks(
    names: Sequence[str],
    out: Path,
    profile: str = "smoke",
    parameters: Mapping[str, Any] | None = None,
    html: bool = False,
) -> list[Execution]:
    """Execute notebooks through papermill; one that fails does not keep the others from running.

    Args:
        names: which, without ending; none means all.
        out: folder for the executed copies.
        profile: which set of parameters.
        parameters: put over those of the profile, for each notebook that has them.
        html: also write each as an offline page, and ``index.html``.

    Raises:
        ValueError: an unknown notebook, profile or parameter; lists what there is.
    """
    chosen = list(names) or notebook_names()
    unknown = sorted(set(chosen) - set(notebook_names()))
    if unknown:
        raise ValueError(f"no notebook {unknown[0]!r}; there are {', '.join(notebook_names())}")
    presets = profile_parameters(profile)
    given = dict(parameters or {})
    known = {name: papermill.inspect_notebook(FOLDER / f"{name}.ipynb") for name in chosen}
    for key in given:
        if not any(key in own for own in known.values()):
            every = sorted({x for own in known.values() for x in own})
            raise ValueError(f"no parameter {key!r} in {', '.join(chosen)}; there are {every}")
    out.mkdir(parents=True, exist_ok=True)
    executions = []
    for number, name in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {name}", flush=True)
        own = {key: value for key, value in given.items() if key in known[name]}
        execution = _execute(name, out, {**presets.get(name, {}), **own})
        print(f"    {execution.error or 'done'} ({execution.seconds:.0f} s)", flush=True)
        if html:
            page = notebook_page(nbformat.read(execution.path, as_version=4), name)
            write_atomically(out / f"{name}.html", page)
        executions.append(execution)
    if html:
        notebooks = {x.name: nbformat.read(x.path, as_version=4) for x in executions}
        notes = {x.name: x.error or f"{x.seconds:.0f} s" for x in executions}
        write_atomically(out / "index.html", index_page(notebooks, notes))
        print(f"open {out / 'index.html'}")
    return executions


def _execute(name: str, out: Path, parameters: dict[str, Any]) -> Execution:
    target = out / f"{name}.ipynb"
    started = time.perf_counter()
    error = None
    try:
        papermill.execute_notebook(
            FOLDER / f"{name}.ipynb",
            target,
            parameters=parameters,
            kernel_name="python3",
            progress_bar=True,
            request_save_on_cell_execute=False,
        )
    except PapermillExecutionError as failure:
        error = f"cell {failure.exec_count}: {failure.ename}: {failure.evalue}"
    return Execution(name, target, time.perf_counter() - started, error)


def store_notebooks(names: Sequence[str] = ()) -> None:
    """Execute notebooks with their own defaults and write the outputs into them.

    Times and machine details are taken out, so that a second run gives the same file.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the notebook is as it was.
    """
    for name in names or notebook_names():
        path = FOLDER / f"{name}.ipynb"
        print(path.name, flush=True)
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
        clean(notebook)
        write_atomically(path, nbformat.writes(notebook) + "\n")


def clean(notebook: nbformat.NotebookNode) -> None:
    """Take out of an executed notebook what changes from run to run or works only live."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)
        outputs = cell.get("outputs", [])
        # A widget view without its state shows an error message instead of the static picture.
        for output in outputs:
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        cell_is_silent = [x for x in outputs if x.get("name") != "stderr"]
        if cell.cell_type == "code":
            cell["outputs"] = cell_is_silent
