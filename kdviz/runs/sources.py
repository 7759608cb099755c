"""What a run's folder, a checkpoint file or a name stands for: a detector and how it was made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kdviz.detectors import DetectorParts, build, freeze
from kdviz.methods import Method, method_named
from kdviz.runs import embedded
from kdviz.runs.checkpoints import read_metadata
from kdviz.runs.lessons import open_adapters, open_detector
from kdviz.runs.spec import RunSpec, load_spec

Source = str | Path
"""A run's folder, a checkpoint file, or the name of an embedded detector."""

MOST = 4
"""Detectors that stand side by side."""


@dataclass(frozen=True)
class Opened:
    """A detector and what is known of its making.

    Attributes:
        parts: the detector, frozen.
        classes: names in label order.
        role: ``student``, ``teacher``, or ``distilled (fgfi)`` with the methods it was trained by.
        label: name of its run or file.
        spec: of its run; None where that is not known.
        root: relative paths in the spec may start from this folder.
        teacher: of its run, frozen; None without one.
        methods: of its run, as they were when it ended; fresh ones where it kept no adapters.
        kept: whether the adapters are those of the run.
    """

    parts: DetectorParts
    classes: list[str]
    role: str
    label: str
    spec: RunSpec | None = None
    root: Path = Path()
    teacher: DetectorParts | None = None
    methods: Mapping[str, Method] = field(default_factory=dict)
    kept: bool = False


def open_sources(runs: Source | Sequence[Source] | Mapping[str, Source]) -> dict[str, Opened]:
    """Up to four detectors by the names they are shown under.

    A single one brings the teacher of its run. In a list each is named by its role, two of one role
    by their runs.

    Args:
        runs: one source, several, or several by name.

    Raises:
        ValueError: there is nothing of such a name, one is given twice, or there are none or more
            than four.
        FileNotFoundError: a file is missing.
    """
    if isinstance(runs, str | Path):
        opened = open_source(runs)
        if opened.teacher is None:
            return {opened.role: opened}
        teacher = Opened(opened.teacher, opened.classes, "teacher", "teacher")
        return {opened.role: opened, "teacher": teacher}
    if not 1 <= len(runs) <= MOST:
        raise ValueError(
            f"1 to {MOST} detectors can stand side by side, but {len(runs)} were given"
            + (f": {', '.join(map(str, runs))}" if runs else "")
        )
    if isinstance(runs, Mapping):
        return {name: open_source(source) for name, source in runs.items()}
    every = [open_source(source) for source in runs]
    roles = [opened.role for opened in every]
    named: dict[str, Opened] = {}
    for opened in every:
        word = opened.role.partition(" ")[0]
        name = opened.role if roles.count(opened.role) == 1 else f"{word} ({opened.label})"
        if name in named:
            raise ValueError(
                f"{opened.label} is given twice; name the detectors yourself: {{'mine': ...}}"
            )
        named[name] = opened
    return named


def open_source(source: Source) -> Opened:
    """One detector with the spec, teacher and methods of its run, as far as they are known.

    Raises:
        ValueError: there is nothing of this name; lists the embedded detectors.
        FileNotFoundError: the folder holds no detector, or there is no such file.
    """
    path, root = Path(source), embedded.FOLDER.parent
    if path.is_dir():
        root, path = path.resolve().parent.parent, path / "student.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is not there; is {source} the folder of a run that ended?"
            )
    elif path.suffix:
        root = path.resolve().parent.parent.parent
    elif str(source) not in embedded.entries():
        raise ValueError(
            f"{str(source)!r} is neither a run's folder nor a checkpoint file, and no embedded "
            f"detector; these are {', '.join(embedded.names())}"
        )
    if path.suffix:
        told, recipe = read_metadata(path), path.with_name("spec.yaml")
        label = path.parent.name if recipe.is_file() else path.stem
    else:
        entry = embedded.entries()[str(source)]
        told = read_metadata(embedded.FOLDER / entry["file"])
        recipe, label = root / entry["command"].split()[2], str(source)
    name = str(path) if path.suffix else str(source)
    parts, classes = open_detector(name)
    role = _role(told.get("run", label), told.get("methods", []))
    if not recipe.is_file():
        return Opened(parts, classes, role, label)
    spec = load_spec(recipe)
    teacher = _open_teacher(spec, root, len(classes))
    if teacher is None:
        return Opened(parts, classes, role, label, spec, root)
    kept = open_adapters(name, student=parts, teacher=teacher)
    methods = kept or fresh_methods(spec, student=parts, teacher=teacher, seed=0)
    return Opened(parts, classes, role, label, spec, root, teacher, methods, bool(kept))


def fresh_methods(
    spec: RunSpec, *, student: DetectorParts, teacher: DetectorParts, seed: int
) -> dict[str, Method]:
    """The methods of a run with new adapters; without those that need prototypes of training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = {
            entry.name: method_named(entry.name)(student, teacher, **entry.options)
            for entry in spec.methods
        }
    return {name: method.eval() for name, method in built.items() if not method.refresh_every}


def find_path(path: Source, root: Path) -> Path:
    """A path of a spec from here, or from the folder that the run was started in."""
    return Path(path) if Path(path).exists() else root / path


def _open_teacher(spec: RunSpec, root: Path, classes: int) -> DetectorParts | None:
    if spec.teacher is None:
        return None
    weights = spec.teacher.weights
    if Path(weights).suffix:
        path = find_path(weights, root)
        if not path.is_file():
            print(f"the teacher of {spec.name} is not there any more, at {weights}: left out")
            return None
        weights = str(path)
    sizes = {"min_size": spec.data.min_size, "max_size": spec.data.max_size}
    return freeze(build(spec.teacher.name, num_classes=classes + 1, weights=weights, **sizes))


def _role(run: str, methods: Sequence[str]) -> str:
    if methods:
        return f"distilled ({', '.join(methods)})"
    return "teacher" if "teacher" in re.split(r"[^a-z]+", run.lower()) else "student"
