"""The small trained detectors that come with kdviz, and the scenes they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import kdviz
from kdviz.detectors import DetectorParts
from kdviz.methods import Method
from kdviz.runs.checkpoints import load_adapters, load_detector, sha256

FOLDER = Path(kdviz.__file__).resolve().parent.parent / "data"
"""Where the checkpoints and ``checkpoints.yaml`` are."""


def manifest() -> dict[str, dict[str, Any]]:
    """For each embedded detector: file, sha256, AP and the command that made it.

    Raises:
        FileNotFoundError: the folder is not there, as in an installation without the repository.
        ValueError: ``checkpoints.yaml`` is damaged.
    """
    return _read(FOLDER / "checkpoints.yaml")


def snapshots() -> dict[str, dict[str, Any]]:
    """The embedded student after its first steps, as ``student@150``: entries as in `manifest`.

    Empty where none are embedded.
    """
    path = FOLDER / "snapshots" / "checkpoints.yaml"
    return _read(path) if path.is_file() else {}


def entries() -> dict[str, dict[str, Any]]:
    """Everything that `load` knows by name: the trained detectors, then the snapshots."""
    return manifest() | snapshots()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}; the embedded checkpoints come with the repository: clone it, and install "
            "with 'pip install -e .'"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is damaged; restore it ({error})") from error
    whole = {"file", "sha256", "model", "ap", "command"}
    if not isinstance(content, dict) or not all(
        isinstance(x, dict) and whole <= set(x) for x in content.values()
    ):
        raise ValueError(f"{path} is damaged; restore it (each entry needs {sorted(whole)})")
    return content


def names() -> list[str]:
    """Names of the embedded detectors that were trained to the end."""
    return list(manifest())


def is_intact(name: str) -> bool:
    """Whether the files of an embedded detector have the checksums they were made with."""
    return _damaged(entries()[name]) is None


def load(name: str) -> tuple[DetectorParts, list[str]]:
    """An embedded detector in eval mode, and its class names in label order.

    Raises:
        ValueError: there is none of this name (lists them), or its file is damaged.
        FileNotFoundError: the folder is not there.
    """
    return load_detector(FOLDER / _intact(name)["file"])


def adapters(name: str, *, student: DetectorParts, teacher: DetectorParts) -> dict[str, Method]:
    """What the methods that made an embedded detector trained beside it; empty for none.

    Args:
        name: of the embedded detector.
        student: that detector.
        teacher: the embedded teacher.

    Raises:
        ValueError: there is none of this name (lists them), or its files are damaged.
        FileNotFoundError: the folder is not there.
    """
    entry = _intact(name)
    if "adapters" not in entry:
        return {}
    return load_adapters(FOLDER / entry["adapters"], student=student, teacher=teacher)


def _intact(name: str) -> dict[str, Any]:
    """The entry of a detector whose files are whole."""
    known = entries()
    if name not in known:
        raise ValueError(f"no embedded detector {name!r}; there are {', '.join(known)}")
    damaged = _damaged(known[name])
    if damaged is not None:
        raise ValueError(
            f"{damaged} is damaged or missing: its checksum is not that of checkpoints.yaml; "
            "restore both"
        )
    return known[name]


def _damaged(entry: dict[str, Any]) -> Path | None:
    """The first file of an entry that is not there as it was made."""
    files = {entry["file"]: entry["sha256"]}
    if "adapters" in entry:
        files[entry["adapters"]] = entry["adapters_sha256"]
    for name, digest in files.items():
        path = FOLDER / name
        if not path.is_file() or sha256(path) != digest:
            return path
    return None
