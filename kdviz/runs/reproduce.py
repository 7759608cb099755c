"""What the notebook of a run opens and tells: who learns from whom, and how else than published.

The notebook is `65_reproduce`; a matrix executes it once for each of its runs.
"""

from __future__ import annotations

import inspect
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdviz.detectors import build, freeze
from kdviz.methods import Method, method_named
from kdviz.runs.compare import method_spec, model_of
from kdviz.runs.spec import DataSpec, MethodSpec, RunSpec, SceneSpec, TeacherSpec, load_spec

_STEPS = 20


def open_run(spec: str, root: str) -> tuple[RunSpec, Path]:
    """A run and the folder of runs, as the parameters of the notebook give them.

    Args:
        spec: path of a run's YAML; empty for a demonstration of a few steps.
        root: folder of runs; empty for a new one that is removed with the temporary files.

    Raises:
        ValueError: the file is no run.
        FileNotFoundError: there is no such file.
    """
    run = load_spec(Path(spec)) if spec else demonstration()
    return run, Path(root or tempfile.mkdtemp(prefix="kdviz-"))


def demonstration() -> RunSpec:
    """The embedded student goes on for a few steps, taught by the embedded teacher through FRS."""
    teacher = TeacherSpec(**model_of("teacher").model_dump(), sample=8)
    return RunSpec(
        name="demonstration",
        data=DataSpec(scenes=SceneSpec(train=16, val=8, test=8), min_size=128, max_size=128),
        student=model_of("student"),
        teacher=teacher,
        methods=(method_spec("frs", _STEPS),),
        train={"steps": _STEPS, "batch_size": 4, "warmup_steps": 2, "log_every": 1},  # type: ignore[arg-type]
    )


def story(run: RunSpec) -> str:
    """Who learns from whom, on what and for how long, in words."""
    train, data = run.train, run.data
    images = f"{data.scenes.train} rendered scenes" if data.scenes else f"{data.path}, {data.train}"
    lines = [f"student   {run.student.name}, from {run.student.weights or 'random weights'}"]
    if run.teacher is not None:
        lines.append(f"teacher   {run.teacher.name}, {run.teacher.weights}")
    names = ", ".join(method_named(method.name).__name__ for method in run.methods)
    return "\n".join(
        [
            *lines,
            f"methods   {names or 'none: the ground truth alone'}",
            f"images    {images}; shorter side {data.min_size} pixels",
            f"training  {train.steps} steps of {train.batch_size * train.devices} images, "
            f"{train.optimizer}, learning rate {train.lr:g}, seed {train.seed}",
        ]
    )


def remarks(spec: str) -> str:
    """What a recipe says of itself: the comment at its head; empty without one."""
    if not spec:
        return ""
    told = []
    for line in Path(spec).read_text().splitlines():
        if not line.startswith("#"):
            break
        told.append(line.removeprefix("#").strip())
    return "\n".join(told)


def departures(run: RunSpec) -> list[str]:
    """Where the methods of a run are set otherwise than published, a line for each setting."""
    if run.teacher is None:
        return []
    student, teacher = build(run.student.name, 9), freeze(build(run.teacher.name, 9))
    told = []
    for entry in run.methods:
        kind = method_named(entry.name)
        name = f"{kind.__name__}{_paper(kind)}"
        published = kind(student, teacher, **entry.options).weights
        defaults = inspect.signature(kind).parameters
        for option, value in entry.options.items():
            usual = defaults[option].default
            if value != usual and not (isinstance(usual, tuple) and list(usual) == value):
                told.append(f"{name}: option {option} is {value}, published {usual}")
        told += [f"{name}: {line}" for line in _weights(entry, published)]
    return told


def score_lines(result: Mapping[str, Any]) -> str:
    """The COCO numbers of a finished run, validation and, where it has one, test split."""
    splits = {"val": result["metrics"], "test": result.get("test")}
    rows = [["", *result["metrics"]]]
    for name, stats in splits.items():
        if stats is not None:
            rows.append([name, *(f"{x:.3f}" if x >= 0 else "-" for x in stats.values())])
    return "\n".join("".join(f"{cell:>7}" for cell in row) for row in rows)


def _weights(entry: MethodSpec, published: Mapping[str, Any]) -> list[str]:
    told = []
    for term, weight in entry.schedule(published).items():
        before = asdict(published[term])
        changed = {key: x for key, x in asdict(weight).items() if x != before[key]}
        if changed:
            ours = ", ".join(f"{key} {x}" for key, x in changed.items())
            theirs = ", ".join(f"{key} {before[key]}" for key in changed)
            told.append(f"term {term} has {ours}; published {theirs}")
    return told


def _paper(kind: type[Method]) -> str:
    found = re.search(r"arXiv:[\d.]*\d", sys.modules[kind.__module__].__doc__ or "")
    return f" ({found[0]})" if found else ""
