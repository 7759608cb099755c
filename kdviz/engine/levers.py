"""What makes the training loop faster without changing what it computes, one lever at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from kdviz.detectors.batched_losses import batched_losses
from kdviz.detectors.batched_preprocessing import Preprocess, batched_preprocess
from kdviz.detectors.parts import DetectorParts
from kdviz.engine.config import TrainConfig
from kdviz.engine.trainee import Trainee
from kdviz.structures import Batch, Target

BACKEND = "inductor"
"""What `torch.compile` hands its graphs to."""

WORTH_COMPILING = 1000
"""Steps of a run from which on the minute of compiling comes back on a GPU."""

GRAPHS = 64
"""Graphs that may be compiled: two detectors of three parts, in their modes and for some sizes."""


@dataclass(frozen=True)
class Levers:
    """Which levers are pulled; see the keys of `kdviz.engine.config.TrainConfig`."""

    channels_last: bool = False
    compile: bool = False
    fused: bool = False
    batched_losses: bool = False
    device_preprocessing: bool = False

    @classmethod
    def of(cls, config: TrainConfig, device: torch.device) -> Levers:
        """The levers of a config; what it leaves open is decided by the device."""
        gpu = device.type == "cuda"
        scaled = config.precision == "16-mixed" and config.clip_norm is not None
        triton = find_spec("triton") is not None
        return cls(
            channels_last=_chosen(config.channels_last, gpu),
            compile=_chosen(config.compile, gpu and triton and config.steps >= WORTH_COMPILING),
            fused=_chosen(config.fused, gpu and not scaled),
            batched_losses=_chosen(config.batched_losses, gpu),
            device_preprocessing=_chosen(config.device_preprocessing, gpu),
        )

    @property
    def memory_format(self) -> torch.memory_format:
        """How weights and images lie in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


def _chosen(said: bool | None, best: bool) -> bool:
    return best if said is None else said


def lay_out(trainee: Trainee, memory_format: torch.memory_format) -> None:
    """Put the weights of both detectors and of the adapters into this format, in place."""
    trainee.to(memory_format=memory_format)
    if trainee.teacher is not None:
        trainee.teacher.model.to(memory_format=memory_format)


@contextmanager
def pulled(levers: Levers, trainee: Trainee) -> Iterator[None]:
    """Inside the block the trainee steps as these levers say, afterwards as plainly as before.

    Nothing is wrapped: the state dict of both detectors stays that of torchvision.
    """
    plain = trainee.preprocess, trainee.losses
    preprocess = trainee.preprocess
    if levers.device_preprocessing:
        preprocess = batched_preprocess(trainee.student)
    if levers.channels_last:
        preprocess = _channels_last(preprocess)
    trainee.preprocess = preprocess
    if levers.batched_losses:
        trainee.losses = batched_losses(trainee.student)
    try:
        with ExitStack() as stack:
            if levers.batched_losses and trainee.teacher is not None:
                stack.enter_context(_batched(trainee.teacher))
            if levers.compile:
                stack.enter_context(_compiled(trainee))
            yield
    finally:
        trainee.preprocess, trainee.losses = plain


def _channels_last(preprocess: Preprocess) -> Preprocess:
    def prepare(images: Sequence[Tensor], targets: Sequence[Target]) -> Batch:
        batch = preprocess(images, targets)
        return replace(batch, images=batch.images.contiguous(memory_format=torch.channels_last))

    return prepare


@contextmanager
def _batched(teacher: DetectorParts) -> Iterator[None]:
    """A teacher that takes its losses at once: a method may ask for those of the student's maps."""
    teacher.losses = batched_losses(teacher)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        del teacher.losses


@contextmanager
def _compiled(trainee: Trainee) -> Iterator[None]:
    """Trunk, neck and head of both detectors compiled, each as a module of its own.

    What cannot be compiled runs as it is, and PyTorch's log says so.
    """
    parts = [trainee.student] if trainee.teacher is None else [trainee.student, trainee.teacher]
    modules = [module for each in parts for module in _large_parts(each.model)]
    # All modules share the code of `nn.Module.__call__`, by which compiled graphs are counted.
    with torch._dynamo.config.patch(recompile_limit=GRAPHS, suppress_errors=True):
        for module in modules:
            module.compile(backend=BACKEND)
        try:
            yield
        finally:
            for module in modules:
                module._compiled_call_impl = None


def _large_parts(model: nn.Module) -> list[nn.Module]:
    """What does nearly all of the arithmetic: trunk, neck and the head that slides over maps."""
    inside = dict(model.named_modules())
    split = "backbone.body" in inside
    names = ["backbone.body", "backbone.fpn"] if split else ["backbone"]
    return [inside[name] for name in (*names, "head", "rpn.head") if name in inside]
