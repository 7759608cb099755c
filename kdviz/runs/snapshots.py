"""Embed a student as it was after its first steps: ``python -m kdviz.runs.snapshots``.

The run is that of the embedded student, with ``train.keep_steps``; a finished one is not repeated.
`kdviz.runs.lessons.open_detector` opens what is embedded by names such as ``student@150``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from kdviz.engine.evaluate import evaluate
from kdviz.files import read_json, write_atomically
from kdviz.runs.checkpoints import load_detector, save_student, sha256
from kdviz.runs.embedded import FOLDER
from kdviz.runs.prepare import open_splits
from kdviz.runs.run import SNAPSHOTS, run
from kdviz.runs.spec import RunSpec, load_spec

RECIPE = Path("notebooks/recipes/scenes/student.yaml")
STEPS = (50, 150, 400, 800)
"""Where the run keeps its student."""

EMBEDDED = (150, 400, 800)
"""What comes with the repository: before the first of them a student finds nothing yet."""


def early_student() -> RunSpec:
    """The run of the embedded student, which keeps it on the way."""
    return load_spec(FOLDER.parent / RECIPE, [f"train.keep_steps={list(STEPS)}"])


def embed(folder: Path, spec: RunSpec, step: int, target: Path) -> dict[str, Any]:
    """Export what a finished run kept after a step, in half precision, and score it.

    Args:
        folder: of the run.
        spec: of the run.
        step: one of its ``train.keep_steps``.
        target: ``.safetensors`` file to write, in ``data/snapshots``.

    Returns:
        The entry of ``data/snapshots/checkpoints.yaml``.
    """
    kept, classes = load_detector(folder / SNAPSHOTS / f"step-{step:06d}.safetensors")
    target.parent.mkdir(exist_ok=True)
    save_student(target, spec, kept, classes, None, dtype=torch.float16, step=step)
    rounded, _ = load_detector(target)
    metrics, _ = evaluate(rounded, open_splits(spec.data)[1], batch_size=spec.train.batch_size)
    ap = metrics.stats["AP"]
    save_student(target, spec, rounded, classes, ap, dtype=torch.float16, step=step)
    result = read_json(folder / "result.json")
    steps = ",".join(map(str, spec.train.keep_steps))
    return {
        "file": f"{target.parent.name}/{target.name}",
        "sha256": sha256(target),
        "model": spec.student.name,
        "ap": round(ap, 4),
        "step": step,
        "methods": [],
        "command": f"kdviz run {RECIPE} train.keep_steps=[{steps}]",
        "seed": spec.train.seed,
        "environment": result["environment"],
    }


def main() -> None:
    """Train if need be, export the early students, and write their manifest."""
    spec = early_student()
    folder = run(spec)
    out = FOLDER / "snapshots"
    entries: dict[str, Any] = {}
    for step in EMBEDDED:
        name = f"student@{step}"
        entries[name] = embed(folder, spec, step, out / f"student-{step:06d}.safetensors")
        print(f"{name}: AP {entries[name]['ap']:.3f}")
    told = "# Made by `python -m kdviz.runs.snapshots`.\n"
    write_atomically(out / "checkpoints.yaml", told + yaml.safe_dump(entries, sort_keys=False))


if __name__ == "__main__":
    main()
