"""What a matrix is: data x pairs x methods x seeds, every cell of which is one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kdviz.runs.compare import ALONE, method_spec
from kdviz.runs.spec import (
    DataSpec,
    ModelSpec,
    RunSpec,
    TeacherSpec,
    parse_spec,
    problems_of,
    read_mapping,
)

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PairSpec(_Record):
    """A student and the teacher it learns from."""

    student: ModelSpec
    teacher: TeacherSpec
    recipes: str = "scenes"
    """Folder of ``notebooks/recipes`` that holds each method's options and weights for this pair;
    a method without a recipe there keeps its published weights."""


class MatrixSpec(_Record):
    """Every method with every pair, on every data set, with every seed."""

    name: str = Field(pattern=NAME)
    """Name of the folder that all of its runs lie in."""
    data: dict[str, DataSpec]
    """Short name of a data set -> where its images are."""
    pairs: dict[str, PairSpec]
    """Short name of a pair -> its detectors."""
    methods: tuple[str, ...]
    """``none`` for the ground truth alone, ``fgfi``, or several at once: ``fgfi+gkd``."""
    seeds: tuple[int, ...] = (0, 1, 2)
    train: dict[str, Any] = Field(default_factory=dict)
    """Keys of `kdviz.engine.config.TrainConfig`, the same for all runs but the seed."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for key in ("data", "pairs", "methods", "seeds"):
            values = list(getattr(self, key))
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{key} needs at least one entry and none twice, not {values}")
        if "seed" in self.train:
            raise ValueError("train.seed is what seeds says; take it out of train")
        return self


@dataclass(frozen=True)
class Cell:
    """One run of a matrix and its place in it.

    Attributes:
        data: short name of its data set.
        pair: short name of its pair.
        method: as in `kdviz.runs.compare.label_of`: ``student`` for the ground truth alone.
        seed: of the run.
        spec: the run; two cells never share one.
    """

    data: str
    pair: str
    method: str
    seed: int
    spec: RunSpec


def load_matrix(path: Path, overrides: Sequence[str] = ()) -> MatrixSpec:
    """Read a matrix, with ``train.steps=100``-like overrides put over it.

    Raises:
        ValueError: one line per problem, each with the key that has it.
        FileNotFoundError: there is no such file.
    """
    content = read_mapping(path, overrides, what="a matrix (name, data, pairs, methods, ...)")
    try:
        return MatrixSpec.model_validate(content)
    except ValidationError as error:
        problems = problems_of(error, {"": MatrixSpec}, whole="matrix")
        raise ValueError("\n  ".join([f"{path} is not a matrix:", *problems])) from None


def cells(matrix: MatrixSpec) -> list[Cell]:
    """The runs of a matrix; all of one seed before the next, so that early answers are whole.

    Raises:
        ValueError: a run of it cannot be; says which and why.
    """
    return [
        _cell(matrix, data, pair, method, seed)
        for seed in matrix.seeds
        for data in matrix.data
        for pair in matrix.pairs
        for method in matrix.methods
    ]


def _cell(matrix: MatrixSpec, data: str, pair: str, method: str, seed: int) -> Cell:
    label = ALONE if method == "none" else method
    detectors = matrix.pairs[pair]
    chosen = [] if label == ALONE else label.split("+")
    steps = int(matrix.train.get("steps", 1500))
    name = "-".join([data, pair, label.replace("+", "_"), f"s{seed}"])
    content: dict[str, Any] = {
        "name": name,
        "data": matrix.data[data],
        "student": detectors.student,
        "teacher": detectors.teacher if chosen else None,
        "methods": [method_spec(one, steps, detectors.recipes) for one in chosen],
        "train": {**matrix.train, "seed": seed},
    }
    if not chosen:
        content["train"].pop("teacher_cache", None)  # nobody teaches
    return Cell(data, pair, label, seed, parse_spec(content, source=f"run {name} of {matrix.name}"))


def to_yaml(matrix: MatrixSpec) -> str:
    """The matrix with every default written out."""
    return yaml.safe_dump(matrix.model_dump(mode="json"), sort_keys=False)
