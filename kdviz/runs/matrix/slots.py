"""Places of this machine that one run takes: a GPU each, or a core."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Sequence

from kdviz.runs.matrix.attempts import Attempt
from kdviz.runs.matrix.spec import MatrixSpec, cells

_MEMORY = 2 * 2**30  # bytes that a run on a core takes, roughly

CORE = ""
"""A place without a GPU, as ``CUDA_VISIBLE_DEVICES`` says it."""


def machine_slots(count: int | None = None, *, gpus: bool = True) -> list[str]:
    """The places of this machine, each by its ``CUDA_VISIBLE_DEVICES``.

    Args:
        count: how many; None means one for each GPU, else one for each core that has two gigabytes
            of memory. More than there are GPUs share them.
        gpus: whether the runs can use one.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count is not None and count < 1:
        raise ValueError(f"slots is how many runs are in work at once, at least 1, not {count}")
    devices = _gpus() if gpus else []
    if devices:
        count = len(devices) if count is None else count
        return [devices[number % len(devices)] for number in range(count)]
    return [CORE] * (_cores() if count is None else count)


def slots_for(matrix: MatrixSpec, count: int | None = None) -> list[str]:
    """The places of this machine for a matrix, checked to be enough for each of its runs.

    Raises:
        ValueError: a run wants more devices than there are places, or ``count`` is below 1.
    """
    trains = [cell.spec.train for cell in cells(matrix)]
    slots = machine_slots(count, gpus=any(train.accelerator != "cpu" for train in trains))
    most = max(train.devices for train in trains)
    if most > len(slots):
        raise ValueError(
            f"train.devices={most} takes {most} slots at once, and there are {len(slots)}; give "
            f"more (--slots {most}), or train on fewer devices"
        )
    return slots


def free_slots(slots: Sequence[str], taken: Iterable[str]) -> list[str]:
    """The places that are left, in order; one that is taken twice counts twice."""
    used = Counter(taken)
    free = []
    for slot in slots:
        if used[slot] > 0:
            used[slot] -= 1
        else:
            free.append(slot)
    return free


def taken_by(attempt: Attempt | None, devices: int) -> list[str]:
    """The places of this machine that a run in work takes, which another command started.

    Args:
        attempt: as far as it is on record; a plain ``kdviz run`` is not.
        devices: that the run trains on.
    """
    if attempt is not None and attempt.host != socket.gethostname():
        return []
    if attempt is None or not attempt.devices:
        return [CORE] * devices
    return attempt.devices.split(",")


def threads_of(slots: Sequence[str]) -> int:
    """Threads that each of several runs at once should take, so that they share the cores."""
    return max(1, (os.cpu_count() or 1) // len(slots))


def _gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _cores() -> int:
    cores = os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return cores
    return max(1, min(cores, memory // _MEMORY))
