"""Weights from a file into a detector, with an answer for each way in which that can fail."""

from __future__ import annotations

import pickle
from pathlib import Path
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdviz.detectors.parts import DetectorParts

_SUFFIXES = (".safetensors", ".pth", ".pt")
_DAMAGED = (
    SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    BadZipFile,
    KeyError,
    UnicodeDecodeError,
)
_SHOWN = 3  # names of tensors in a message


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or of a ``.pth`` / ``.pt`` state dict, on the CPU.

    Pickled files are read with ``weights_only=True``: a file can hold tensors, but no code. A
    training checkpoint that keeps its state dict under ``"model"`` or ``"state_dict"`` is opened.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the ending is unknown, the file is damaged, or it holds no state dict.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"weights must be a file ending in {_SUFFIXES}, not {str(path)!r}")
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; check the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise ValueError(
            f"{path} cannot be read as weights; is the file damaged or cut short? ({error})"
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(x, Tensor) for x in state.values()):
        raise ValueError(f"{path} holds no state dict (names to tensors)")
    return state


def load_state(model: nn.Module, state: dict[str, Tensor], source: str) -> tuple[int, int]:
    """Put every tensor of ``state`` into ``model``, or nothing at all.

    Tensors are cast to the dtype of the model, so that float16 files serve float32 models.

    Args:
        model: any detector.
        state: its tensors by name.
        source: where they come from, for the message.

    Returns:
        (tensors loaded, tensors of the model), equal on success.

    Raises:
        ValueError: names or shapes differ: the weights belong to another architecture.
    """
    before = {name: values.clone() for name, values in model.state_dict().items()}
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(values.shape)}"
        for name, values in before.items()
        if name in state and state[name].shape != values.shape
    ]
    misshaped = {text.split()[0] for text in shapes}
    # Through the model rather than by comparing names, since torchvision's modules still know the
    # names that their parameters had in its first published checkpoints.
    result = model.load_state_dict(
        {name: values for name, values in state.items() if name not in misshaped}, strict=False
    )
    missing = [name for name in result.missing_keys if name not in misshaped]
    if missing or result.unexpected_keys or shapes:
        model.load_state_dict(before)
        raise ValueError(
            f"{source} is a checkpoint of another architecture: {_count(missing, 'missing')}, "
            f"{_count(result.unexpected_keys, 'unexpected')}, "
            f"{_count(shapes, 'of another shape')}; the model has {len(before)} tensors"
        )
    return len(before), len(before)


def load_weights(parts: DetectorParts, path: str | Path) -> DetectorParts:
    """Read a file into the model of ``parts`` and record ``parts.loaded_tensors``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or belongs to another architecture.
    """
    parts.loaded_tensors = load_state(parts.model, read_state(path), str(path))
    return parts


def _count(names: list[str], what: str) -> str:
    if not names:
        return f"0 {what}"
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{more})"
