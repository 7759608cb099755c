"""What a run of a matrix costs before any has been run: a few steps, and its weights counted."""

from __future__ import annotations

import time

import torch

from kdviz.detectors import DetectorParts, build, freeze
from kdviz.engine.trainee import Trainee
from kdviz.methods import method_named
from kdviz.runs.lessons import scene_batch
from kdviz.runs.matrix.spec import Cell

PROBED_STEPS = 3
"""Steps that are timed, after one that warms up."""

_IMAGES = 2
_CLASSES = 9  # of the rendered scenes, with the background
_BESIDE = 2 * 2**20  # bytes of a run's report, notebook, detections and history


def probe_step(cell: Cell) -> float:
    """Seconds of an optimiser step of a run, measured here on two rendered scenes of its size.

    The teacher has random weights, which change no time.
    """
    train, side = cell.spec.train, cell.spec.data.min_size
    on_gpu = torch.cuda.is_available() and train.accelerator != "cpu"
    device = torch.device("cuda" if on_gpu else "cpu")
    scenes, truths = scene_batch(_IMAGES, side)
    images = [image.to(device) for image in scenes]
    targets = [{key: value.to(device) for key, value in truth.items()} for truth in truths]
    trainee = _trainee(cell, side, device)
    trainee.refresh(0, [(images, targets)])
    started = 0.0
    for number in range(1 + PROBED_STEPS):
        if number == 1:
            started = _now(device)
        trainee.train().zero_grad()
        torch.stack(list(trainee(images, targets).values())).sum().backward()
    return (_now(device) - started) / PROBED_STEPS / _IMAGES * train.batch_size


def expected_megabytes(cell: Cell) -> float:
    """Size of the folder of a run: an exported student, and all that its checkpoint keeps."""
    student = build(cell.spec.student.name, _CLASSES)
    weights = sum(parameter.numel() for parameter in student.model.parameters())
    train = cell.spec.train
    copies = 2 + (2 if train.optimizer == "adamw" else 1) + (train.ema_decay is not None)
    return (4 * copies * weights + _BESIDE) / 2**20


def _trainee(cell: Cell, side: int, device: torch.device) -> Trainee:
    spec = cell.spec
    student = _detector(spec.student.name, side)
    if spec.teacher is None:
        return Trainee(student).to(device)
    teacher = freeze(_detector(spec.teacher.name, side))
    teacher.model.to(device)
    methods = [method_named(x.name)(student, teacher, **x.options) for x in spec.methods]
    return Trainee(student, teacher, methods).to(device)


def _detector(name: str, side: int) -> DetectorParts:
    return build(name, _CLASSES, min_size=side, max_size=side)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
