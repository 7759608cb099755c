"""Work, counted and not timed: arithmetic, bytes moved and held, and times a GPU is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

# Each gives a number or a list whose length depends on values, for which a CPU waits for its GPU.
_WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "nms")


@dataclass(frozen=True)
class Work:
    """What one call of a function does.

    Attributes:
        flops: multiplications and additions of convolutions and matrix products.
        bytes: that its operations read and write, each for itself: what stays in a cache, or what a
            compiler would fuse, is counted all the same.
        operations: calls of PyTorch's operations that do something.
        waits: operations whose result a GPU has to hand over before Python can go on.
    """

    flops: int
    bytes: int
    operations: int
    waits: int

    @property
    def intensity(self) -> float:
        """Arithmetic for each byte."""
        return self.flops / max(1, self.bytes)


def count_work(function: Callable[[], object]) -> Work:
    """Run a function once and count what it does; its gradients, if it asks for them, included."""
    counter, traffic = FlopCounterMode(display=False), _Traffic()
    with counter, traffic:
        function()
    return Work(counter.get_total_flops(), traffic.bytes, traffic.operations, traffic.waits)


def peak_bytes(function: Callable[[], object]) -> int:
    """Run a function once on the CPU; the most that its tensors hold at a time, results included.

    The size of the process would not tell: it keeps memory that was in use before.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        _ = function()
    events = [x for x in found.profiler.kineto_results.events() if x.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events), default=0)


class _Traffic(TorchDispatchMode):
    """Adds up the sizes of what every operation takes and returns."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.operations = self.waits = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if not func.is_view:
            moved = sum(x.numel() * x.element_size() for x in _tensors((args, kwargs, result)))
            self.bytes += moved
            self.operations += moved > 0
        self.waits += name in _WAITS or _reads_mask(name, args)
        return result


def _reads_mask(name: str, args: tuple) -> bool:
    """Whether it picks by a mask, so that the size of the result depends on values."""
    if name not in ("index", "index_put_", "index_put"):
        return False
    filled = name != "index" and args[2].numel() == 1  # by one value: nothing has to be counted
    return not filled and any(x is not None and x.dtype == torch.bool for x in args[1])


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
