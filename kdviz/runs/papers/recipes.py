"""From rows to recipes: one YAML file each, complete, to be read, run and copied."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any

import yaml

from kdviz.detectors import DetectorParts, build
from kdviz.methods import TermWeight, method_named
from kdviz.runs.papers.rows import Common, Net, Pair, Row, Tables
from kdviz.runs.spec import MethodSpec, RunSpec, parse_spec

LEAST_TEACHER_AP = 0.2
"""COCO's AP under which no teacher here was trained or loaded as it should be."""
PLACE = "notebooks/recipes/papers"


def recipes(tables: Tables) -> Iterator[tuple[str, str]]:
    """Every recipe: its path below ``notebooks/recipes/papers``, and its text."""
    for pair in tables.pairs:
        common = tables.common
        for role, net in (("student", pair.student), ("teacher", pair.teacher)):
            yield f"{pair.name}/{role}.yaml", _alone(pair, net, role, common)
        for row in pair.rows:
            yield f"{pair.name}/{row.stem}.yaml", _taught(pair, row, common)


def baseline_content(net: Net, common: Common) -> dict[str, Any]:
    """What the run of a detector that learns alone says."""
    student = {"name": net.name} | ({"weights": net.weights} if net.weights else {})
    return {"name": net.run_name, **_data(net, common), "student": student, **_train(net, common)}


def row_content(pair: Pair, row: Row, common: Common) -> dict[str, Any]:
    """What the run of a row says.

    Raises:
        ValueError: a method refuses the pair, or has no such option or term.
    """
    content = baseline_content(pair.student, common)
    train = content.pop("train")
    content["name"] = f"{pair.name}_{row.stem}".replace("+", "_")
    if row.start == "student":
        content["student"] = content["student"] | {"weights": pair.student.kept}
    content["teacher"] = {"name": pair.teacher.name, "weights": pair.teacher.kept}
    content["teacher"]["min_ap"] = LEAST_TEACHER_AP
    content["methods"] = [_method(entry, pair) for entry in row.methods]
    return content | {"train": train}


def row_spec(pair: Pair, row: Row, common: Common) -> RunSpec:
    """The run of a row."""
    return parse_spec(row_content(pair, row, common), source=f"{pair.name}/{row.stem}")


def _data(net: Net, common: Common) -> dict[str, Any]:
    data = common.data[common.schedules[net.schedule].data]
    return {"data": data.model_dump(mode="json", exclude_unset=True)}


def _train(net: Net, common: Common) -> dict[str, Any]:
    schedule = common.schedules[net.schedule]
    train = common.families[net.name.split("-")[0]] | common.train | schedule.train
    first = {key: train[key] for key in ("steps", "milestones", "batch_size", "optimizer", "lr")}
    return {"train": first | train}


def _method(entry: MethodSpec, pair: Pair) -> dict[str, Any]:
    """A method with the weights of all of its terms, published ones too, written out."""
    families = (net.name.split("-")[0] for net in (pair.student, pair.teacher))
    published = _published(entry.name, yaml.safe_dump(entry.options), *families)
    weights = {term: _settings(weight) for term, weight in entry.schedule(published).items()}
    options = {"options": entry.options} if entry.options else {}
    return {"name": entry.name, **options, "weights": weights}


@cache
def _published(name: str, options: str, student: str, teacher: str) -> Mapping[str, TermWeight]:
    """Weights of a method; they depend on the families of the pair, not on size or backbone."""
    pair = {"student": _small(student), "teacher": _small(teacher)}
    return method_named(name)(**pair, **yaml.safe_load(options)).weights


@cache
def _small(family: str) -> DetectorParts:
    return build(f"{family}-shufflenetv2x0.5-c64", 2, min_size=64, max_size=64)


def _settings(weight: TermWeight) -> dict[str, Any]:
    default = {field.name: field.default for field in fields(TermWeight)}
    return {key: value for key, value in asdict(weight).items() if value != default[key]}


def _alone(pair: Pair, net: Net, role: str, common: Common) -> str:
    said = [
        f"{net.name}, {net.schedule}, taught by the ground truth alone: the {role} of this pair.",
        f"Published: {net.published:.1f} {_metric(pair)}.",
        _differences(pair.differs),
    ]
    if net.weights is None:
        said.append("Nobody published ImageNet weights of this backbone: it starts from nothing.")
    after = f"cp runs/{net.run_name}-*/student.safetensors {net.kept}"
    content = baseline_content(net, common)
    return _text(said, f"{pair.name}/{role}.yaml", content, after)


def _taught(pair: Pair, row: Row, common: Common) -> str:
    before = ["teacher.yaml"] + (["student.yaml"] if row.start == "student" else [])
    alone, teacher = pair.student.published, pair.teacher.published
    said = [
        f"{row.paper}, {row.where}. {common.papers[row.paper]}.",
        f"Published: the student alone {alone:.1f}, {row.told} {row.published:.1f} "
        f"{_metric(pair)}; the teacher {teacher:.1f}.",
        _differences(pair.differs, row.differs),
        f"First run {' and '.join(before)}, and keep the weights as said there.",
    ]
    return _text(said, f"{pair.name}/{row.stem}.yaml", row_content(pair, row, common))


def _differences(*differs: str) -> str:
    told = "; ".join(filter(None, differs))
    return told and f"Otherwise than in the paper: {told}."


def _metric(pair: Pair) -> str:
    return "AP" if pair.metric == "AP" else "AP50 of eleven points, as VOC 2007 defined it"


def _text(said: list[str], path: str, content: dict[str, Any], *commands: str) -> str:
    lines = [line for each in said for line in textwrap.wrap(each, 98, break_on_hyphens=False)]
    lines += [f"kdviz run {PLACE}/{path} data.path=path/to/images", *commands]
    lines += ["Written by python -m kdviz.runs.papers; a copy is yours to change."]
    body = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    return "".join(f"# {line}\n" for line in lines) + body
