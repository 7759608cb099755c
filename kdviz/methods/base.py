"""The shape every distillation method has: where, adapt, loss, show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from kdviz.detectors.parts import Pass
from kdviz.structures import Batch, Pyramid


@dataclass(frozen=True)
class TermWeight:
    """How much one loss term counts at each step of a training run.

    Attributes:
        value: weight in full force, >= 0.
        start: steps at the beginning with weight 0.
        ramp: steps over which the weight then rises linearly from 0 to ``value``.
        decay: ``"linear"`` lets it fall from ``value`` to 0 over the whole run.
    """

    value: float
    start: int = 0
    ramp: int = 0
    decay: Literal["none", "linear"] = "none"

    def at(self, step: int, total_steps: int) -> float:
        """Weight at ``step`` (from 0) of a run of ``total_steps``."""
        if step < self.start:
            return 0.0
        rise = min(1.0, (step - self.start) / self.ramp) if self.ramp else 1.0
        fall = 1.0 - step / total_steps if self.decay == "linear" else 1.0
        return self.value * rise * fall


@dataclass(frozen=True)
class Distillation:
    """What a method says about one batch.

    Attributes:
        losses: unweighted scalars, keyed ``term`` or ``term/level`` (``fgfi/p3``); the engine
            multiplies by the weight of the term and logs both.
        maps: what weighs the loss, keyed by kind (``mask``), (N, 1, H, W) per level, detached.
            These are the tensors of the loss itself, so a picture cannot differ from the training.
    """

    losses: dict[str, Tensor]
    maps: dict[str, Pyramid] = field(default_factory=dict)


class Method(nn.Module):
    """A distillation method: called with two passes over one batch, returns a `Distillation`.

    A subclass is built as ``Method(student, teacher, **options)`` from the two `DetectorParts` and
    refuses a pair that cannot work. Its parameters are its adapters: they train with the student
    and are saved beside it, never inside it.

    Attributes:
        weights: published weight and schedule of each loss term, data for the engine.
        refresh_every: steps from one `refresh` to the next, the first at step 0; 0 for a method
            that keeps nothing from one step to the next.
    """

    weights: Mapping[str, TermWeight]
    refresh_every: int = 0

    def refresh(self, passes: Iterable[tuple[Pass, Pass, Batch]]) -> None:
        """Look at training images and renew what the method keeps between steps.

        What it keeps are buffers, so that a resumed run has them back. Most methods keep nothing.

        Args:
            passes: the student's and the teacher's pass over each batch, prepared as for evaluation
                and with targets, in the same order each time and in every process. They are read
                one by one, and only as many as the method needs.
        """

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses and maps of this batch."""
        raise NotImplementedError
