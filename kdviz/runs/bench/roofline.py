"""How near is a step to what the machine can do, and where does the rest of its time go?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import conv2d

from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, FRS, GKD, Dist2
from kdviz.runs.bench.counting import count_work
from kdviz.runs.bench.kinds import time_by_kind
from kdviz.runs.bench.rounds import interleaved, stopwatch
from kdviz.runs.bench.steps import teach, train_step
from kdviz.runs.bench.workload import Workload

METHODS = (FGFI, FRS, GKD, Dist2)


def ceilings(device: torch.device) -> dict[str, tuple[float, Callable[[], object]]]:
    """What a machine does best: its FLOP, or the bytes it moves, and a call that does no more.

    Args:
        device: where.
    """
    large = device.type == "cuda"
    side = 8192 if large else 1024
    a, b = torch.randn(2, side, side, device=device)
    images = torch.randn(8 if large else 4, 256, 64, 64, device=device)
    kernel = torch.randn(256, 256, 3, 3, device=device)
    values = torch.randn(2**28 if large else 2**25, device=device)
    target = torch.empty_like(values)
    work: dict[str, tuple[float, Callable[[], object]]] = {
        "matrix product": (2 * side**3, lambda: a @ b),
        "convolution": (
            2 * 9 * 256 * images.numel(),
            lambda: conv2d(images, kernel, padding=1),
        ),
        "copy": (2 * values.numel() * values.element_size(), lambda: target.copy_(values)),
    }
    if large:
        short, other = a.bfloat16(), b.bfloat16()
        work["matrix product, bfloat16"] = (2 * side**3, lambda: short @ other)
    return work


def roofline(where: Workload, limit: float) -> dict[str, Any]:
    """Work of steps, counted, over their time, beside the machine's limits; and time by kind.

    A step cannot be faster than its arithmetic at the machine's best rate, nor than its bytes at
    the rate of a copy. The share of the larger of the two in its time says how near it comes; that
    time is the fastest of its rounds, as the rates are.
    """
    student, teacher = where.pair()
    images, targets = where.images(where.pair_batch)
    steps: dict[str, Callable[[], object]] = {
        "student's step": train_step(Trainee(student), images, targets),
        "teacher's forward": teach(teacher, student, images, targets, head=False),
    }
    for method in METHODS:
        trainee = Trainee(student, teacher, [method(student, teacher).to(where.device)])
        trainee.refresh(0, [(images, targets)])
        steps[f"step with {method.__name__}"] = train_step(trainee, images, targets)
    limits = ceilings(where.device)
    calls = {**{name: call for name, (_, call) in limits.items()}, **steps}
    turns = {name: stopwatch(call) for name, call in calls.items()}
    times = interleaved(turns, rounds=3 * where.rounds, limit=limit)
    best = {name: amount / min(times.seconds[name]) for name, (amount, _) in limits.items()}
    flops = max(best["matrix product"], best["convolution"])
    rows = []
    for name, step in steps.items():
        work, seconds = count_work(step), min(times.seconds[name])
        least = max(work.flops / flops, work.bytes / best["copy"])
        rows.append(
            {
                "step": name,
                "seconds": seconds,
                "flops": work.flops,
                "bytes": work.bytes,
                "operations": work.operations,
                "waits": work.waits,
                "share_of_limit": least / seconds,
                "bound_by": "arithmetic" if least == work.flops / flops else "memory",
                "kinds": time_by_kind(step),
            }
        )
    ratios = {f"{row['step']}, share of its limit": row["share_of_limit"] for row in rows}
    return {"ceilings": best, "rows": rows, "ratios": ratios}
