"""A diagnosis as files that other programs read: CSV tables, COCO annotations and a summary."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from kdviz.diagnosis.causes import FactorFinding
from kdviz.diagnosis.coco_output import coco_boxes, coco_objects
from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.groups import GroupedBoxes, grouped_boxes
from kdviz.diagnosis.overlaps import Numbers
from kdviz.diagnosis.summary import summarise
from kdviz.diagnosis.tables import Table, box_table, object_table
from kdviz.files import written_together

_RESERVED = ("objects", "diagnosis")
_NAME = re.compile(r"[^\W_][\w -]*")


def write_exports(
    diagnosis: Diagnosis,
    folder: str | Path,
    *,
    factors: Mapping[str, Numbers] | None = None,
    causes: Sequence[FactorFinding] | None = None,
    groups: Mapping[str, GroupedBoxes] | None = None,
    made_with: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write what a diagnosis found, for spreadsheets, pandas, FiftyOne and scripts.

    - ``boxes.csv``: every box of every set, see `kdviz.diagnosis.tables.box_table`.
    - ``objects.csv``: every object, see `kdviz.diagnosis.tables.object_table`.
    - ``objects.json``: COCO annotations with what became of each object.
    - ``<set>.json``: each set as COCO annotations, see `kdviz.diagnosis.coco_output`.
    - ``diagnosis.json``: all numbers, see `kdviz.diagnosis.summary.summarise`.

    Either all of them appear, in the place of older ones, or none. Equal diagnoses give equal
    bytes.

    Args:
        diagnosis: of all sets.
        folder: where to; made if it is missing.
        factors: difficulty of each object by name, (G,); NaN where it is unknown.
        causes: what was found out from the factors.
        groups: the grouped boxes of every set by its name; found anew without.
        made_with: versions, command, checksums of the files, in words of the caller.

    Returns:
        What is in ``diagnosis.json``.

    Raises:
        ValueError: a set or factor has a name that no file or column can have.
        OSError: the folder cannot be written to.
    """
    check_names(diagnosis.sets, factors or ())
    if groups is None:
        groups = {name: grouped_boxes(one.verdicts) for name, one in diagnosis.sets.items()}
    summary = summarise(diagnosis, causes=causes, groups=groups, made_with=made_with)
    truth = diagnosis.inputs.truth
    with written_together(folder) as partial:
        objects = object_table(diagnosis, factors)
        _append_csv(partial / "objects.csv", objects)
        _write_json(partial / "objects.json", coco_objects(truth, objects))
        for name in tqdm(diagnosis.sets, desc="export", unit="set", delay=2, leave=False):
            boxes = box_table(diagnosis, name, groups[name])
            _append_csv(partial / "boxes.csv", boxes)
            _write_json(partial / f"{name}.json", coco_boxes(truth, boxes))
        _write_json(partial / "diagnosis.json", summary, indent=2)
    return summary


def check_names(sets: Iterable[str], factors: Iterable[str] = ()) -> None:
    """Refuse names of sets and factors that files, columns or attributes cannot have.

    Args:
        sets: names of the sets; a file is called after each.
        factors: names of the factors; a column is called after each.

    Raises:
        ValueError: a name holds something else than letters, digits, spaces, ``_`` and ``-``, or
            is that of another file.
    """
    for kind, names in (("set", sets), ("factor", factors)):
        for name in names:
            if not _NAME.fullmatch(name) or (kind == "set" and name.casefold() in _RESERVED):
                raise ValueError(
                    f"a {kind} named {name!r} cannot be exported; use letters, digits, spaces, "
                    f"_ and -, and for a set neither of {', '.join(_RESERVED)}"
                )


def _append_csv(path: Path, table: Table) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not file.tell():
            writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def _write_json(path: Path, value: Any, indent: int | None = None) -> None:
    text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
