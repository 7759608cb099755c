"""Scores for an instructor; only the learner's own functions are executed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat

from kdviz.runs.exercises.checking import EXERCISES, check


def grade(source: Mapping[str, Any] | str | Path) -> dict[str, float]:
    """The score of each exercise, in [0, 1]; 0 for one that was not handed in.

    Args:
        source: names and functions (``globals()`` in a notebook), or the path of a notebook, from
            which only imports and the functions of the exercises are executed: it is the learner's
            code, so grade strangers' notebooks where it can do no harm.
    """
    functions = source if isinstance(source, Mapping) else functions_of(Path(source))
    return {
        name: check(name, functions[name]).score if callable(functions.get(name)) else 0.0
        for name in EXERCISES
    }


def functions_of(path: Path) -> dict[str, Any]:
    """The learner's functions of a notebook, with what the notebook imports in reach.

    A cell that does not compile or run hands in nothing; cells tagged ``solution`` are passed over.
    """
    notebook = nbformat.read(path, as_version=4)
    names: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "solution" in cell.metadata.get("tags", []):
            continue
        try:
            tree = ast.parse(cell.source)
        except SyntaxError:
            continue
        tree.body = [node for node in tree.body if _is_wanted(node)]
        try:
            exec(compile(tree, str(path), "exec"), names)
        except Exception as error:
            print(f"{path.name}: a cell stopped with {error!r}", file=sys.stderr)
    return names


def _is_wanted(node: ast.stmt) -> bool:
    is_answer = isinstance(node, ast.FunctionDef) and node.name in EXERCISES
    return is_answer or isinstance(node, ast.Import | ast.ImportFrom)


def main(paths: Sequence[str]) -> None:
    """Print the score of each exercise of each notebook."""
    for path in paths:
        print(path)
        for name, score in grade(path).items():
            print(f"  {name:<16} {score:4.0%}")
