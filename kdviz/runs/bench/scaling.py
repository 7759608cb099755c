"""Do two processes train as one, and how much faster? torchrun starts this file once for each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from kdviz.detectors import build
from kdviz.engine.trainee import Trainee
from kdviz.files import read_json, write_json_atomically
from kdviz.runs.bench.rounds import interleaved, stopwatch
from kdviz.runs.bench.steps import Images, Targets, train_step
from kdviz.runs.bench.workload import CLASSES, Workload, workload


def scaling(where: Workload, limit: float) -> dict[str, Any]:
    """Images a second of one process and of two (gloo on the CPU), one thread each.

    Beside them how far the gradients of two processes lie from the mean of the gradients of both
    halves of the batch in one process, over the largest of them.
    """
    with tempfile.TemporaryDirectory(prefix="kdviz-bench-") as folder:
        out = Path(folder) / "scaling.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", "2", "-m", __name__, str(out), str(limit)]
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode:
            raise RuntimeError(f"two processes did not run: {told.stderr[-2000:]}")
        found: dict[str, Any] = read_json(out)
    return found


def main(out: Path, limit: float) -> None:
    """What each rank does; the first writes the numbers."""
    torch.set_num_threads(1)
    where = workload("cpu")
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    torch.manual_seed(0)
    name = f"fcos-{where.student}"
    trainee = Trainee(build(name, len(CLASSES) + 1, **where.sides))
    images, targets = where.images(2 * where.pair_batch)
    count, first = where.pair_batch, fabric.global_rank * where.pair_batch
    own = images[first : first + count], targets[first : first + count]
    halves = [_gradients(trainee, images[k : k + count], targets[k : k + count])
              for k in (0, count)]  # fmt: skip
    expected = [(a + b) / 2 for a, b in zip(*halves, strict=True)]
    alone = train_step(trainee, *own)

    wrapped = fabric.setup_module(trainee)

    def together() -> None:
        trainee.train().zero_grad()
        fabric.backward(torch.stack(list(wrapped(*own).values())).sum())

    def first_alone() -> None:
        if fabric.is_global_zero:
            alone()
        fabric.barrier()

    together()
    gradients = [p.grad for p in trainee.parameters() if p.grad is not None]
    largest = max(float(x.abs().max()) for x in expected)
    furthest = max(float((a - b).abs().max()) for a, b in zip(gradients, expected, strict=True))
    functions = {"one": stopwatch(first_alone), "two": stopwatch(together)}
    # As many rounds on both ranks: where only one of them stops, the other waits for ever.
    rounds = max(3, round(limit))
    times = interleaved(functions, rounds=rounds)
    if fabric.is_global_zero:
        speed_up = 2 * times.ratio("one", "two")
        found = {
            "rows": [
                {"processes": n, "images_per_second": n * count / times.median(name)}
                for n, name in ((1, "one"), (2, "two"))
            ],
            "largest_gradient": largest,
            "largest_difference": furthest,
            "speed_up": speed_up,
            "ratios": {"two processes over one": speed_up},
        }
        write_json_atomically(out, found)
    fabric.barrier()


def _gradients(trainee: Trainee, images: Images, targets: Targets) -> list[Tensor]:
    train_step(trainee, images, targets)()
    return [p.grad.clone() for p in trainee.parameters() if p.grad is not None]


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
