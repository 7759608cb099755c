"""What the paper trained beside what we train, key by key, and what differs."""

from __future__ import annotations

from functools import cache

from kdviz.runs.claims.claim import Setting
from kdviz.runs.claims.cost import Cost, Rate, training_cost
from kdviz.runs.compare import ALONE, RECIPES
from kdviz.runs.matrix.spec import MatrixSpec, cells, load_matrix
from kdviz.runs.spec import DataSpec, RunSpec

PAPERS = RECIPES / "papers"
"""Folder of the papers' own trainings."""
MATRICES = RECIPES / "matrices"

Words = dict[str, str]
"""A setting key by key, as a reader takes it: data, student, teacher, ..."""


def paper_words(setting: Setting | None, spec: RunSpec | None) -> Words:
    """The paper's setting; what a recipe says goes before what the claim says of it."""
    words: Words = {}
    if setting is not None:
        words = {"data": setting.data, "student": setting.student, "teacher": setting.teacher}
        if setting.size is not None:
            words["image size"] = _size(*setting.size)
        if setting.images and setting.epochs:
            words["images seen"] = _count(setting.images * setting.epochs)
        if setting.batch:
            words["batch"] = str(setting.batch)
    return words | (run_words(spec) if spec is not None else {})


@cache
def cell_words(matrix: str, data: str, pair: str, method: str) -> Words:
    """The setting of one cell of a matrix; empty where there is no file of it or no such cell."""
    file = MATRICES / f"{matrix}.yaml"
    if not file.is_file():
        return {}
    spec = _cell(load_matrix(file), data, pair, method)
    return {} if spec is None else run_words(spec)


def _cell(matrix: MatrixSpec, data: str, pair: str, method: str) -> RunSpec | None:
    places = {(cell.data, cell.pair, cell.method): cell.spec for cell in cells(matrix)}
    return places.get((data, pair, method)) or places.get((data, pair, ALONE))


def run_words(spec: RunSpec) -> Words:
    """The setting of a run."""
    train, devices = spec.train, spec.train.devices
    words = {
        "data": data_name(spec.data),
        "student": spec.student.name,
        "student starts from": spec.student.weights or "random weights",
        "image size": _size(spec.data.min_size, spec.data.max_size),
        "images seen": _count(train.steps * train.batch_size * devices),
        "batch": str(train.batch_size * devices),
        "optimiser": f"{train.optimizer}, lr {train.lr:g}",
    }
    if spec.teacher is not None:
        words["teacher"] = spec.teacher.name
    for method in spec.methods:
        for term, weight in method.weights.items():
            if weight.value is not None:
                words[f"weight of {term}"] = f"{weight.value:g}"
        words |= {f"{method.name}: {key}": str(x) for key, x in method.options.items()}
    return words


def data_name(spec: DataSpec) -> str:
    """A data set in a word or two."""
    if spec.scenes is not None:
        return f"{spec.scenes.train} rendered scenes"
    assert spec.path is not None  # DataSpec has one of the two
    return spec.path.name


def differences(theirs: Words, ours: Words) -> list[str]:
    """One line for each key that both know and say something else of, the paper's first."""
    return [
        f"{key}: {theirs[key]} there, {ours[key]} here"
        for key in theirs
        if key in ours and theirs[key] != ours[key]
    ]


def paper_cost(setting: Setting | None, spec: RunSpec | None, rate: Rate) -> Cost:
    """Hours of the paper's student alone and of the distilled one, one seed each.

    Args:
        setting: of the paper.
        spec: its recipe; what it says goes before the setting.
        rate: of the device.
    """
    if spec is not None and spec.teacher is not None:
        seen = spec.train.steps * spec.train.batch_size * spec.train.devices
        size = spec.data.min_size, spec.data.max_size
        student, teacher = spec.student.name, spec.teacher.name
    elif setting is not None and setting.images and setting.epochs and setting.size:
        seen, size = round(setting.images * setting.epochs), setting.size
        student, teacher = setting.student, setting.teacher
    else:
        return Cost(None, "its schedule was not published")
    try:
        both = [
            training_cost(student=student, teacher=taught, images=seen, size=size, rate=rate)
            for taught in (None, teacher)
        ]
    except ValueError:
        return Cost(None, f"the zoo lacks {student} or {teacher}, so nothing can be counted")
    return Cost(sum(cost.hours or 0 for cost in both), rate.source)


def _size(shorter: int, longest: int) -> str:
    return f"{shorter} to {longest} px"


def _count(images: float) -> str:
    thousands = f"{images / 1e6:.2f} million" if images >= 1e6 else f"{images:,.0f}"
    return thousands.replace(",", " ")
