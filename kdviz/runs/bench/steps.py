"""Single steps that are timed and counted: a student's, a teacher's forward, one with a method."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kdviz.detectors import DetectorParts
from kdviz.detectors.parts import Pass
from kdviz.engine.trainee import Trainee
from kdviz.methods.base import Method
from kdviz.structures import Target

Images = list[Tensor]
Targets = list[Target]


def train_step(trainee: Trainee, images: Images, targets: Targets) -> Callable[[], None]:
    """Losses and their gradients; the optimiser, the same for all methods, is left out."""

    def step() -> None:
        trainee.train().zero_grad()
        torch.stack(list(trainee(images, targets).values())).sum().backward()

    return step


def teach(
    teacher: DetectorParts, student: DetectorParts, images: Images, targets: Targets, *, head: bool
) -> Callable[[], None]:
    """The teacher's forward pass over the student's batch, with or without its head."""

    @torch.no_grad()
    def forward() -> None:
        seen = Pass(teacher, student.preprocess(images, targets))
        _ = seen.output if head else seen.features

    return forward


@torch.no_grad()
def runs_head(
    method: Method,
    student: DetectorParts,
    teacher: DetectorParts,
    images: Images,
    targets: Targets,
) -> bool:
    """Whether a method asks for the output of the teacher's head."""
    batch = student.preprocess(images, targets)
    taught = Pass(teacher, batch)
    method.refresh([(Pass(student, batch), Pass(teacher, batch), batch)])
    method(Pass(student, batch), taught, batch)
    return "output" in vars(taught)


def kept_megabytes(trainee: Trainee, images: Images, targets: Targets) -> float:
    """Memory that one forward pass keeps for its backward: the peak of a step, weights aside."""
    kept: dict[int, int] = {}

    def keep(values: Tensor) -> Tensor:
        storage = values.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return values

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
        losses = trainee.train()(images, targets)
    weights = {p.untyped_storage().data_ptr() for p in trainee.parameters()}
    del losses
    return sum(size for place, size in kept.items() if place not in weights) / 2**20
