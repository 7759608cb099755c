"""How does the cost of a step grow: with the size of images, the boxes on them, the prototypes?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from kdviz.detectors import DetectorParts
from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, FRS, GKD
from kdviz.methods.gkd import select_prototypes
from kdviz.runs.bench.rounds import interleaved, stopwatch
from kdviz.runs.bench.steps import Images, Targets, train_step
from kdviz.runs.bench.workload import Workload

BOXES = (1, 4, 16, 64)
PROTOTYPES = (1, 5, 10, 20, 40)
ROUNDS = 25
Turns = dict[tuple[str, int], Callable[[], float]]

SIZES = {"cpu": (64, 128, 192, 256), "cuda": (320, 480, 640, 800)}


def sweeps(where: Workload, limit: float) -> dict[str, Any]:
    """Seconds of a step along each of three axes, everything else as it is.

    Image size and boxes: the student alone, and with FGFI and FRS. Prototypes: GKD's choice of them
    among 1 000 instances of 256 channels.
    """
    share = limit / 3
    found = {
        "image size": _image_sizes(where, share),
        "boxes an image": _boxes(where, share),
        "prototypes": _prototypes(where, share),
    }
    rows = [row for each in found.values() for row in each]
    ratios = {
        f"{row['what']}, {axis} {row['value']}": row["over_first"]
        for axis, each in found.items()
        for row in each
        if row["value"] != each[0]["value"]
    }
    return {"axes": found, "rows": len(rows), "ratios": ratios}


def _image_sizes(where: Workload, limit: float) -> list[dict[str, Any]]:
    turns: Turns = {}
    sizes = SIZES[where.device.type]
    for size in sizes:
        square = replace(where, file_size=(size, size), network_size=(size, size))
        student, teacher = square.pair()
        images, targets = square.images(where.pair_batch // 2)
        often = sizes[-1] // size  # what is over soon is heard of more often
        turns |= {(name, size): turn for name, turn in
                  _steps(student, teacher, images, targets, often).items()}  # fmt: skip
    return _timed(turns, limit)


def _boxes(where: Workload, limit: float) -> list[dict[str, Any]]:
    student, teacher = where.pair()
    images, _ = where.images(where.pair_batch // 2)
    turns: Turns = {}
    for count in BOXES:
        targets = [_crowded(image.shape[-2:], count, k) for k, image in enumerate(images)]
        moved = [{key: x.to(where.device) for key, x in one.items()} for one in targets]
        turns |= {(name, count): turn for name, turn in
                  _steps(student, teacher, images, moved).items()}  # fmt: skip
    return _timed(turns, limit)


def _prototypes(where: Workload, limit: float) -> list[dict[str, Any]]:
    student, teacher = torch.randn(2, 1000, 256, device=where.device).abs()
    turns: Turns = {
        (GKD.__name__, count): stopwatch(partial(select_prototypes, student, teacher, count))
        for count in PROTOTYPES
    }
    return _timed(turns, limit)


def _steps(
    student: DetectorParts,
    teacher: DetectorParts,
    images: Images,
    targets: Targets,
    repeats: int = 1,
) -> dict[str, Callable[[], float]]:
    device = images[0].device
    trainees = {"student": Trainee(student)}
    for method in (FGFI, FRS):
        fresh = method(student, teacher).to(device)
        trainees[method.__name__] = Trainee(student, teacher, [fresh])
    return {
        name: stopwatch(train_step(x, images, targets), repeats) for name, x in trainees.items()
    }


def _crowded(size: Sequence[int], count: int, seed: int) -> dict[str, torch.Tensor]:
    """Boxes of an eighth to a quarter of the image anywhere on it."""
    height, width = size
    random = torch.Generator().manual_seed(seed)
    corner, side = torch.rand(2, count, 2, generator=random)
    extent = torch.tensor([width, height])
    low, sides = corner * 0.75 * extent, (0.125 + side / 8) * extent
    labels = torch.randint(1, 9, (count,), generator=random)
    return {"boxes": torch.cat([low, low + sides], dim=1), "labels": labels}


def _timed(turns: dict[tuple[str, int], Callable[[], float]], limit: float) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(what for what, _ in turns))  # whose turns follow each other
    ordered = sorted(turns, key=lambda turn: names.index(turn[0]))
    named = {f"{what} {value}": turns[what, value] for what, value in ordered}
    times = interleaved(named, rounds=ROUNDS, limit=limit)
    first: dict[str, int] = {}
    rows = []
    for what, value in turns:
        base = first.setdefault(what, value)
        rows.append(
            {
                "what": what,
                "value": value,
                "seconds": times.median(f"{what} {value}"),
                "over_first": times.ratio(f"{what} {value}", f"{what} {base}"),
            }
        )
    return rows
