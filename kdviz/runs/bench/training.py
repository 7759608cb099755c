"""How fast does kdviz train, beside the plain torchvision recipe, and what does each lever give?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from kdviz.detectors import build
from kdviz.engine.train import train
from kdviz.engine.trainee import Images, Targets, Trainee
from kdviz.runs.bench.plain import train_plainly
from kdviz.runs.bench.rounds import interleaved, wait_for_gpu
from kdviz.runs.bench.workload import CLASSES, Workload, write_folder
from kdviz.runs.prepare import Prepared, prepare, training_batches
from kdviz.runs.spec import RunSpec, parse_spec

FAMILIES = {"fcos": "FCOS", "retinanet": "RetinaNet"}
"""Families of the zoo, and their names."""

WARM_UP = 1  # step of a turn, which starts workers and fills caches
LR = 1e-4

OFF: Mapping[str, Any] = {
    "channels_last": False,
    "compile": False,
    "fused": False,
    "batched_losses": False,
    "device_preprocessing": False,
    "precision": "32-true",
    "workers": 0,
}
"""Every lever as if there were none."""


def levers(where: Workload) -> dict[str, dict[str, Any]]:
    """By name, what each lever changes of `OFF`."""
    return {
        "channels_last": {"channels_last": True},
        "compile": {"compile": True},
        "fused": {"fused": True},
        "batched_losses": {"batched_losses": True},
        "device_preprocessing": {"device_preprocessing": True},
        "bf16-mixed": {"precision": "bf16-mixed"},
        "workers": {"workers": where.workers},
    }


def training(where: Workload, limit: float) -> dict[str, Any]:
    """Images a second of the plain recipe, of kdviz without levers, with each alone, with all.

    Every variant goes on training its own detector for a few steps in each round. On a CPU the
    fastest of them counts, as whatever else the machine does only adds to a time. A GPU is given
    work ahead, and to wait for it after each step would take that from it: there all steps of a
    turn are timed as one.
    """
    laps, steps = (1, 8) if where.on_gpu else (5, 1)
    total = steps_of_turn(laps, steps)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="kdviz-bench-") as temporary:
        count = total * where.batch
        folder = write_folder(Path(temporary) / "images", count, where.file_size)
        for family, detector in FAMILIES.items():
            settings, skipped = settings_of(where)
            if where.on_gpu and rows:
                del settings["compile"]
                skipped["compile"] = "part of all; alone it would take another minute to compile"
            turns: dict[str, Callable[[], float]] = {
                "torchvision": _plain_turn(where, f"{family}-{where.trained}", folder, laps, steps)
            }
            for name, changed in settings.items():
                spec = _spec(where, f"{family}-{where.trained}", folder, changed, total)
                turns[name] = _turn(spec, Path(temporary), laps, steps)
            times = interleaved(turns, rounds=where.rounds, limit=limit / len(FAMILIES))
            for name in turns:
                row = {
                    "detector": detector,
                    "variant": name,
                    "images_per_second": where.batch / times.median(name),
                    "over_torchvision": times.ratio("torchvision", name),
                    "over_none": times.ratio("none", name),
                }
                rows.append(row)
            rows += [
                {"detector": detector, "variant": x, "skipped": why} for x, why in skipped.items()
            ]
    measured = [row for row in rows if "skipped" not in row and row["variant"] != "torchvision"]
    ratios = {
        f"{row['detector']}, {row['variant']}, over torchvision": row["over_torchvision"]
        for row in measured
    }
    return {"rows": rows, "ratios": ratios}


def settings_of(where: Workload) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What each variant changes of `OFF`, and why others are left out."""
    skipped = {}
    each = levers(where)
    if not where.on_gpu:
        skipped["compile"] = "to compile for a CPU takes minutes, more than all that is timed here"
    each = {name: changed for name, changed in each.items() if name not in skipped}
    every = {key: value for changed in each.values() for key, value in changed.items()}
    return {"none": {}, **each, "all": every}, skipped


def steps_of_turn(laps: int, steps: int) -> int:
    """Steps of a turn of that many laps, with those that do not count and the one that ends it."""
    return WARM_UP + laps * steps + 1


def _spec(
    where: Workload, model: str, folder: Path, changed: Mapping[str, Any], total: int
) -> RunSpec:
    smaller, larger = where.network_size
    return parse_spec(
        {
            "name": "bench",
            "student": {"name": model},
            "data": {"path": str(folder), "min_size": smaller, "max_size": larger},
            "train": {
                "steps": total,
                "batch_size": where.batch,
                "warmup_steps": 0,
                "optimizer": "sgd",
                "lr": LR,
                "checkpoint_every": 10**9,
                "accelerator": "gpu" if where.on_gpu else "cpu",
                **OFF,
                **changed,
            },
        }
    )


class _Watched(Trainee):
    """A trainee that notes when each of its steps begins: the loop calls `refresh` there."""

    clock: Callable[[], None]

    def refresh(self, step: int, samples: Iterable[tuple[Images, Targets]]) -> None:
        self.clock()
        super().refresh(step, samples)


def _turn(spec: RunSpec, root: Path, laps: int, steps: int) -> Callable[[], float]:
    """Some steps of kdviz's own loop; returns the seconds of one."""
    scene: Prepared = prepare(spec)
    trainee = _Watched(scene.trainee.student)
    scene = replace(scene, trainee=trainee)

    def turn() -> float:
        clock = trainee.clock = _Clock(laps, steps)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            train(
                trainee,
                lambda start: training_batches(spec, scene, start),
                [],
                spec.train,
                weights={},
                folder=Path(folder),
                spec_hash=spec.hash8,
                fabric=scene.fabric,
            )
        return clock.seconds

    return turn


def _plain_turn(
    where: Workload, name: str, folder: Path, laps: int, steps: int
) -> Callable[[], float]:
    torch.manual_seed(0)
    model = build(name, len(CLASSES) + 1, **where.sides).model.to(where.device)

    def turn() -> float:
        clock, total = _Clock(laps, steps), steps_of_turn(laps, steps)
        train_plainly(model, folder, batch=where.batch, steps=total, lr=LR, on_step=clock)
        return clock.seconds

    return turn


class _Clock:
    """Seconds of a step: called where each begins, it takes the time of laps of some steps."""

    def __init__(self, laps: int, steps: int) -> None:
        self.laps, self.steps = laps, steps
        self.calls, self.marks = 0, list[float]()

    def __call__(self) -> None:
        lap, rest = divmod(self.calls - WARM_UP, self.steps)
        if rest == 0 and 0 <= lap <= self.laps:
            wait_for_gpu()
            self.marks.append(time.perf_counter())
        self.calls += 1

    @property
    def seconds(self) -> float:
        """Of a step in the fastest lap."""
        return min(end - begin for begin, end in pairwise(self.marks)) / self.steps
