"""Execute the notebooks and store their outputs in them: ``make notebooks``.

``python -m kdviz.runs.store 00_start_here`` does so with one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import nbformat
from nbclient.exceptions import CellExecutionError

from kdviz.files import write_atomically
from kdviz.runs import suite
from kdviz.runs.html import drop_live_views
from kdviz.runs.notebooks import execute

MOST_BYTES = 1_000_000
"""Largest stored notebook: a reader on the web must see its pictures at once."""


def store_notebooks(names: Sequence[str] = ()) -> None:
    """Execute notebooks with their own defaults and write the outputs into them.

    Times and machine details are taken out, so that a second run gives the same file.

    Args:
        names: which, without ending; none means all.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the notebook is as it was.
        ValueError: an unknown name, or the outputs are too large; the notebook is as it was.
    """
    for name in names:
        suite.check_name(name, "store")
    for name in names or suite.notebook_names():
        path = suite.FOLDER / f"{name}.ipynb"
        print(path.name, flush=True)
        notebook = nbformat.read(path, as_version=4)
        execute(notebook)
        clean(notebook)
        content = nbformat.writes(notebook) + "\n"
        if len(content.encode()) > MOST_BYTES:
            raise ValueError(
                f"{path.name} would take {len(content.encode()):,} bytes, above {MOST_BYTES:,}: "
                "show fewer or smaller pictures"
            )
        write_atomically(path, content)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Take out of an executed notebook what changes from run to run or works only live.

    Warnings and progress bars (standard error) go too.
    """
    drop_live_views(notebook)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        for volatile in ("execution", "papermill", "collapsed", "scrolled"):
            cell.metadata.pop(volatile, None)
        if cell.cell_type == "code":
            cell["outputs"] = [x for x in cell["outputs"] if x.get("name") != "stderr"]


if __name__ == "__main__":
    try:
        store_notebooks(sys.argv[1:])
    except (CellExecutionError, ValueError) as error:
        sys.exit(str(error))
