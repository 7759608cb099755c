"""Every box and every object of a diagnosis as a row, for programs that go on from there.

A table is its columns by name, each a list of plain values, None where there is none. Kinds are
written in words, see `word`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.groups import GroupedBoxes
from kdviz.diagnosis.overlaps import Numbers
from kdviz.diagnosis.transitions import Transition
from kdviz.diagnosis.verdicts import Verdict

Table = dict[str, list[Any]]


def word(kind: IntEnum) -> str:
    """A kind in one word: ``"true_positive"``, else its name in lower case: ``"kept_wrong"``."""
    # pandas reads a column of nothing but "true" as booleans.
    return "true_positive" if kind is BoxType.TRUE else kind.name.lower()


def box_table(diagnosis: Diagnosis, name: str, grouped: GroupedBoxes) -> Table:
    """Every box of a set, in the order of its file.

    The columns: ``set``; ``box``, the position in the file from 0; ``image_id``, ``file_name``,
    ``category_id``, ``category``; ``x``, ``y``, ``width``, ``height`` in pixels; ``score``;
    ``box_type``, a `BoxType`; ``object_id``, the annotation that explains the type, and
    ``object_iou`` with it, for an ignored box the share of it inside the crowd region;
    ``above_threshold``; ``grouped``, drawn around several near objects; ``repeats_teacher``: a
    wrong box of the teacher is repeated, told of the distilled student alone. The last two never
    hold below the threshold.

    Args:
        diagnosis: of all sets.
        name: of the set.
        grouped: the grouped boxes of this set.
    """
    one, truth = diagnosis.sets[name], diagnosis.inputs.truth
    typed, boxes = one.typed, one.typed.boxes
    explained, count = typed.object >= 0, len(boxes.scores)
    repeats: list[Any] = [None] * count
    if diagnosis.repeated is not None and name == "distilled":
        theirs = diagnosis.repeated.distilled
        repeats = _among(theirs[theirs >= 0], count).tolist()
    return {
        "set": [name] * count,
        "box": list(range(count)),
        **_places(diagnosis, boxes.image, boxes.category, boxes.boxes),
        "score": boxes.scores.tolist(),
        "box_type": _words(BoxType, typed.type),
        "object_id": _known(truth.object_ids[typed.object], explained),
        "object_iou": _known(typed.iou, explained),
        "above_threshold": (boxes.scores >= one.verdicts.threshold).tolist(),
        "grouped": _among(grouped.box, count).tolist(),
        "repeats_teacher": repeats,
    }


def object_table(diagnosis: Diagnosis, factors: Mapping[str, Numbers] | None = None) -> Table:
    """Every object, in the order of the annotations.

    The columns: ``object_id``, the annotation id; ``image_id``, ``file_name``, ``category_id``,
    ``category``; ``x``, ``y``, ``width``, ``height``, ``area`` in (square) pixels; ``crowd``; for
    each set its ``<set>_verdict``, a `Verdict`, and the box that shows it as ``<set>_box``, its
    position in the file of the set, and ``<set>_score``; ``transition``, a `Transition`, and
    ``gain``, by how much the score rose from student to distilled; ``factor_<name>`` for each
    factor.

    Args:
        diagnosis: of all sets.
        factors: difficulty of each object by name, (G,); NaN where it is unknown.
    """
    truth, moved = diagnosis.inputs.truth, diagnosis.transitions
    table = {
        "object_id": truth.object_ids.tolist(),
        **_places(diagnosis, truth.image, truth.category, truth.boxes),
        "area": truth.area.tolist(),
        "crowd": truth.crowd.tolist(),
    }
    for name, one in diagnosis.sets.items():
        box = one.verdicts.box
        table[f"{name}_verdict"] = _words(Verdict, one.verdicts.verdict)
        table[f"{name}_box"] = _known(box, box >= 0)
        table[f"{name}_score"] = _known(one.typed.boxes.scores[box], box >= 0)
    nothing: list[Any] = [None] * len(truth.object_ids)
    table |= {"transition": nothing, "gain": nothing}
    if moved is not None:
        table["transition"] = _words(Transition, moved.transition)
        table["gain"] = _known(moved.gain, moved.transition >= 0)
    for name, values in (factors or {}).items():
        table[f"factor_{name}"] = _known(values, np.isfinite(values))
    return table


def _places(
    diagnosis: Diagnosis, image: NDArray[Any], category: NDArray[Any], boxes: NDArray[Any]
) -> Table:
    truth = diagnosis.inputs.truth
    x, y, width, height = boxes.T.tolist()
    return {
        "image_id": truth.image_ids[image].tolist(),
        "file_name": [truth.file_names[i] or None for i in image.tolist()],
        "category_id": truth.category_ids[category].tolist(),
        "category": [truth.category_names[k] for k in category.tolist()],
        "x": x,
        "y": y,
        "width": width,
        "height": height,
    }


def _words(kinds: type[IntEnum], values: NDArray[Any]) -> list[Any]:
    """Each kind in a word; None for -1."""
    words = [*map(word, kinds), None]
    return [words[value] for value in values.tolist()]


def _known(values: NDArray[Any], known: NDArray[np.bool_]) -> list[Any]:
    told = zip(values.tolist(), known.tolist(), strict=True)
    return [value if is_known else None for value, is_known in told]


def _among(positions: NDArray[Any], count: int) -> NDArray[np.bool_]:
    chosen = np.zeros(count, bool)
    chosen[positions] = True
    return chosen
