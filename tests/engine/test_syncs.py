"""What makes a GPU wait inside a step, found without a GPU.

The step runs on tensors that have shapes and a CUDA device but no values. An operation whose result
the host must know first - ``item()``, a boolean index - cannot be done on them and is named; a copy
between host and device that does not say ``non_blocking`` is seen by its arguments.
"""

import traceback
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

from kdviz.detectors import build, freeze
from kdviz.engine.levers import Levers, pulled
from kdviz.engine.trainee import Trainee
from kdviz.methods import METHODS

PACKAGE = str(Path(__file__).parents[2] / "kdviz")
PULLED = Levers(channels_last=True, batched_losses=True, device_preprocessing=True)

WAITING = {
    "GID": "boxes that overlap dropped (NMS)",
}
"""Methods that still make a GPU wait in a step, and for what."""


class Waits(TorchDispatchMode):
    """Counts copies between host and device that the host waits for, by the file that asks."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            source = args[1] if func.overloadpacket is torch.ops.aten.copy_ else args[0]
            waits = not (kwargs.get("non_blocking") or True in args[2:])
            if source.device.type != result.device.type and waits:
                self.seen[caller()] += 1
        return result


def caller():
    ours = [Path(x.filename).name for x in traceback.extract_stack() if PACKAGE in x.filename]
    return ours[-1]


def on_paper(module):
    """The same module with tensors on a GPU that have no values."""
    for each in module.modules():
        for values in (each._parameters, each._buffers):
            for name, tensor in values.items():
                if tensor is not None:
                    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
                    learned = isinstance(tensor, torch.nn.Parameter)
                    values[name] = (
                        torch.nn.Parameter(empty, tensor.requires_grad) if learned else empty
                    )


def waits_of(trainee, levers=PULLED, sizes=((96, 96), (80, 96))):
    """What the second step waits for; the first may lay out constants."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        on_paper(trainee)
        if trainee.teacher is not None:
            on_paper(trainee.teacher.model)
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
                    with Waits() as waits:
                        trainee(images, targets)
                except (DataDependentOutputException, DynamicOutputShapeException) as error:
                    return Counter({str(error.func): 1})
    return waits.seen


def detector(name):
    return build(name, 5, min_size=96, max_size=96)


@pytest.fixture(autouse=True)
def _no_page_locking(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda values: values)


@pytest.mark.parametrize("name", ["fcos-shufflenetv2x0.5-c64", "retinanet-shufflenetv2x0.5-c16"])
def test_a_student_alone_waits_for_nothing(name):
    assert not waits_of(Trainee(detector(name)))
    assert waits_of(Trainee(detector(name)), Levers())  # torchvision's way does: we can see it


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_methods_wait_where_we_say_so_and_nowhere_else(method):
    student, teacher = (detector("fcos-shufflenetv2x0.5-c64") for _ in range(2))
    chosen = method(student, freeze(teacher))
    trainee = Trainee(student, teacher, [chosen])
    box = {"boxes": torch.tensor([[8.0, 8.0, 60.0, 60.0]]), "labels": torch.tensor([1])}
    trainee.refresh(0, [([torch.rand(3, 96, 96)], [box])])
    assert bool(waits_of(trainee)) == (method.__name__ in WAITING)
