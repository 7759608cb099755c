"""Numbers from inside the trained detectors of a matrix, which claims about more than AP need.

``python -m kdviz.runs.claims measure MATRIX.yaml`` writes them to ``runs/<matrix>/measured.json``.
The runs of each seed are looked at once; what was found is kept beside them, with its draws of
images, until one of them is trained anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kdviz.datasets import DetectionData
from kdviz.detectors import DetectorParts
from kdviz.diagnosis import damage
from kdviz.diagnosis.bootstrap import Estimate, Resamples, draw_images
from kdviz.diagnosis.claims import judge_claims
from kdviz.diagnosis.codes import choose_prototypes, encode
from kdviz.diagnosis.correlation import rank_correlation
from kdviz.diagnosis.errors import TypedBoxes
from kdviz.diagnosis.instances import object_factors, see_instances
from kdviz.diagnosis.overlaps import Numbers
from kdviz.files import read_json, write_json_atomically
from kdviz.methods import Dist2, Method
from kdviz.methods.adapters import ConvAdapter
from kdviz.runs.claims.records import FILE, GOES_WITH, READ, Measured, beyond
from kdviz.runs.compare import ALONE
from kdviz.runs.diagnosis.inside import look_inside
from kdviz.runs.lessons import Lesson, lesson_of
from kdviz.runs.matrix.spec import Cell, MatrixSpec, cells
from kdviz.runs.prepare import open_splits, open_test
from kdviz.runs.sources import open_source
from kdviz.runs.spec import DataSpec

CONTROL = "fitnets"
"""Imitates plainly: an effect that it shows too is no merit of a method."""
DRAWS = 200
"""Draws of images behind each interval."""

_DAMAGE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "change of reliability when blurred": lambda image, boxes: damage.blurred(image, 2.0),
    "change of reliability when covered": lambda image, boxes: damage.covered(image, boxes, 0.6),
}

Found = dict[tuple[str, str], Estimate]
"""By method and quantity."""


@dataclass(frozen=True)
class Trained:
    """The detectors of one seed.

    Attributes:
        teacher: of all of them.
        students: by method; the one that learned alone is ``student``.
        methods: by name those that bring a student's maps to the teacher, with their adapters.
    """

    teacher: DetectorParts
    students: Mapping[str, DetectorParts]
    methods: Mapping[str, Method]


def measure(
    matrix: MatrixSpec, root: Path = Path("runs"), *, limit: int | None = None
) -> list[Measured]:
    """Measure what the finished runs of a matrix allow, and write it beside them.

    A seed counts for a pair when the student alone and one other method are done. The images are
    those of the test split, or of the validation split where there is none.

    Args:
        matrix: whose runs.
        root: folder of all runs.
        limit: only the first images; for trying.
    """
    folder = Path(root) / matrix.name
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells(matrix):
        if (folder / cell.spec.folder_name / "result.json").is_file():
            done.setdefault((cell.data, cell.pair, cell.seed), []).append(cell)
    found: dict[tuple[str, str], dict[int, Found]] = {}
    for (data, pair, seed), group in done.items():
        methods = [cell.method for cell in group]
        if ALONE in methods and len(methods) > 1:
            file = folder / "measured" / f"{data}-{pair}-s{seed}.json"
            found.setdefault((data, pair), {})[seed] = _of_seed(file, group, folder, limit)
    measured = [
        one
        for (data, pair), by_seed in found.items()
        for one in over_seeds(data, pair, by_seed, CONTROL)
    ]
    write_json_atomically(
        folder / FILE, {"matrix": matrix.name, "measured": [asdict(one) for one in measured]}, 1
    )
    return measured


def over_seeds(data: str, pair: str, by_seed: Mapping[int, Found], control: str) -> list[Measured]:
    """One record for each method and quantity, and one more for what exceeds the control.

    Args:
        data: short name of the data set.
        pair: short name of the pair.
        by_seed: what was found with each seed, on the same draws of the same images.
        control: whose own number is subtracted.
    """
    rows: dict[tuple[str, str], dict[int, Estimate]] = {}
    for seed, found in by_seed.items():
        for (method, quantity), estimate in found.items():
            rows.setdefault((method, quantity), {})[seed] = estimate
            plain = found.get((control, quantity))
            if plain is not None and method != control:
                more = method, beyond(quantity, control)
                rows.setdefault(more, {})[seed] = estimate - plain
    return [
        _averaged(Measured(data, pair, *place, (), ()), estimates)
        for place, estimates in rows.items()
    ]


def _averaged(empty: Measured, estimates: Mapping[int, Estimate]) -> Measured:
    seeds = tuple(sorted(estimates))
    draws = np.mean([estimates[seed].draws for seed in seeds], axis=0)
    values = tuple(float(estimates[seed].value) for seed in seeds)
    low, high = Estimate(float(np.mean(values)), draws).interval()
    images = (low, high) if np.isfinite(low) else None
    return replace(empty, seeds=seeds, values=values, images=images)


# --- one seed -------------------------------------------------------------------------------------


def _of_seed(file: Path, group: Sequence[Cell], folder: Path, limit: int | None) -> Found:
    """What the runs of one seed show; from the file, if these runs were looked at before."""
    runs = sorted(cell.spec.folder_name for cell in group)
    told = {"runs": runs, "limit": limit, "draws": DRAWS}
    if file.is_file():
        kept = read_json(file)
        if {key: kept.get(key) for key in told} == told:
            return {
                (one["method"], one["quantity"]): Estimate(one["value"], np.array(one["at_draws"]))
                for one in kept["numbers"]
            }
    data = _images(group[0].spec.data)
    found = look_at(_open(group, folder), data.first(limit) if limit else data)
    numbers: list[dict[str, Any]] = [
        {
            "method": method,
            "quantity": quantity,
            "value": estimate.value,
            "at_draws": [round(float(value), 5) for value in estimate.draws],
        }
        for (method, quantity), estimate in found.items()
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(file, told | {"numbers": numbers})
    return found


def _images(spec: DataSpec) -> DetectionData:
    training, validation = open_splits(spec)
    return open_test(spec, training) or validation


def _open(group: Iterable[Cell], folder: Path) -> Trained:
    students, methods, teacher = {}, {}, None
    for cell in group:
        opened = open_source(folder / cell.spec.folder_name)
        students[cell.method] = opened.parts
        teacher = opened.teacher or teacher
        method = opened.methods.get(cell.method)
        if opened.kept and method is not None and _adapts_neck(method):
            methods[cell.method] = method
    if teacher is None:
        raise FileNotFoundError(
            f"no teacher of the runs in {folder} is there any more; put its weights back"
        )
    return Trained(teacher, students, methods)


def _adapts_neck(method: Method) -> bool:
    return isinstance(method, Dist2) or isinstance(getattr(method, "adapter", None), ConvAdapter)


def look_at(trained: Trained, data: DetectionData, draws: int = DRAWS) -> Found:
    """All quantities that these detectors and images allow.

    Args:
        trained: the detectors.
        data: two images or more.
        draws: of images.
    """
    students: dict[str, Any] = dict(trained.students)
    alone = students.pop(ALONE)
    resamples = draw_images(len(data.record["images"]), draws)
    inside = look_inside(data, student=alone, teacher=trained.teacher, **students)
    judged = inside.verdicts()
    typed = {name: one.typed for name, one in judged.items()}
    adapted: dict[str, TypedBoxes] = {}
    if taught := {name: students[name] for name in trained.methods}:
        methods = trained.methods
        through = look_inside(
            data, student=alone, teacher=trained.teacher, methods=methods, **taught
        ).typed_crossed()
        adapted = {name: through[name] for name in taught}
    claims = judge_claims(
        judged,
        inside.factors(),
        resamples,
        crossed=inside.typed_crossed(),
        adapted=adapted,
        control=CONTROL,
    )
    found: Found = {
        (method, claim.quantity): estimate
        for claim in claims
        for method, estimate in claim.estimates.items()
    }
    found |= read_shares(adapted, typed, resamples)
    lesson = lesson_of(data)
    found |= reliabilities(lesson, student=alone, teacher=trained.teacher, resamples=resamples)
    return found


def read_shares(
    adapted: Mapping[str, TypedBoxes], own: Mapping[str, TypedBoxes], resamples: Resamples
) -> Found:
    """How well the teacher's head reads each student, of how well the student's own head does.

    Args:
        adapted: what the teacher's head finds on the maps of each student, through its adapter.
        own: what each student finds.
        resamples: draws of images.
    """
    found: Found = {}
    for name, typed in adapted.items():
        above, below = resamples.ap50(typed), resamples.ap50(own[name])
        if below.value > 0:
            shares = above.draws / np.where(below.draws > 0, below.draws, np.nan)
            found[name, READ] = Estimate(above.value / below.value, shares)
    return found


def reliabilities(
    lesson: Lesson, *, student: DetectorParts, teacher: DetectorParts, resamples: Resamples
) -> Found:
    """What GKD's reliability of an object goes with, on the finest level that both share.

    The prototypes are chosen among these objects, and are not judged themselves.

    Args:
        lesson: images; crowds have no boxes in it.
        student: that learned alone: the reliability that a training with GKD begins with.
        teacher: the detector to be learned from.
        resamples: draws of these images.

    Returns:
        By quantity, of the method ``student``.
    """
    detectors: dict[str, Any] = {"student": student, "teacher": teacher}
    smallest = 16.0  # network pixels; the release's 30 leaves no prototypes among small objects
    table = see_instances(
        **detectors, images=lesson.images, targets=lesson.targets, min_size=smallest
    )
    stride = min(table.student)
    rows = choose_prototypes(table, stride)
    codes = encode(table, rows, stride)
    judged, image = codes.judged, table.image_ids
    trust, where = codes.reliability[judged].numpy(), image[judged].numpy()
    known = object_factors(lesson.targets, lesson.data.record["annotations"])
    found: Found = {
        (ALONE, quantity): _correlation(known[name][judged].numpy(), trust, where, resamples)
        for name, quantity in GOES_WITH.items()
        if name in known and known[name][judged].unique().numel() > 1
    }
    for quantity, spoil in _DAMAGE.items():
        pairs = zip(lesson.images, lesson.targets, strict=True)
        spoilt: list[Tensor] = [spoil(pixels, target["boxes"]) for pixels, target in pairs]
        seen = see_instances(**detectors, images=spoilt, targets=lesson.targets)
        after = encode(seen, rows, stride, prototypes=table).reliability[judged]
        change = (after - codes.reliability[judged]).numpy().astype(np.float64)
        found[ALONE, quantity] = _mean(change, where, resamples)
    return found


def _correlation(values: Numbers, trust: Numbers, image: Numbers, resamples: Resamples) -> Estimate:
    """Spearman's coefficient, and on each draw of the images."""
    draws = []
    for weights in resamples.weights:
        times = weights[image]
        drawn = np.repeat(values, times), np.repeat(trust, times)
        draws.append(rank_correlation(*drawn).value)
    return Estimate(rank_correlation(values, trust).value, np.array(draws))


def _mean(values: Numbers, image: Numbers, resamples: Resamples) -> Estimate:
    """Mean over objects, and on each draw of the images."""
    count = resamples.weights.shape[1]
    sums = resamples.weights @ np.bincount(image, values, count)
    objects = resamples.weights @ np.bincount(image, minlength=count)
    return Estimate(float(values.mean()), sums / np.where(objects > 0, objects, np.nan))
