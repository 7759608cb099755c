"""What makes a GPU wait inside a step, found without a GPU.

The step runs on tensors that have shapes and a CUDA device but no values. An operation whose result
the host must know first - ``item()``, a boolean index - cannot be done on them and is named; a copy
between host and device that does not say ``non_blocking`` is seen by its arguments.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

import kdviz
from kdviz.detectors import DetectorParts, build, freeze
from kdviz.engine.levers import Levers, pulled
from kdviz.engine.trainee import Trainee
from kdviz.methods import METHODS
from kdviz.methods.base import Method
from kdviz.runs.bench.workload import Workload

PULLED = Levers(channels_last=True, batched_losses=True, device_preprocessing=True)
"""The levers that let a step go on without waiting."""

PACKAGE = str(Path(kdviz.__file__).parent)
SIDE, CLASSES = 96, 5
STUDENTS = {"FCOS": "fcos-shufflenetv2x0.5-c64", "RetinaNet": "retinanet-shufflenetv2x0.5-c16"}


def waits(where: Workload, limit: float) -> dict[str, Any]:
    """What the host waits for in a step: of a student with and without levers, of each method."""
    rows: list[dict[str, Any]] = []
    for family, name in STUDENTS.items():
        for words, levers in ((", torchvision's way", Levers()), (", alone", PULLED)):
            found = waits_of(Trainee(small_detector(name)), levers)
            rows.append({"step": f"{family}{words}", "waits": dict(found)})
    for method in METHODS:
        found = waits_of(taught_by(method))
        rows.append({"step": f"FCOS with {method.__name__}", "waits": dict(found)})
    return {"rows": rows, "ratios": {}}


def small_detector(name: str) -> DetectorParts:
    """A detector of a few classes for small images, with random weights."""
    return build(name, CLASSES, min_size=SIDE, max_size=SIDE)


def taught_by(method: type[Method]) -> Trainee:
    """A small FCOS with a teacher of its kind and this method, ready for its first step."""
    student, teacher = (small_detector(STUDENTS["FCOS"]) for _ in range(2))
    trainee = Trainee(student, teacher, [method(student, freeze(teacher))])
    box = {"boxes": torch.tensor([[8.0, 8.0, 60.0, 60.0]]), "labels": torch.tensor([1])}
    trainee.refresh(0, [([torch.rand(3, SIDE, SIDE)], [box])])
    return trainee


def waits_of(
    trainee: Trainee,
    levers: Levers = PULLED,
    sizes: Sequence[tuple[int, int]] = ((SIDE, SIDE), (80, SIDE)),
) -> Counter[str]:
    """What the second step of a trainee waits for; the first may lay out constants.

    Args:
        trainee: of small detectors; its weights lose their values.
        levers: as they are pulled on a GPU.
        sizes: (height, width) of the images, pixels.

    Returns:
        How often, by the file that asks for a copy; or the one operation that needs a value, at
        which the step cannot go on. Empty where nothing waits.
    """
    with _without_page_locking(), FakeTensorMode(allow_non_fake_inputs=True):
        _put_on_paper(trainee)
        if trainee.teacher is not None:
            _put_on_paper(trainee.teacher.model)
        images = [torch.empty(3, *size, dtype=torch.uint8, device="cuda") for size in sizes]
        targets = [
            {
                "boxes": torch.empty(count, 4, device="cuda"),
                "labels": torch.empty(count, dtype=torch.int64, device="cuda"),
            }
            for count in (3, 0)
        ]
        with pulled(levers, trainee.train()):
            for _ in range(2):
                try:
                    with _Copies() as copies:
                        trainee(images, targets)
                except (DataDependentOutputException, DynamicOutputShapeException) as error:
                    return Counter({str(error.func): 1})
    return copies.seen


class _Copies(TorchDispatchMode):
    """Counts copies between host and device that the host waits for, by the file that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            source = args[1] if func.overloadpacket is torch.ops.aten.copy_ else args[0]
            waits = not (kwargs.get("non_blocking") or True in args[2:])
            if source.device.type != result.device.type and waits:
                self.seen[_asking_file()] += 1
        return result


def _asking_file() -> str:
    ours = [Path(x.filename).name for x in traceback.extract_stack() if PACKAGE in x.filename]
    return ours[-1]


def _put_on_paper(module: nn.Module) -> None:
    """Give a module tensors on a GPU that have no values."""
    for each in module.modules():
        tables: list[dict[str, Any]] = [each._parameters, each._buffers]
        for values in tables:
            for name, tensor in values.items():
                if tensor is not None:
                    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
                    learned = isinstance(tensor, nn.Parameter)
                    values[name] = nn.Parameter(empty, tensor.requires_grad) if learned else empty


@contextmanager
def _without_page_locking() -> Iterator[None]:
    """Only a machine with a GPU can lock pages."""
    tensor: Any = Tensor
    kept = tensor.pin_memory
    tensor.pin_memory = lambda values: values
    try:
        yield
    finally:
        tensor.pin_memory = kept
