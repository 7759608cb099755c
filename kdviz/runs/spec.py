"""What a run is: one frozen, typed record, read from YAML with dotted overrides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kdviz.datasets.scenes import SceneConfig
from kdviz.engine.config import LEVERS, TrainConfig
from kdviz.methods import TermWeight, method_named

_LATER: tuple[tuple[str, ...], ...] = (
    ("train", "eval_every"),
    ("train", "teacher_cache"),
    *(("train", lever) for lever in LEVERS),
    ("train", "keep_steps"),
    ("data", "test"),
    ("data", "scenes", "test"),
    ("data", "scenes", "look"),
)
"""Keys that came after the first runs; left at their default, they change no hash."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SceneSpec(_Record):
    """Scenes to render, once, into the cache."""

    train: int = Field(default=2000, ge=1)
    """Training images."""
    val: int = Field(default=300, ge=1)
    """Validation images."""
    test: int = Field(default=0, ge=0)
    """Test images: scored once, when everything is decided."""
    size: int = Field(default=128, ge=64)
    """Side of an image, pixels."""
    seed: int = 0
    look: dict[str, Any] = Field(default={})
    """Fields of `kdviz.datasets.scenes.SceneConfig` that differ from their defaults."""

    @property
    def config(self) -> SceneConfig:
        """How the scenes look."""
        return SceneConfig(size=self.size, **self.look)

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        known = [field.name for field in fields(SceneConfig) if field.name != "size"]
        if unknown := sorted(set(self.look) - set(known)):
            raise ValueError(f"scenes have no {unknown} to set in look; known are {known}")
        _ = self.config
        return self


class DataSpec(_Record):
    """Where images and boxes come from: a folder, or scenes."""

    path: Path | None = None
    """A COCO, VOC or YOLO folder."""
    scenes: SceneSpec | None = None
    """Scenes instead of a folder."""
    train: str = "train"
    """Name of the split that is trained on."""
    val: str = "val"
    """Name of the split that choices are made on, such as the weight of a term."""
    test: str | None = None
    """Name of the split that is scored once, at the end; scenes have one if they have images."""
    min_size: int = Field(default=800, ge=32)
    """Shorter side that images are brought to, pixels."""
    max_size: int = Field(default=1333, ge=32)
    """Longest side that images may have then, pixels."""
    limit: int | None = Field(default=None, ge=1)
    """First images of each split only; for trying things."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.scenes is None):
            raise ValueError("data needs either path (a COCO, VOC or YOLO folder) or scenes")
        return self


class ModelSpec(_Record):
    """A detector of the zoo and where its weights come from."""

    name: str
    """As in `kdviz.detectors.build`: ``fcos-resnet18-c64``."""
    weights: str | None = None
    """A checkpoint file, ``imagenet``, ``coco``, or nothing: random."""


class TeacherSpec(ModelSpec):
    """A trained detector, with the least it must be able to do."""

    weights: str
    min_ap: float = Field(default=0.05, ge=0, le=1)
    """AP on a sample of the validation split under which it is not believed to be loaded."""
    sample: int = Field(default=100, ge=1)
    """Images of that sample."""


class WeightSpec(_Record):
    """Changes to the published schedule of one term; see `kdviz.methods.TermWeight`."""

    value: float | None = Field(default=None, ge=0)
    """Weight in full force."""
    start: int | None = Field(default=None, ge=0)
    """Steps at the beginning without the term."""
    ramp: int | None = Field(default=None, ge=0)
    """Steps over which it then rises."""
    decay: Literal["none", "linear"] | None = None
    """Whether it falls to zero over the run."""


class MethodSpec(_Record):
    """A distillation method, its options and the schedule of its terms."""

    name: str
    """As in `kdviz.methods`: ``fgfi``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the method (``psi: 0.5``)."""
    weights: dict[str, WeightSpec] = Field(default_factory=dict)
    """Per term what differs from the published schedule: ``fgfi: {value: 0.05, start: 100}``."""

    def schedule(self, published: Mapping[str, TermWeight]) -> dict[str, TermWeight]:
        """Schedule of each term: the published one, with this spec's changes.

        Raises:
            ValueError: an unknown term or field; lists those there are.
        """
        schedule = dict(published)
        for term, changes in self.weights.items():
            if term not in schedule:
                raise ValueError(
                    f"method {self.name!r} has no term {term!r}; its terms are {sorted(schedule)}"
                )
            schedule[term] = replace(schedule[term], **changes.model_dump(exclude_none=True))
        return schedule

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        method_named(name)
        return name


class RunSpec(_Record):
    """A whole run: data, student, teacher, methods, training."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """First part of the folder's name."""
    data: DataSpec
    student: ModelSpec
    teacher: TeacherSpec | None = None
    methods: tuple[MethodSpec, ...] = ()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _teacher_for_methods(self) -> Self:
        if self.methods and self.teacher is None:
            names = ", ".join(method.name for method in self.methods)
            raise ValueError(f"{names} needs a teacher; add one, or drop the methods")
        return self

    @property
    def hash8(self) -> str:
        """Eight hex digits of the spec's content; two runs share a folder if and only if equal."""
        content = self.model_dump(mode="json")
        for *parents, key in _LATER:
            place: Any = content
            record: Any = self
            for parent in parents:
                place, record = place and place[parent], getattr(record, parent, None)
            if place and getattr(record, key) == type(record).model_fields[key].default:
                del place[key]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def folder_name(self) -> str:
        """``<name>-<hash8>``."""
        return f"{self.name}-{self.hash8}"

    def to_yaml(self) -> str:
        """The spec with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_spec(path: Path, overrides: Sequence[str] = ()) -> RunSpec:
    """Read a spec, with ``train.steps=100``-like overrides put over it.

    Relative paths in a spec are taken from the folder the command runs in.

    Args:
        path: YAML file.
        overrides: ``dotted.key=value``; the value is read as YAML. A number picks from a list.

    Raises:
        ValueError: the file is no YAML mapping, an override has no ``=`` or hits nothing, or a key
            is unknown or out of range; says which.
        FileNotFoundError: there is no such file.
    """
    content = read_mapping(path, overrides, what="a mapping (name, data, student, ...)")
    return parse_spec(content, source=str(path))


def read_mapping(path: Path, overrides: Sequence[str], *, what: str) -> dict[str, Any]:
    """The mapping in a YAML file, with ``dotted.key=value`` overrides put into it.

    Args:
        path: the file.
        overrides: see `load_spec`.
        what: what the file must hold, for the message.

    Raises:
        ValueError: the file is no YAML mapping, or an override has no ``=`` or hits nothing.
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no spec {path}; recipes live in notebooks/recipes")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold {what}, not {content!r}")
    for override in overrides:
        _put(content, override)
    return content


def parse_spec(content: dict[str, Any], source: str = "spec") -> RunSpec:
    """Check a mapping and make it a `RunSpec`.

    Raises:
        ValueError: one line per problem, each with the key that has it.
    """
    try:
        return RunSpec.model_validate(content)
    except ValidationError as error:
        lines = [f"{source} is not a run:", *problems_of(error, _KNOWN, whole="spec")]
        raise ValueError("\n  ".join(lines)) from None


_KNOWN: dict[str, type[BaseModel]] = {
    "": RunSpec,
    "data": DataSpec,
    "data.scenes": SceneSpec,
    "student": ModelSpec,
    "teacher": TeacherSpec,
    "methods": MethodSpec,
    "methods.weights": WeightSpec,
    "train": TrainConfig,
}


def problems_of(
    error: ValidationError, known: Mapping[str, type[BaseModel]], *, whole: str
) -> list[str]:
    """What is wrong with a record, a line for each key.

    Args:
        error: pydantic's.
        known: where a key may stand -> the record there, whose fields an unknown key is told.
        whole: name of the record itself.
    """
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or whole
        lines.append(f"{key}: {_words(problem, known)}")
    return lines


def _words(problem: Any, known: Mapping[str, type[BaseModel]]) -> str:
    if problem["type"] != "extra_forbidden":
        return str(problem["msg"]).removeprefix("Value error, ")
    where = ".".join(part for part in problem["loc"][:-1] if isinstance(part, str))
    if where.startswith("methods.weights."):
        where = "methods.weights"
    fields = ", ".join(known[where].model_fields) if where in known else ""
    return f"unknown key; known are {fields}" if fields else "unknown key"


def parse_override(override: str) -> tuple[str, Any]:
    """Key and value of ``key=value``; the value is read as YAML (``0.5``, ``true``, ``[1, 2]``).

    Raises:
        ValueError: there is no ``=``, or the value is not YAML.
    """
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ValueError(f"an override reads key=value (train.steps=100), not {override!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"the value of {override!r} is not YAML: {error}") from error


def _put(content: dict[str, Any], override: str) -> None:
    key, value = parse_override(override)
    *parents, last = key.split(".")
    place: Any = content
    for part in parents:
        if isinstance(place, list):
            place = place[_index(part, place, override)]
        else:
            place = place.setdefault(part, {})
            if place is None or not isinstance(place, dict | list):
                raise ValueError(f"override {override!r}: {part!r} holds {place!r}, not a mapping")
    if isinstance(place, list):
        place[_index(last, place, override)] = value
    else:
        place[last] = value


def _index(part: str, place: list[Any], override: str) -> int:
    if not part.isdigit() or int(part) >= len(place):
        raise ValueError(
            f"override {override!r}: {part!r} must be a number below {len(place)}, the length of "
            "the list there"
        )
    return int(part)
