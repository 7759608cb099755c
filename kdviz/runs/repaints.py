"""How fast the notebooks' figures follow a control: a part of ``make bench``.

Each notebook with a live figure is executed as a reader would, in a kernel of its own; then that
kernel moves every control and takes the time until all figures that have it are painted anew: the
processor time of the thread that does it, which is what a reader waits for on a machine with
nothing else to do. What the browser adds to show the picture is not in it.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from typing import Any

import nbformat
import numpy as np

from kdviz.runs import suite
from kdviz.runs.environment import environment
from kdviz.runs.notebooks import execute
from kdviz.widgets.interactive import LIVE, InteractiveFigure

VALUES, ROUNDS = 5, 2
"""A control is moved to so many values and back, so many times; the fastest time of each counts."""

_PROBE = """\
import json
from kdviz.runs.environment import environment
from kdviz.runs.repaints import figures, time_moves
print(json.dumps([environment(), time_moves(figures())]))"""


def repaints() -> dict[str, Any]:
    """Median and slowest repaint of each control of each notebook, in seconds.

    The environment is that of the kernels, which need not have this process's number of threads.
    """
    told, rows = environment(), []
    for name in suite.notebook_names():
        notebook = nbformat.read(suite.FOLDER / f"{name}.ipynb", as_version=4)
        if _has_live_figures(notebook):
            told, timed = _time_in_kernel(notebook)
            rows += [{"notebook": name, **row} for row in timed]
    return {"environment": told, "controls": rows}


def figures() -> list[InteractiveFigure]:
    """All interactive figures of this process."""
    # Not isinstance: some objects warn when they are asked for their class.
    return [x for x in gc.get_objects() if type(x) is InteractiveFigure]


def time_moves(figures: Iterable[InteractiveFigure]) -> list[dict[str, Any]]:
    """Move every control of some figures to other values and back.

    Args:
        figures: a control that several of them share is moved once, and paints all of these.

    Returns:
        For each control its name, how many figures it paints, and over its values the median and
        the slowest in seconds, where each value has the fastest of its times. A control with a
        single value is left out.

    Raises:
        RuntimeError: a figure could not be painted, so its time would mean nothing.
    """
    painted: dict[Any, list[InteractiveFigure]] = {}
    names = {}
    for figure in figures:
        for name, source in figure.controls.items():
            painted.setdefault(source, []).append(figure)
            names[source] = name
    rows = []
    for source, shown in painted.items():
        fastest: dict[Any, float] = {}
        for value, seconds in _moved(source):
            fastest[value] = min(seconds, fastest.get(value, seconds))
            for figure in shown:
                if figure.message.value:
                    raise RuntimeError(f"{figure.state}: {figure.message.value}")
        if fastest:
            told = {"median": statistics.median(fastest.values()), "slowest": max(fastest.values())}
            rows.append({"control": names[source], "figures": len(shown), **told})
    return rows


def _moved(source: Any) -> Iterator[tuple[Any, float]]:
    """Set a control to each of its values in turn, and back in between; each with its seconds."""
    trait = "index" if hasattr(source, "index") else "value"
    start = getattr(source, trait)
    others = [value for value in _values(source) if value != start]
    for value in [value for other in others for value in (other, start)] * ROUNDS:
        started = time.thread_time()
        setattr(source, trait, value)
        yield value, time.thread_time() - started


def _values(source: Any) -> list[Any]:
    """What a control can be set to; of a long slider only some values, evenly spread."""
    if hasattr(source, "index"):
        places = list(range(len(source.options)))[:VALUES]
        return [(place,) for place in places] if isinstance(source.index, tuple) else places
    if isinstance(source.value, bool):
        return [False, True]
    last = round((source.max - source.min) / source.step)
    steps = np.unique(np.linspace(0, last, VALUES).round().astype(int)).tolist()
    return [min(source.max, source.min + source.step * step) for step in steps]


def _has_live_figures(notebook: nbformat.NotebookNode) -> bool:
    outputs = [x for cell in notebook.cells for x in cell.get("outputs", [])]
    return any(x.get("data", {}).get("text/plain") == LIVE for x in outputs)


def _time_in_kernel(
    notebook: nbformat.NotebookNode,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    notebook.cells.append(nbformat.v4.new_code_cell(_PROBE))
    execute(notebook)
    (printed,) = (x.text for x in notebook.cells[-1].outputs if x.get("name") == "stdout")
    told, rows = json.loads(printed)
    return told, rows
