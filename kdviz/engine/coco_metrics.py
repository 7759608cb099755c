"""What an evaluation gives back: numbers with a name, and tables to read them in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Slice:
    """The objects whose factor lies in ``low < value <= high``.

    Attributes:
        factor: name of the factor in the annotations, ``blur`` for one.
        name: what the slice is called in tables.
        low: lower bound, not inside.
        high: upper bound, inside.
    """

    factor: str
    name: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class ClassMetrics:
    """The numbers of one category.

    Attributes:
        category_id: its id in the annotations.
        objects: annotated objects, crowds left out.
        detections: results of this category.
        stats: the keys of `CocoMetrics.stats`.
    """

    category_id: int
    objects: int
    detections: int
    stats: dict[str, float]


@dataclass(frozen=True)
class SliceMetrics:
    """The numbers of the objects in one slice.

    Attributes:
        slice: which objects.
        objects: how many, crowds left out.
        stats: the keys of `CocoMetrics.stats`.
    """

    slice: Slice
    objects: int
    stats: dict[str, float]


@dataclass(frozen=True)
class CocoMetrics:
    """What COCO says about one set of detections.

    Attributes:
        stats: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl in this order, each
            in [0, 1], or -1 where there is no object to find.
        per_class: by category name, in order of category id.
        per_factor: by factor; empty when the annotations carry none.
        images: images evaluated.
        objects: annotated objects, crowds left out.
        detections: results evaluated.
        notes: what a reader of the numbers should know.
    """

    stats: dict[str, float]
    per_class: dict[str, ClassMetrics]
    per_factor: dict[str, tuple[SliceMetrics, ...]]
    images: int
    objects: int
    detections: int
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and finite numbers, ready for JSON; an open bound becomes None."""
        plain = asdict(self)
        for slices in plain["per_factor"].values():
            for entry in slices:
                for bound in ("low", "high"):
                    if math.isinf(entry["slice"][bound]):
                        entry["slice"][bound] = None
        return plain

    def table(self) -> str:
        """The numbers of everything, of each slice and of each class, one row each."""
        rows = [("all", self.objects, self.stats)]
        for factor, slices in self.per_factor.items():
            rows += [(f"{factor}: {one.slice.name}", one.objects, one.stats) for one in slices]
        rows += [(name, one.objects, one.stats) for name, one in self.per_class.items()]
        return _table(rows)

    def __str__(self) -> str:
        head = f"{self.images} images, {self.objects} objects, {self.detections} detections"
        return "\n".join([head, _table([("all", self.objects, self.stats)]), *self.notes])


def _table(rows: Sequence[tuple[str, int, dict[str, float]]]) -> str:
    width = max(len(name) for name, _, _ in rows)
    lines = [" " * width + "  objects" + "".join(f"{key:>7}" for key in rows[0][2])]
    for name, objects, stats in rows:
        cells = "".join(f"{value:7.3f}" if value >= 0 else "      -" for value in stats.values())
        lines.append(f"{name:<{width}}{objects:>9}{cells}")
    return "\n".join(lines)
