"""Where the time of a step goes: by the kind of operation."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from kdviz.runs.bench.rounds import wait_for_gpu

REST = "rest"
"""Python, waiting, and what the profiler adds."""

KINDS: dict[str, str] = {
    "convolution": r"conv|addmm|\bmm\b|bmm|matmul|linear|einsum|baddbmm",
    "normalisation": r"norm",
    "resizing": r"upsample|interpolate|pool|grid_sampl",
    "choosing": r"sort|topk|nonzero|index|gather|scatter|masked|where|\bmax\b|\bmin\b"
    r"|amax|amin|nms|take|unique|searchsorted|argm",
    "copies": r"copy|cat|clone|contiguous|stack|empty|zero|fill|resize_|\bto\b|view"
    r"|as_strided|slice|select|expand|permute|transpose|split|unbind|detach|alias|narrow|chunk"
    r"|flip|pad|roll|repeat|arange|full|ones|item|_local_scalar_dense",
    "arithmetic": r".",
}
"""Kinds and what names of operations they hold; the first that fits.

Convolution holds matrix products, too; choosing is to sort, compare and index; copies are all that
moves or shapes; arithmetic is what is left, value by value.
"""


def kind_of(operation: str) -> str:
    """The kind of an operation by its name: ``aten::mul`` is arithmetic."""
    name = operation.split("::")[-1]
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, name))


def time_by_kind(function: Callable[[], object], calls: int = 3) -> dict[str, float]:
    """Share of a function's time that each kind of operation takes, and the rest; sums to 1.

    On a GPU what it works, so that the rest is time in which it has nothing to do.

    Args:
        function: called a few times.
        calls: that count.
    """
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    function()
    wait_for_gpu()
    with profile(activities=activities, acc_events=True) as found:
        started = time.perf_counter()
        for _ in range(calls):
            function()
        wait_for_gpu()
        seconds = time.perf_counter() - started
    shares = dict.fromkeys(KINDS, 0.0)
    for event in found.key_averages():
        if "::" in event.key and not event.key.startswith("autograd::"):
            own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            shares[kind_of(event.key)] += own / 1e6 / seconds
    return {**shares, REST: max(0.0, 1 - sum(shares.values()))}
