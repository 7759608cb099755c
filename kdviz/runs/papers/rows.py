"""The rows of the papers' tables, as `notebooks/recipes/papers/tables` tells them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from kdviz.methods import method_named
from kdviz.runs.compare import RECIPES
from kdviz.runs.spec import DataSpec, MethodSpec

FOLDER = RECIPES / "papers"
"""Where the recipes are."""
TABLES = FOLDER / "tables"
"""What they are written from."""
FAMILIES = ("retinanet", "fcos", "fasterrcnn")
_TELL_APART = ("strategies", "di")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Net(_Record):
    """A detector that learns from the ground truth alone: a baseline, or a teacher."""

    name: str
    """As in `kdviz.detectors.build`."""
    schedule: str
    """Key of ``schedules`` in ``common.yaml``."""
    published: float
    """What the paper says that it reaches, in percent."""
    weights: str | None = "imagenet"
    """What it starts from; None for a backbone that nobody trained."""

    @property
    def run_name(self) -> str:
        """Name of its run, the same in every pair that it is part of."""
        return f"{self.name}_{self.schedule}"

    @property
    def kept(self) -> str:
        """Where its weights lie for those that learn from it, whatever its run's folder."""
        return f"runs/{self.run_name}.safetensors"


class Row(_Record):
    """One row of a paper's table: a student that a method taught."""

    paper: str
    """Key of ``papers`` in ``common.yaml``: whose table it is."""
    where: str
    """Which table."""
    published: float
    """In percent."""
    methods: tuple[MethodSpec, ...] = Field(min_length=1)
    file: str = ""
    """Name of the recipe, without ending; if not given, that of the methods."""
    start: Literal["imagenet", "student"] = "imagenet"
    """``student`` goes on from the baseline instead of starting anew."""
    differs: str = ""
    """What this row alone has otherwise than the paper, or leaves open."""

    @property
    def label(self) -> str:
        """Its methods as tables of runs call them: ``crosskd+pkd``."""
        return "+".join(method.name for method in self.methods)

    @property
    def stem(self) -> str:
        """Name of its recipe without ending."""
        return self.file or self.label

    @property
    def told(self) -> str:
        """The method in the capitals of its paper, with the options that tell rows apart."""
        names = " + ".join(method_named(method.name).__name__ for method in self.methods)
        options = [
            f"{key}={value}"
            for method in self.methods
            for key, value in method.options.items()
            if key in _TELL_APART
        ]
        return names + (f" ({', '.join(options)})" if options else "")


class Pair(_Record):
    """A student, its teacher, and every row of a table that has the two, on one schedule."""

    student: Net
    teacher: Net
    rows: tuple[Row, ...]
    folder: str = ""
    """Name of the folder of its recipes; if not given, ``<student>_from_<teacher>``."""
    metric: Literal["AP", "AP50"] = "AP"
    """What the published numbers are: COCO's AP, or the AP at an overlap of one half."""
    differs: str = ""
    """What all of its rows have otherwise than the paper."""

    @property
    def name(self) -> str:
        """Name of the folder of its recipes."""
        return self.folder or f"{self.student.name}_from_{self.teacher.name}"


class Missing(_Record):
    """A row that no recipe can express."""

    paper: str
    row: str
    published: str
    reason: str
    nearest: Path | None = None
    """A recipe, or a matrix of them, that asks the same of something that runs."""
    overrides: tuple[str, ...] = ()
    """What to put over it."""

    @property
    def command(self) -> str:
        """How to run the nearest recipe; empty without one."""
        if self.nearest is None:
            return ""
        verb = "matrix run" if self.nearest.parent.name == "matrices" else "run"
        return " ".join(["kdviz", verb, str(self.nearest), *map(shlex.quote, self.overrides)])


class Schedule(_Record):
    """Data and length of a training."""

    data: str
    train: dict[str, Any]


class Common(_Record):
    """What recipes share."""

    data: dict[str, DataSpec]
    train: dict[str, Any]
    schedules: dict[str, Schedule]
    families: dict[str, dict[str, Any]]
    papers: dict[str, str]
    """Short name of a paper -> how to find it."""


@dataclass(frozen=True)
class Tables:
    """Everything that the tables tell.

    Attributes:
        common: what recipes share.
        pairs: with their rows, family by family.
        missing: rows without a recipe.
    """

    common: Common
    pairs: tuple[Pair, ...]
    missing: tuple[Missing, ...]


def read_tables(folder: Path = TABLES) -> Tables:
    """Read the tables.

    Raises:
        FileNotFoundError: a file of the folder is missing.
        ValueError: unknown keys, papers or schedules, or two rows of one file name; says which.
    """
    common = Common.model_validate(_yaml(folder / "common.yaml"))
    pairs = tuple(
        Pair.model_validate(pair)
        for family in FAMILIES
        for pair in _yaml(folder / f"{family}.yaml")
    )
    missing = tuple(Missing.model_validate(row) for row in _yaml(folder / "missing.yaml"))
    _check_known(common.schedules, "schedule", *_schedules(pairs))
    _check_known(common.papers, "paper", *(row.paper for pair in pairs for row in pair.rows))
    _check_known(common.papers, "paper", *(row.paper for row in missing))
    files = [f"{pair.name}/{row.stem}" for pair in pairs for row in pair.rows]
    twice = sorted({file for file in files if files.count(file) > 1})
    if twice:
        raise ValueError(f"two rows would write {twice}; give one of them a file, or a folder")
    return Tables(common, pairs, missing)


def _schedules(pairs: tuple[Pair, ...]) -> list[str]:
    return [net.schedule for pair in pairs for net in (pair.student, pair.teacher)]


def _check_known(known: Mapping[str, object], what: str, *names: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"no {what} {unknown}; common.yaml has {', '.join(known)}")


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
