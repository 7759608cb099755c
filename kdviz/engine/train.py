"""The training loop, read from top to bottom."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from kdviz.detectors.assembly import check_targets
from kdviz.engine.checkpoint import load_checkpoint, rng_state, save_checkpoint, set_rng_state
from kdviz.engine.config import TrainConfig, learning_rate
from kdviz.engine.guards import TermGuard
from kdviz.engine.history import History
from kdviz.engine.levers import Levers, lay_out, pulled
from kdviz.engine.trainee import Images, Targets, Trainee, term_of
from kdviz.methods.base import TermWeight

if TYPE_CHECKING:
    from lightning.fabric import Fabric

LoaderFactory = Callable[[int], DataLoader]
"""Batches from a given step on, as ``(images, targets)``."""

Score = Callable[[], Mapping[str, float]]
"""Named numbers of the student as it is now, such as its AP on the validation split."""

Keep = Callable[[int], None]
"""Writes the student down as it is after a number of steps."""


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint is written, the same command goes on from it."""


@dataclass(frozen=True)
class Outcome:
    """What a finished training leaves beside the weights.

    Attributes:
        seconds: wall time of the steps that this process took; a resumed run counts from there.
        images_per_second: images of all processes over that time.
        peak_memory: bytes on the GPU; None on a CPU.
    """

    seconds: float
    images_per_second: float
    peak_memory: int | None


def train(
    trainee: Trainee,
    loader: LoaderFactory,
    samples: Iterable[tuple[Images, Targets]],
    config: TrainConfig,
    *,
    weights: Mapping[str, TermWeight],
    folder: Path,
    spec_hash: str,
    fabric: Fabric,
    score: Score | None = None,
    keep: Keep | None = None,
) -> Outcome:
    """Train, from the last checkpoint of ``folder`` if there is one.

    Args:
        trainee: student, teacher and methods; its student holds the final weights afterwards.
        loader: makes the batches from a step on.
        samples: the training images without augmentation, in one order, for methods that look at
            them now and then; can be gone through again and again.
        config: how to train.
        weights: of each distillation term; detection losses count 1.
        folder: where ``metrics.jsonl`` and ``last.ckpt`` live.
        spec_hash: what the checkpoint must have been written for.
        fabric: device, precision and processes.
        score: asked every ``config.eval_every`` steps but the last; changes no later number of the
            training.
        keep: called after each of ``config.keep_steps``; changes nothing either.

    Raises:
        Interrupted: SIGTERM came; the checkpoint is written.
        FloatingPointError: a term is not finite; names term, level, step and image.
        ValueError: a term has always been zero, or the checkpoint is of another run.
    """
    torch.manual_seed(config.seed)
    levers = Levers.of(config, fabric.device)
    lay_out(trainee, levers.memory_format)
    optimizer = _optimizer(trainee, config, fused=levers.fused)
    if trainee.teacher is not None:
        trainee.teacher.model.to(fabric.device)
    wrapped, wrapped_optimizer = fabric.setup(trainee, optimizer)
    averaged = _average(trainee.model, config)
    resume = folder / "last.ckpt"
    step = 0
    if resume.exists():
        state = load_checkpoint(resume, spec_hash)
        step = _restore(state, trainee, optimizer, averaged, fabric)
    guard = TermGuard(config.zero_patience)
    wrapped.train()
    progress = tqdm(
        total=config.steps, initial=step, desc="train", unit="step", disable=_quiet(fabric)
    )
    batches = fabric.setup_dataloaders(
        loader(step), use_distributed_sampler=False, move_to_device=False
    )
    started, first_step = time.perf_counter(), step
    with (
        _history(folder, step, fabric) as history,
        _deterministic_cpu(fabric),
        _sigterm() as stop,
        pulled(levers, trainee),
    ):
        for host_images, host_targets in batches:
            if levers.device_preprocessing:
                check_targets(host_images, host_targets, trainee.student.num_classes)
            images, targets = _moved(host_images, host_targets, fabric.device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            trainee.refresh(step, samples)
            terms = wrapped(images, targets)
            factors = {key: _weight(key, weights, step, config.steps) for key in terms}
            loss = torch.stack([factors[key] * value for key, value in terms.items()]).sum()
            logging = step % config.log_every == 0 or step == config.steps - 1
            # Reading a loss makes a GPU wait, so there it is done when it is logged anyway.
            looking = logging or fabric.device.type == "cpu"
            if looking:
                guard.check(step, terms, trainee, images, targets)
            wrapped_optimizer.zero_grad()
            fabric.backward(loss)
            norm = None
            if config.clip_norm is not None:
                norm = fabric.clip_gradients(
                    wrapped,
                    wrapped_optimizer,
                    max_norm=config.clip_norm,
                    error_if_nonfinite=False,  # float16 overflows now and then; its scaler skips
                )
            if norm is not None and looking and config.precision != "16-mixed":
                guard.check_gradient(step, norm)
            wrapped_optimizer.step()
            if averaged is not None:
                averaged.update_parameters(trainee.model)
            if logging:
                elapsed = time.perf_counter() - started
                history.write(_record(step, loss, terms, factors, norm, optimizer, elapsed))
                progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            step += 1
            progress.update()
            done = step == config.steps
            if score and config.eval_every and step % config.eval_every == 0 and not done:
                before = time.perf_counter()
                # With the number of the step before it: what a checkpoint has seen stays in the
                # history when the run goes on from there.
                history.write({"step": step - 1, "metrics": _score(score, trainee, averaged)})
                started += time.perf_counter() - before
            if keep and step in config.keep_steps:
                with _as_exported(trainee, averaged):
                    keep(step)
            # All processes stop at one step: the first decides, at a step they all come to.
            # To agree makes a GPU wait, so there they do it when they look at the losses anyway.
            stopping = stop.asked
            if fabric.world_size > 1:
                stopping = looking and fabric.broadcast(stop.asked)
            if step % config.checkpoint_every == 0 or done or stopping:
                state = _state(step, trainee, optimizer, averaged, fabric, spec_hash)
                if fabric.is_global_zero:
                    save_checkpoint(resume, state)
            if stopping and not done:
                progress.close()
                raise Interrupted(f"stopped after step {step} of {config.steps}")
    progress.close()
    lay_out(trainee, torch.contiguous_format)
    if averaged is not None:
        trainee.model.load_state_dict(averaged.module.state_dict())
    seconds = time.perf_counter() - started
    images_seen = (config.steps - first_step) * config.batch_size * fabric.world_size
    on_gpu = fabric.device.type == "cuda"
    return Outcome(
        seconds=seconds,
        images_per_second=images_seen / seconds,
        peak_memory=torch.cuda.max_memory_allocated() if on_gpu else None,
    )


def make_fabric(config: TrainConfig) -> Fabric:
    """Devices, processes and precision as the config asks.

    Raises:
        RuntimeError: a GPU is asked for and there is none.
    """
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise RuntimeError(
            "train.accelerator is 'gpu' but PyTorch sees no CUDA device; "
            "use train.accelerator=auto (or cpu), or install a CUDA build of PyTorch"
        )
    # It takes seconds to import, which who only looks at a map need not wait for.
    from lightning.fabric import Fabric

    fabric = Fabric(
        accelerator="cuda" if config.accelerator == "gpu" else config.accelerator,
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        precision=config.precision,
    )
    fabric.launch()
    return fabric


def _score(score: Score, trainee: Trainee, averaged: AveragedModel | None) -> dict[str, float]:
    """Numbers of the weights that would be exported now; weights and random draws stay."""
    device = next(trainee.model.parameters()).device
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        _as_exported(trainee, averaged),
    ):
        return dict(score())


@contextmanager
def _as_exported(trainee: Trainee, averaged: AveragedModel | None) -> Iterator[None]:
    """The student with the weights that would be exported now; its own come back."""
    own = {key: values.clone() for key, values in trainee.model.state_dict().items()}
    if averaged is not None:
        trainee.model.load_state_dict(averaged.module.state_dict())
    try:
        yield
    finally:
        trainee.model.load_state_dict(own)


def _weight(key: str, weights: Mapping[str, TermWeight], step: int, steps: int) -> float:
    weight = weights.get(term_of(key))
    return 1.0 if weight is None else weight.at(step, steps)


def _moved(images: Images, targets: Targets, device: torch.device) -> tuple[Images, Targets]:
    """Images, boxes and labels on the device; what else a target says stays where it is read."""
    there = [image.to(device, non_blocking=True) for image in images]
    seen = ("boxes", "labels")
    return there, [
        {key: x.to(device, non_blocking=True) if key in seen else x for key, x in target.items()}
        for target in targets
    ]


def _optimizer(trainee: Trainee, config: TrainConfig, *, fused: bool) -> torch.optim.Optimizer:
    trained = [p for p in trainee.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=fused or None)
    return torch.optim.AdamW(groups, lr=config.lr, fused=fused or None)


def _average(model: nn.Module, config: TrainConfig) -> AveragedModel | None:
    if config.ema_decay is None:
        return None
    rule = get_ema_multi_avg_fn(config.ema_decay)
    return AveragedModel(model, multi_avg_fn=rule, use_buffers=True)


def _state(
    step: int,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedModel | None,
    fabric: Fabric,
    spec_hash: str,
) -> dict[str, Any]:
    scaler = _scaler(fabric)
    return {
        "spec_hash": spec_hash,
        "step": step,
        "trainee": trainee.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": None if averaged is None else averaged.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "rng": rng_state(),
    }


def _restore(
    state: dict[str, Any],
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedModel | None,
    fabric: Fabric,
) -> int:
    trainee.load_state_dict(state["trainee"])
    optimizer.load_state_dict(state["optimizer"])
    if averaged is not None:
        averaged.load_state_dict(state["average"])
    if state["scaler"] is not None:
        _scaler(fabric).load_state_dict(state["scaler"])
    set_rng_state(state["rng"], fabric.global_rank)
    return int(state["step"])


def _scaler(fabric: Fabric) -> Any:
    """The gradient scaler of float16; None in other precisions."""
    return getattr(fabric.strategy.precision, "scaler", None)


def _record(
    step: int,
    loss: Tensor,
    terms: Mapping[str, Tensor],
    factors: Mapping[str, float],
    norm: Tensor | None,
    optimizer: torch.optim.Optimizer,
    elapsed: float,
) -> dict[str, Any]:
    values = {key: value.item() for key, value in terms.items()}
    return {
        "step": step,
        "loss": loss.item(),
        "lr": optimizer.param_groups[0]["lr"],
        "terms": values,
        "weighted": {key: factors[key] * value for key, value in values.items()},
        "grad_norm": None if norm is None else norm.item(),
        "seconds": round(elapsed, 3),
    }


class _Stop:
    asked = False


@contextmanager
def _sigterm() -> Iterator[_Stop]:
    """Note SIGTERM instead of dying of it, so that the step in hand ends and is saved."""
    stop = _Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = True

    try:
        before = signal.signal(signal.SIGTERM, ask)
    except ValueError:  # not the main thread, as in a notebook's worker
        yield stop
        return
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _deterministic_cpu(fabric: Fabric) -> Iterator[None]:
    """Add gradients of indexed reads in one order on the CPU; threads would race otherwise."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    switches: Any = torch.utils.deterministic
    fill = switches.fill_uninitialized_memory
    if fabric.device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        switches.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        switches.fill_uninitialized_memory = fill


def _history(folder: Path, step: int, fabric: Fabric) -> History:
    """The run's history; the other processes of a run write theirs to nowhere."""
    path = folder / "metrics.jsonl" if fabric.is_global_zero else Path(os.devnull)
    return History(path, resume_step=step)


def _quiet(fabric: Fabric) -> bool | None:
    """Silent on all ranks but the first; there, tqdm's own choice (a bar where there is a tty)."""
    return None if fabric.is_global_zero else True
