"""Where what belongs to a run of a matrix lies: in its folder, or beside it under its name."""

from __future__ import annotations

from pathlib import Path

NOTEBOOK = "notebook.ipynb"
"""Name of the executed notebook in the folder of a run."""


def attempts_file(folder: Path) -> Path:
    """Where the attempts at the run of a folder are told."""
    return _beside(folder, "attempts.jsonl")


def failed_notebook(folder: Path) -> Path:
    """Where the notebook of a failed attempt is kept."""
    return _beside(folder, "failed.ipynb")


def spec_file(folder: Path) -> Path:
    """Where the spec of a run lies for its worker."""
    return _beside(folder, "yaml")


def log_file(folder: Path) -> Path:
    """Where the output of a run's worker goes."""
    return _beside(folder, "log")


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")
