"""The parts of the measurement, and the file that they are kept in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdviz.files import read_json, write_atomically, write_json_atomically
from kdviz.runs.bench.evaluation import evaluation
from kdviz.runs.bench.loading import loading
from kdviz.runs.bench.masks import masks, prototypes
from kdviz.runs.bench.overhead import overhead
from kdviz.runs.bench.roofline import roofline
from kdviz.runs.bench.same_ap import same_ap
from kdviz.runs.bench.scaling import scaling
from kdviz.runs.bench.sweeps import sweeps
from kdviz.runs.bench.tables import tables
from kdviz.runs.bench.teacher_cost import teacher_cost
from kdviz.runs.bench.training import training
from kdviz.runs.bench.waits import waits
from kdviz.runs.bench.workload import Workload, workload
from kdviz.runs.environment import environment
from kdviz.runs.repaints import repaints

OUT = Path("runs/bench")
SEED = 0
ALL_IN_ON_GPU = 480.0
"""Seconds after which no further part begins: a GPU is often lent for ten minutes."""

Part = Callable[[Workload, float], dict[str, Any]]


def _repaints(where: Workload, limit: float) -> dict[str, Any]:
    return {**repaints(), "ratios": {}}


PARTS: Mapping[str, tuple[Part, float]] = {
    "overhead": (overhead, 50),
    "training": (training, 120),
    "teacher": (teacher_cost, 8),
    "roofline": (roofline, 25),
    "waits": (waits, 0),
    "masks": (masks, 15),
    "prototypes": (prototypes, 10),
    "loading": (loading, 20),
    "scaling": (scaling, 10),
    "sweeps": (sweeps, 60),
    "evaluation": (evaluation, 40),
    "repaints": (_repaints, 60),
}
"""Each part and about how many seconds its rounds may take."""

ON_REQUEST: Mapping[str, tuple[Part, float]] = {"levers_ap": (same_ap, 0)}
"""Parts that take minutes and are measured only where they are named."""


def known_parts(chosen: Sequence[str] = ()) -> Mapping[str, tuple[Part, float]]:
    """All parts, those on request among them.

    Args:
        chosen: names that must be among them.

    Raises:
        ValueError: one is not.
    """
    known = {**PARTS, **ON_REQUEST}
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"there is no part {unknown[0]!r}; there are {', '.join(known)}")
    return known


def measure(
    chosen: Sequence[str] = (), out: Path = OUT, all_in: float | None = None
) -> dict[str, Any]:
    """Measure parts and write ``bench.json`` and ``bench.md``; the other parts are kept.

    Args:
        chosen: parts that are measured anew; none means all but those on request.
        out: folder of the report, made where it is missing.
        all_in: seconds after which the parts that are left are skipped, and say so; None is
            `ALL_IN_ON_GPU` there, and no limit on a CPU.

    Returns:
        The report: by part what was measured, with ``environment``, ``command``, ``seed``,
        ``workload`` and ``took`` (seconds).

    Raises:
        ValueError: there is no such part.
    """
    known = known_parts(chosen)
    file = out / "bench.json"
    before: dict[str, Any] = read_json(file) if file.exists() else {}
    report = {name: part for name, part in before.items() if name in known}
    out.mkdir(parents=True, exist_ok=True)
    where, begun = workload(), time.perf_counter()
    if all_in is None:
        all_in = ALL_IN_ON_GPU if where.on_gpu else math.inf
    torch.set_num_threads(where.threads)
    for name in chosen or PARTS:
        part, limit = known[name]
        started = time.perf_counter()
        told = {
            "environment": environment(),
            "command": f"python -m kdviz.runs.bench {name}",
            "seed": SEED,
            "workload": where.told(),
        }
        if not chosen and started - begun > all_in:
            after = f"{all_in:.0f} s were over before its turn; {told['command']} measures it alone"
            report.setdefault(name, {**told, "skipped": after, "ratios": {}})
            continue
        torch.manual_seed(SEED)
        measured = part(where, limit)
        report[name] = {**told, **measured, "took": round(time.perf_counter() - started, 1)}
        write_json_atomically(file, report, indent=2)  # what is measured stays, whatever follows
        print(f"{name}: {report[name]['took']:.0f} s", flush=True)
    write_atomically(out / "bench.md", tables(report))
    return report
