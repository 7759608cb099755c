"""How a training run goes: one frozen, typed record; an unknown key is an error."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kdviz.datasets.transforms import Preset

LEVERS = ("channels_last", "compile", "fused", "batched_losses", "device_preprocessing")
"""Keys that change how fast a run is and nothing else but the last bits of its numbers."""


class TrainConfig(BaseModel):
    """Everything the training loop needs to know beside models, methods and data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    """Drives order, augmentation and every random draw of the run."""
    steps: int = Field(default=1500, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(default=16, ge=1)
    """Images a step on each device."""
    augmentation: Preset = "flip"
    """A preset of `kdviz.datasets.transforms`."""

    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Not applied to biases and normalisation weights."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of SGD; AdamW keeps PyTorch's betas."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """What follows the warm-up."""
    warmup_steps: int = Field(default=100, ge=0)
    """Linear rise from ``lr / 1000``."""
    milestones: tuple[int, ...] = ()
    """Steps at which the ``step`` schedule multiplies the learning rate by ``gamma``."""
    gamma: float = Field(default=0.1, gt=0, le=1)
    clip_norm: float | None = Field(default=10.0, gt=0)
    """Largest gradient norm over student and adapters; None leaves gradients alone."""
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Average the student's weights with this decay; the average is what is scored and exported."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = Field(default=1, ge=1)
    """Processes, one a device; start more than one with torchrun or ``fabric run``."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Losses are computed in float32 whatever this says."""
    teacher_cache: bool = False
    """Compute the teacher's maps of every view once and read them from disk afterwards."""
    workers: int = Field(default=0, ge=0)
    """Processes that load images; 0 loads in the training process."""

    channels_last: bool | None = None
    """Weights, images and maps hold the channels of a cell side by side; None: on a GPU."""
    compile: bool | None = None
    """Fuse what both detectors do by `torch.compile`; None: on a GPU, from 1000 steps on."""
    fused: bool | None = None
    """One kernel for the optimiser; None: on a GPU, except with clipped float16 gradients."""
    batched_losses: bool | None = None
    """Losses of all images at once, where torchvision takes one by one; None: on a GPU."""
    device_preprocessing: bool | None = None
    """Images travel as bytes, are scaled, normalised and resized on the device; None: on a GPU."""

    checkpoint_every: int = Field(default=200, ge=1)
    """Steps between checkpoints."""
    log_every: int = Field(default=10, ge=1)
    """Steps between lines of ``metrics.jsonl``."""
    eval_every: int = Field(default=0, ge=0)
    """Steps between scorings of the validation split on the way; 0 scores at the end alone."""
    keep_steps: tuple[int, ...] = ()
    """Steps after which the student is kept as it is then, to be looked at later."""
    zero_patience: int = Field(default=50, ge=1)
    """Steps in a row after which a term that is always zero stops the run."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps={self.warmup_steps} leaves nothing of steps={self.steps}; "
                "shorten the warm-up or train longer"
            )
        if beyond := [step for step in self.keep_steps if not 0 < step <= self.steps]:
            raise ValueError(f"keep_steps={beyond} lie outside 1 to steps={self.steps}")
        if self.schedule == "step" and not self.milestones:
            raise ValueError("schedule='step' needs milestones, the steps at which the rate falls")
        if self.milestones and self.schedule != "step":
            raise ValueError(f"milestones belong to schedule='step', not to {self.schedule!r}")
        if self.fused and self.precision == "16-mixed" and self.clip_norm is not None:
            raise ValueError(
                "fused=True undoes the scaling of float16 gradients inside the optimiser, after "
                "they would be clipped; take clip_norm=None, precision=bf16-mixed or fused=False"
            )
        return self


def learning_rate(step: int, config: TrainConfig) -> float:
    """Learning rate at ``step`` (from 0), a pure function, so that a resumed run needs no state.

    Returns:
        A value in (0, ``config.lr``].
    """
    if step < config.warmup_steps:
        return config.lr * max(1e-3, step / config.warmup_steps)
    if config.schedule == "cosine":
        progress = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
        # The floor keeps the last steps from being wasted at a rate of zero.
        return config.lr * max(1e-3, (1 + math.cos(math.pi * progress)) / 2)
    if config.schedule == "step":
        return config.lr * config.gamma ** sum(step >= m for m in config.milestones)
    return config.lr
