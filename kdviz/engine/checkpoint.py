"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from kdviz.files import write_atomically


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` under a temporary name, then rename: a checkpoint is whole or absent.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old checkpoint is untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, spec_hash: str) -> dict[str, Any]:
    """Read a checkpoint of the run with this hash, tensors on the CPU.

    Raises:
        ValueError: the file is damaged, or belongs to a run of another spec.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable checkpoint ({error}); delete it to start this run afresh"
        ) from error
    if state["spec_hash"] != spec_hash:
        raise ValueError(
            f"{path} was written by a run with spec hash {state['spec_hash']}, not {spec_hash}; "
            "resume with the spec it was started from, or use another run folder"
        )
    return state


def rng_state() -> list[dict[str, Any]]:
    """Random number states of every process, in rank order."""
    mine: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        mine["cuda"] = torch.cuda.get_rng_state()
    if not torch.distributed.is_initialized():
        return [mine]
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, mine)
    return states


def set_rng_state(states: list[dict[str, Any]], rank: int) -> None:
    """Put this process's random number states back."""
    torch.set_rng_state(states[rank]["cpu"])
    if "cuda" in states[rank] and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[rank]["cuda"])
