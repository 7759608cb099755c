"""What the runs of a matrix ended in: one record for each, as ``results.json`` holds them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from kdviz.files import read_json
from kdviz.runs.compare import ALONE
from kdviz.runs.local import Status
from kdviz.runs.matrix.spec import MatrixSpec
from kdviz.runs.matrix.state import CellState

Split = Literal["test", "val"]


@dataclass(frozen=True)
class Outcome:
    """One run of a matrix: its place, and once it is done what came out.

    Attributes:
        data: short name of its data set.
        pair: short name of student and teacher.
        method: as in `kdviz.runs.compare.label_of`.
        seed: of the run.
        status: of the run; without ``done`` there are no numbers.
        folder: name of its folder.
        steps: that it is trained for.
        student: name of the detector that learns.
        AP: on the validation split, as AP50 and AP75, in [0, 1].
        test_AP: on the test split, scored once; None where the data have none.
        seconds: that training took.
        images_per_second: while training.
        images: checksum of all splits; runs of other images are never compared.
        teacher_AP: of its teacher, on the first validation images.
        teacher_images: how many those are.
    """

    data: str
    pair: str
    method: str
    seed: int
    status: Status
    folder: str
    steps: int
    student: str = ""
    AP: float | None = None
    AP50: float | None = None
    AP75: float | None = None
    test_AP: float | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    images: str | None = None
    teacher_AP: float | None = None
    teacher_images: int | None = None

    def score(self, split: Split) -> float | None:
        """AP on a split; None where there is none."""
        return self.test_AP if split == "test" else self.AP


def outcomes(states: Iterable[CellState]) -> list[Outcome]:
    """One record for each run of a matrix, done or not."""
    return [_outcome(state) for state in states]


def read_outcomes(path: Path) -> list[Outcome]:
    """The records of a ``results.json``.

    Raises:
        ValueError: the file holds something else.
        FileNotFoundError: there is no such file.
    """
    content = read_json(path)
    known = {each.name for each in fields(Outcome)}
    try:
        rows = [{key: row[key] for key in row if key in known} for row in content["rows"]]
        return [Outcome(**row) for row in rows]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} holds no results of a matrix ({error})") from error


def as_rows(records: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Records as plain dicts, ready for JSON."""
    return [asdict(record) for record in records]


def environments(states: Iterable[CellState]) -> dict[str, list[Any]]:
    """What the finished runs were made with: of each thing all values, the most frequent first."""
    seen: dict[str, list[Any]] = {}
    for state in states:
        for key, value in (state.result or {}).get("environment", {}).items():
            seen.setdefault(key, []).append(value)
    return {
        key: sorted(dict.fromkeys(values), key=values.count, reverse=True)
        for key, values in seen.items()
    }


def matrix_order(matrix: MatrixSpec, records: Iterable[Outcome]) -> list[Outcome]:
    """Records by data set, pair, method and seed, as the matrix names them."""
    methods = [ALONE if method == "none" else method for method in matrix.methods]
    data, pairs = list(matrix.data), list(matrix.pairs)
    return sorted(
        records,
        key=lambda one: (
            data.index(one.data),
            pairs.index(one.pair),
            methods.index(one.method),
            one.seed,
        ),
    )


def _outcome(state: CellState) -> Outcome:
    cell, result = state.cell, state.result
    place = Outcome(
        cell.data,
        cell.pair,
        cell.method,
        cell.seed,
        state.status,
        state.folder.name,
        cell.spec.train.steps,
        cell.spec.student.name,
    )
    if result is None:
        return place
    metrics, speed, teacher = result["metrics"], result["speed"], result.get("teacher") or {}
    return replace(
        place,
        status="done",
        AP=_known(metrics["AP"]),
        AP50=_known(metrics["AP50"]),
        AP75=_known(metrics["AP75"]),
        test_AP=_known(result["test"]["AP"]) if "test" in result else None,
        seconds=_known(speed["seconds"]),
        images_per_second=_known(speed.get("images_per_second")),
        images=_checksum(result["data"]),
        teacher_AP=_known(teacher.get("sample_ap")),
        teacher_images=teacher.get("sample_images"),
    )


def _known(value: float | None) -> float | None:
    """COCO says -1 where there was nothing to find."""
    return None if value is None or not math.isfinite(value) or value < 0 else float(value)


def _checksum(data: Mapping[str, Mapping[str, Any]]) -> str:
    """One short checksum of all splits."""
    told = ",".join(f"{split}:{data[split]['hash']}" for split in sorted(data))
    return hashlib.sha256(told.encode()).hexdigest()[:12]
