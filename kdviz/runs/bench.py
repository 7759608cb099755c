"""Speed as ratios measured in one run: ``make bench`` writes ``runs/bench/bench.json`` and a table.

Absolute times say more about a machine than about code, so each number here is a time beside
another one taken in the same minutes: a step with a method beside the step and the teacher's
forward it cannot do without, masks beside the loop that they replace. Only how fast figures repaint
is told as it is, since a reader has a feeling for it.

``python -m kdviz.runs.bench repaints`` measures one part anew and keeps the others.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from kdviz.detectors import DetectorParts, build, freeze
from kdviz.detectors.parts import Pass
from kdviz.engine.trainee import Trainee
from kdviz.files import read_json, write_atomically, write_json_atomically
from kdviz.methods import METHODS
from kdviz.methods.fgfi import imitation_mask, mask_from_iou
from kdviz.methods.gkd import select_prototypes
from kdviz.runs.environment import environment
from kdviz.runs.lessons import scene_batch
from kdviz.runs.repaints import repaint_sentence, repaints
from kdviz.structures import Target

OUT = Path("runs/bench")
SIZE, IMAGES, REPEATS = 128, 8, 7


def main(chosen: Sequence[str] = ()) -> None:
    """Measure everything and write JSON and a Markdown table.

    Args:
        chosen: parts that are measured anew, the others are kept from last time; none means all.

    Raises:
        KeyError: there is no such part.
        FileNotFoundError: the others were never measured.
    """
    torch.manual_seed(0)
    parts: dict[str, Callable[[], Any]] = {
        "overhead": overhead,
        "masks": masks,
        "prototypes": prototypes,
        "repaints": repaints,
    }
    told = {"command": "make bench", "environment": environment()}
    report = read_json(OUT / "bench.json") if chosen else told
    report |= {name: parts[name]() for name in chosen or parts}
    OUT.mkdir(parents=True, exist_ok=True)
    write_json_atomically(OUT / "bench.json", report, indent=2)
    write_atomically(OUT / "bench.md", table(report))
    print(table(report), end="")


def overhead() -> list[dict[str, Any]]:
    """Step time with each method over (student's step + teacher's forward), medians of a round.

    The rounds are interleaved, so that a machine that slows down slows all of them.
    """
    student = build("fcos-shufflenetv2x0.5-c64", 9, min_size=SIZE, max_size=SIZE)
    teacher = freeze(build("fcos-resnet18-c64", 9, min_size=SIZE, max_size=SIZE))
    images, targets = scene_batch(IMAGES, SIZE)
    timed: dict[str, Callable[[], object]] = {
        "student": _step(Trainee(student), images, targets),
        "teacher features": lambda: _teach(teacher, student, images, targets, head=False),
        "teacher with head": lambda: _teach(teacher, student, images, targets, head=True),
    }
    for method in METHODS:
        trainee = Trainee(student, teacher, [method(student, teacher)])
        trainee.refresh(0, [(images, targets)])
        timed[method.__name__] = _step(trainee, images, targets)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for round_number in range(REPEATS + 1):
        for name, function in timed.items():
            started = time.perf_counter()
            function()
            if round_number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    alone = _kept_megabytes(Trainee(student), images, targets)
    rows = []
    for method in METHODS:
        name = method.__name__
        trainee = Trainee(student, teacher, [method(student, teacher)])
        trainee.refresh(0, [(images, targets)])
        needs_head = _runs_head(method(student, teacher), student, teacher, images, targets)
        least = (
            median["student"] + median["teacher with head" if needs_head else "teacher features"]
        )
        rows.append(
            {
                "method": name,
                "seconds": median[name],
                "student_step": median["student"],
                "teacher_forward": least - median["student"],
                "overhead": median[name] / least,
                "megabytes": _kept_megabytes(trainee, images, targets) - alone,
            }
        )
    return rows


def masks(boxes: int = 100) -> dict[str, float]:
    """FGFI masks of one 800 x 1333 image on RetinaNet's finest level, beside one box at a time."""
    height, width, stride = 100, 167, 8
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centre = torch.stack([x, y, x, y], dim=-1)[:, :, None] * stride
    sides = torch.tensor([[32.0 * s * r**0.5, 32.0 * s / r**0.5]
                          for s in (1, 1.26, 1.59) for r in (0.5, 1, 2)])  # fmt: skip
    anchors = centre + torch.cat([-sides / 2, sides / 2], dim=1)
    corner = torch.rand(boxes, 2) * torch.tensor([1200.0, 700.0])
    truth = torch.cat([corner, corner + 20 + 60 * torch.rand(boxes, 2)], dim=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fast = _median(lambda: imitation_mask(anchors, truth))
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "seconds": fast,
        "seconds_one_by_one": _median(lambda: _one_by_one(anchors, truth)),
        "extra_megabytes": extra / 1024,
    }


def _one_by_one(anchors: Tensor, boxes: Tensor) -> Tensor:
    mask = torch.zeros(anchors.shape[:2], dtype=torch.bool)
    for box in boxes:
        iou = box_iou(anchors.reshape(-1, 4), box[None]).view(*anchors.shape[:3], 1)
        mask |= mask_from_iou(iou)
    return mask


def prototypes(instances: int = 2000, channels: int = 256, count: int = 10) -> dict[str, float]:
    """GKD's choice of prototypes among many instances, beside trying each candidate on its own."""
    student, teacher = (
        torch.randn(instances, channels).abs(),
        torch.randn(instances, channels).abs(),
    )
    few = 300  # the naive way takes minutes for all of them, and grows with their square
    return {
        "seconds": _median(lambda: select_prototypes(student, teacher, count)),
        "seconds_300": _median(lambda: select_prototypes(student[:few], teacher[:few], 1)),
        "seconds_300_naive": _median(lambda: _first_prototype(student[:few], teacher[:few])),
    }


def _first_prototype(student: Tensor, teacher: Tensor, alpha: float = 10.0) -> int:
    """The first greedy choice, one candidate and one instance at a time."""
    ours, theirs = (torch.nn.functional.normalize(x, dim=1) for x in (student, teacher))
    errors = []
    for atom, twin in zip(ours, theirs, strict=True):
        error = 0.0
        for one, other in zip(ours, theirs, strict=True):
            i, j = float(atom @ one), float(twin @ other)
            u = (alpha * (i + j) + i) / (1 + 2 * alpha)
            v = (alpha * (i + j) + j) / (1 + 2 * alpha)
            error += 2 + u * u - 2 * u * i + v * v - 2 * v * j + alpha * (u - v) ** 2
        errors.append(error)
    return errors.index(min(errors))


def _kept_megabytes(trainee: Trainee, images: list[Tensor], targets: list[Target]) -> float:
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


def _step(trainee: Trainee, images: list[Tensor], targets: list[Target]) -> Callable[[], None]:
    def step() -> None:
        trainee.train().zero_grad()
        torch.stack(list(trainee(images, targets).values())).sum().backward()

    return step


@torch.no_grad()
def _teach(
    teacher: DetectorParts,
    student: DetectorParts,
    images: list[Tensor],
    targets: list[Target],
    head: bool,
) -> None:
    seen = Pass(teacher, student.preprocess(images, targets))
    _ = seen.output if head else seen.features


@torch.no_grad()
def _runs_head(
    method: Any,
    student: DetectorParts,
    teacher: DetectorParts,
    images: list[Tensor],
    targets: list[Target],
) -> bool:
    batch = student.preprocess(images, targets)
    taught = Pass(teacher, batch)
    method.refresh([(Pass(student, batch), Pass(teacher, batch), batch)])
    method(Pass(student, batch), taught, batch)
    return "output" in vars(taught)


def _median(function: Callable[[], object]) -> float:
    function()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    where = report["environment"]
    lines = [
        f"torch {where['torch']}, {where['threads']} threads, {where['gpu'] or where['cpu']}",
        "",
        f"Overhead: step / (student's step + teacher's forward), {IMAGES} scenes of {SIZE} px",
        "",
        "| method | overhead | step, ms | memory kept beside the student's, MB |",
        "|---|---|---|---|",
    ]
    for row in report["overhead"]:
        numbers = (f"{row['overhead']:.2f}", f"{1000 * row['seconds']:.0f}")
        lines.append(f"| {row['method']} | {' | '.join(numbers)} | {row['megabytes']:.0f} |")
    mask, chosen = report["masks"], report["prototypes"]
    lines += [
        "",
        f"FGFI masks of 100 boxes, 800 x 1333, finest level: {1000 * mask['seconds']:.0f} ms "
        f"(one box at a time {1000 * mask['seconds_one_by_one']:.0f} ms), "
        f"{mask['extra_megabytes']:.0f} MB more than before",
        "",
        f"GKD: 10 prototypes among 2 000 instances of 256 channels: {chosen['seconds']:.2f} s; the "
        f"first among 300: {1000 * chosen['seconds_300']:.0f} ms, candidate by candidate "
        f"{1000 * chosen['seconds_300_naive']:.0f} ms",
        "",
        repaint_sentence(report["repaints"]),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
