"""The small trained detectors that come with kdviz, and the scenes they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import kdviz
from kdviz.detectors import DetectorParts
from kdviz.runs.checkpoints import load_detector, sha256

FOLDER = Path(kdviz.__file__).resolve().parent.parent / "data"
"""Where the checkpoints and ``checkpoints.yaml`` are."""


def manifest() -> dict[str, dict[str, Any]]:
    """For each embedded detector: file, sha256, AP and the command that made it.

    Raises:
        FileNotFoundError: the folder is not there, as in an installation without the repository.
        ValueError: ``checkpoints.yaml`` is damaged.
    """
    path = FOLDER / "checkpoints.yaml"
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}; the embedded checkpoints come with the repository: clone it, and install "
            "with 'pip install -e .'"
        )
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is damaged; restore it ({error})") from error
    whole = {"file", "sha256", "model", "ap", "command"}
    if not isinstance(entries, dict) or not all(
        isinstance(x, dict) and whole <= set(x) for x in entries.values()
    ):
        raise ValueError(f"{path} is damaged; restore it (each entry needs {sorted(whole)})")
    return entries


def names() -> list[str]:
    """Names of the embedded detectors."""
    return list(manifest())


def is_intact(name: str) -> bool:
    """Whether the file of an embedded detector has the checksum it was made with."""
    entry = manifest()[name]
    path = FOLDER / entry["file"]
    return path.is_file() and sha256(path) == entry["sha256"]


def load(name: str) -> tuple[DetectorParts, list[str]]:
    """An embedded detector in eval mode, and its class names in label order.

    Raises:
        ValueError: there is none of this name (lists them), or its file is damaged.
        FileNotFoundError: the folder is not there.
    """
    entries = manifest()
    if name not in entries:
        raise ValueError(f"no embedded detector {name!r}; there are {', '.join(entries)}")
    if not is_intact(name):
        raise ValueError(
            f"{FOLDER / entries[name]['file']} is damaged or missing: its checksum is not that of "
            "checkpoints.yaml; restore both"
        )
    return load_detector(FOLDER / entries[name]["file"])
