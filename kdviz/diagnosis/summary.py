"""The numbers of a diagnosis as plain JSON, for scripts that compare runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from enum import IntEnum
from itertools import combinations
from typing import Any

import numpy as np

import kdviz
from kdviz.diagnosis.bootstrap import Estimate
from kdviz.diagnosis.calibration import Reliability
from kdviz.diagnosis.causes import FactorFinding
from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.findings import findings
from kdviz.diagnosis.groups import GroupedBoxes
from kdviz.diagnosis.overlaps import Integers
from kdviz.diagnosis.per_image import most_improved
from kdviz.diagnosis.tables import word
from kdviz.diagnosis.transitions import Transitions
from kdviz.diagnosis.verdicts import JUDGED

LEVEL = 0.95
"""Share of the draws that every interval holds."""

_IMAGES = 12


def summarise(
    diagnosis: Diagnosis,
    *,
    causes: Sequence[FactorFinding] | None = None,
    groups: Mapping[str, GroupedBoxes] | None = None,
    made_with: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All that a report says in numbers, ready for ``json.dumps(..., allow_nan=False)``.

    An estimate is ``{"value", "low", "high"}``: the number on the images as they are and the ends
    of its 95 % bootstrap interval. What is unknown or undefined is null: also the bound of a slice
    without an end, and whole parts that need a set that is not there. Kinds are keys in words, see
    `kdviz.diagnosis.tables.word`; the order of the keys is fixed.

    Args:
        diagnosis: of all sets.
        causes: see `kdviz.diagnosis.causes.find_causes`; null without.
        groups: the grouped boxes by the name of the set; null without.
        made_with: what the numbers rest on, in words of the caller: versions, command, checksums
            of the files; it stands first.
    """
    truth = diagnosis.inputs.truth
    draws, images = diagnosis.resamples.weights.shape
    grouped = groups or {}
    return {
        "kdviz": kdviz.__version__,
        "made_with": plain(made_with),
        "findings": [asdict(finding) for finding in findings(diagnosis, causes or ())],
        "notes": list(diagnosis.inputs.notes),
        "images": images,
        "objects": int((~truth.crowd).sum()),
        "crowds": int(truth.crowd.sum()),
        "categories": list(truth.category_names),
        "bootstrap": {"draws": draws, "level": LEVEL},
        "sets": {name: _set(diagnosis, name, grouped.get(name)) for name in diagnosis.sets},
        "differences": [
            {"after": after, "before": before, **plain(diagnosis.differences(after, before))}
            for before, after in combinations(diagnosis.sets, 2)
        ],
        "transitions": _transitions(diagnosis),
        "inherited": _inherited(diagnosis),
        "images_by_change": _changed_images(diagnosis),
        "causes": None if causes is None else [_factor(finding) for finding in causes],
    }


def plain(value: Any) -> Any:
    """A value in what JSON knows: estimates as three numbers, kinds in words, null for NaN."""
    if isinstance(value, Estimate):
        low, high = value.interval(LEVEL)
        return plain({"value": value.value, "low": low, "high": high})
    if isinstance(value, Mapping):
        return {
            word(key) if isinstance(key, IntEnum) else str(key): plain(item)
            for key, item in value.items()
        }
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _set(diagnosis: Diagnosis, name: str, grouped: GroupedBoxes | None) -> dict[str, Any]:
    one = diagnosis.sets[name]
    typed, judged, names = one.typed, one.verdicts, one.confusion.names
    return {
        "threshold": judged.threshold,
        "boxes": len(typed.boxes.scores),
        "scores": plain(one.scores),
        "objects_by_verdict": plain(judged.counts()),
        "boxes_by_type": {
            "all": plain(typed.counts()),
            "above_threshold": plain(typed.counts(judged.threshold)),
        },
        "errors_per_object": plain(one.errors),
        "costs": plain(vars(one.costs)),
        "calibration": _calibration(one.reliability),
        "mix_ups": [
            {"annotated": names[row], "detected": names[column], "count": count}
            for row, column, count in one.confusion.mix_ups()
        ],
        "grouped": None if grouped is None else plain(vars(grouped.summary)),
        "worst_images": _images(diagnosis, one.images.worst(_IMAGES), [name]),
    }


def _transitions(diagnosis: Diagnosis) -> dict[str, Any] | None:
    moved = diagnosis.transitions
    if moved is None:
        return None
    return {
        "objects": plain(moved.counts()) if diagnosis.transition_shares else None,
        "shares": plain(diagnosis.transition_shares) or None,
        "flow": _flow(moved),
    }


def _flow(moved: Transitions) -> list[dict[str, Any]]:
    """The paths that some object takes, verdict by role, the most frequent first."""
    paths = np.argwhere(moved.flow)
    counts = moved.flow[tuple(paths.T)]
    return [
        {
            **{role: word(JUDGED[v]) for role, v in zip(moved.verdicts, paths[path], strict=True)},
            "objects": int(counts[path]),
        }
        for path in np.argsort(-counts, kind="stable")
    ]


def _inherited(diagnosis: Diagnosis) -> dict[str, Any] | None:
    moved, boxes = diagnosis.transitions, diagnosis.repeated
    if moved is None or moved.mistakes is None or boxes is None:
        return None
    mistakes = moved.mistakes
    return {
        "objects": {
            "teacher": int(mistakes.teacher.sum()),
            "student": int(mistakes.student.sum()),
            "distilled": int(mistakes.distilled.sum()),
            "inherited": int(mistakes.inherited.sum()),
            "shed": int(mistakes.shed.sum()),
        },
        "rates": plain(diagnosis.mistake_rates),
        "boxes": {
            "teacher": len(boxes.teacher),
            "student": int((boxes.student >= 0).sum()),
            "distilled": int((boxes.distilled >= 0).sum()),
            "inherited": int(boxes.inherited.sum()),
            "shed": int(boxes.shed.sum()),
        },
    }


def _changed_images(diagnosis: Diagnosis) -> dict[str, Any] | None:
    roles = ["student", "distilled"]
    if not set(roles) <= set(diagnosis.sets):
        return None
    before, after = (diagnosis.sets[role].images for role in roles)
    return {
        "improved": _images(diagnosis, most_improved(before, after, _IMAGES), roles),
        "worsened": _images(diagnosis, most_improved(after, before, _IMAGES), roles),
    }


def _images(diagnosis: Diagnosis, images: Integers, names: Iterable[str]) -> list[dict[str, Any]]:
    """What some sets found on some images."""
    truth = diagnosis.inputs.truth
    scores = {name: diagnosis.sets[name].images for name in names}
    return [
        {
            "image_id": int(truth.image_ids[image]),
            "file_name": truth.file_names[image] or None,
            **{
                name: {
                    "objects": int(one.objects[image]),
                    "right": int(one.right[image]),
                    "wrong": int(one.wrong[image]),
                }
                for name, one in scores.items()
            },
        }
        for image in images
    ]


def _calibration(reliable: Reliability) -> dict[str, Any]:
    columns = {
        "low": reliable.edges[:-1],
        "high": reliable.edges[1:],
        "boxes": reliable.boxes,
        "score": reliable.score,
        "precision": reliable.precision,
    }
    rows = zip(*map(plain, columns.values()), strict=True)
    return {
        "error": plain(reliable.error),
        "largest": plain(reliable.largest),
        "bins": [dict(zip(columns, row, strict=True)) for row in rows],
    }


def _factor(finding: FactorFinding) -> dict[str, Any]:
    return {
        "factor": finding.factor,
        "contrast": plain(finding.contrast),
        "gain_contrast": plain(finding.gain_contrast),
        "slices": [
            {
                "name": one.slice.name,
                "above": plain(one.slice.low),
                "up_to": plain(one.slice.high),
                "objects": len(one.objects),
                "recall": plain(one.recall),
                "gap": plain(one.gap),
                "explains": plain(one.explains),
                "gain": plain(one.gain),
                "closed": plain(one.closed),
            }
            for one in finding.slices
        ],
    }
