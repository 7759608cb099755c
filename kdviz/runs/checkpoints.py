"""Exported detectors: safetensors files that plain torchvision loads and that name themselves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

import kdviz
from kdviz.detectors import DetectorParts, build
from kdviz.files import write_atomically
from kdviz.runs.spec import RunSpec


def save_student(
    path: Path,
    spec: RunSpec,
    student: DetectorParts,
    classes: list[str],
    ap: float,
    dtype: torch.dtype | None = None,
) -> None:
    """Write the student's own weights, without adapters, with what is needed to build it again.

    ``model.load_state_dict(safetensors.torch.load_file(path))`` works without kdviz.

    Args:
        path: where to, ``.safetensors``.
        spec: the run it comes from.
        student: the detector.
        classes: names in label order.
        ap: its AP on the run's validation split, in [0, 1].
        dtype: of the floating-point tensors in the file; None keeps theirs.
    """
    metadata = {
        "kdviz": kdviz.__version__,
        "model": spec.student.name,
        "classes": classes,
        "min_size": spec.data.min_size,
        "max_size": spec.data.max_size,
        "run": spec.folder_name,
        "methods": [method.name for method in spec.methods],
        "ap": round(ap, 4),
    }
    state = {}
    for key, value in student.model.state_dict().items():
        cast = value.to(dtype) if dtype is not None and value.is_floating_point() else value
        state[key] = cast.detach().cpu().contiguous()
    write_atomically(path, save(state, metadata={"kdviz": json.dumps(metadata)}))


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


def sha256(path: Path) -> str:
    """Checksum of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
