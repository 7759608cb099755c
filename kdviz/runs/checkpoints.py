"""Exported detectors: safetensors files that plain torchvision loads and that name themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

import kdviz
from kdviz.detectors import DetectorParts, build
from kdviz.files import write_atomically
from kdviz.methods import Method, method_named
from kdviz.runs.spec import RunSpec

ADAPTERS = "adapters.safetensors"
"""What the methods of a run trained, beside its ``student.safetensors``."""


def save_student(
    path: Path,
    spec: RunSpec,
    student: DetectorParts,
    classes: list[str],
    ap: float | None,
    dtype: torch.dtype | None = None,
    step: int | None = None,
) -> None:
    """Write the student's own weights, without adapters, with what is needed to build it again.

    ``model.load_state_dict(safetensors.torch.load_file(path))`` works without kdviz.

    Args:
        path: where to, ``.safetensors``.
        spec: the run it comes from.
        student: the detector.
        classes: names in label order.
        ap: its AP on the run's validation split, in [0, 1]; None if it was not scored.
        dtype: of the floating-point tensors in the file; None keeps theirs.
        step: steps that it was trained for, if it is no finished one.
    """
    metadata: dict[str, Any] = {
        "kdviz": kdviz.__version__,
        "model": spec.student.name,
        "classes": classes,
        "min_size": spec.data.min_size,
        "max_size": spec.data.max_size,
        "run": spec.folder_name,
        "methods": [method.name for method in spec.methods],
    }
    if ap is not None:
        metadata["ap"] = round(ap, 4)
    if step is not None:
        metadata["step"] = step
    _write(path, student.model.state_dict(), metadata, dtype)


def read_metadata(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself; empty for a file that kdviz did not write.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    if path.suffix != ".safetensors":
        return {}
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file ({error})") from error
    return dict(json.loads(metadata.get("kdviz", "{}")))


def load_detector(path: Path | str) -> tuple[DetectorParts, list[str]]:
    """A detector from a file that kdviz wrote, in eval mode, and its class names in label order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or does not say what model it holds.
    """
    path = Path(path)
    metadata = read_metadata(path)
    if "model" not in metadata:
        raise ValueError(
            f"{path} does not name its model; use kdviz.detectors.build(name, num_classes, "
            "weights=path) for checkpoints from elsewhere"
        )
    parts = build(
        metadata["model"],
        num_classes=len(metadata["classes"]) + 1,
        weights=str(path),
        min_size=metadata["min_size"],
        max_size=metadata["max_size"],
    )
    parts.model.eval()
    return parts, list(metadata["classes"])


def save_adapters(
    path: Path, spec: RunSpec, methods: Sequence[Method], dtype: torch.dtype | None = None
) -> bool:
    """Write what the methods of a run trained and kept beside the student: adapters, prototypes.

    A detector never needs it. A picture does that shows the student's maps as the teacher was made
    to read them.

    Args:
        path: where to, ``.safetensors``.
        spec: the run they come from.
        methods: in the order of the spec.
        dtype: of the floating-point tensors in the file; None keeps theirs.

    Returns:
        Whether there was anything to write: some methods have no state.
    """
    state = {
        f"{entry.name}.{key}": value
        for entry, method in zip(spec.methods, methods, strict=True)
        for key, value in method.state_dict().items()
    }
    if not state:
        return False
    metadata = {
        "kdviz": kdviz.__version__,
        "run": spec.folder_name,
        "methods": [entry.model_dump(include={"name", "options"}) for entry in spec.methods],
    }
    _write(path, state, metadata, dtype)
    return True


def load_adapters(
    path: Path, *, student: DetectorParts, teacher: DetectorParts
) -> dict[str, Method]:
    """The methods of a run as they were when it ended, by name, in eval mode and frozen.

    Args:
        path: a file of `save_adapters`.
        student: the detector they were trained with.
        teacher: the detector that it learned from.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, is none of ours, or belongs to other detectors.
    """
    entries = read_metadata(path).get("methods")
    if not entries or not isinstance(entries[0], dict):
        raise ValueError(f"{path} holds no adapters; a run writes them as {ADAPTERS}")
    state = load_file(path)
    methods = {}
    for entry in entries:
        name = entry["name"]
        method = method_named(name)(student, teacher, **entry["options"])
        own = {
            key.removeprefix(f"{name}."): value.float() if value.is_floating_point() else value
            for key, value in state.items()
            if key.startswith(f"{name}.")
        }
        try:
            method.load_state_dict(own)
        except RuntimeError as error:
            raise ValueError(f"{path} was trained with other detectors: {error}") from error
        methods[name] = method.eval().requires_grad_(False)
    return methods


def _write(
    path: Path,
    state: Mapping[str, Tensor],
    metadata: dict[str, Any],
    dtype: torch.dtype | None,
) -> None:
    cast = {
        key: value.to(dtype) if dtype is not None and value.is_floating_point() else value
        for key, value in state.items()
    }
    plain = {key: value.detach().cpu().contiguous() for key, value in cast.items()}
    write_atomically(path, save(plain, metadata={"kdviz": json.dumps(metadata)}))


def sha256(path: Path) -> str:
    """Checksum of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
