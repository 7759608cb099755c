"""What can be wrong with a COCO-shaped record, before any image is opened."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

OUTSIDE_TOLERANCE = 1.0
"""Pixels a box may reach over the image: rounding outwards and counting from 1 cost up to one."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a data set.

    Attributes:
        kind: short fixed name, such as ``box-outside``; problems of one kind are alike.
        message: what was found, where, and what becomes of it.
        severity: ``error`` when the data cannot be used as it is (reading or loading refuses it),
            ``warning`` when it can and somebody should know.
        image_id: the image concerned, if one is.
        annotation_id: the annotation concerned, if one is.
        split: the split it was found in, if known.
    """

    kind: str
    message: str
    severity: Literal["error", "warning"] = "error"
    image_id: Any = None
    annotation_id: Any = None
    split: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


Report = Callable[[Problem], None]
"""Where a reader sends what it finds: `refuse` when reading, ``list.append`` when checking."""


def refuse(problem: Problem) -> None:
    """Raise ValueError on an error; let warnings pass."""
    if problem.severity == "error":
        raise ValueError(f"{problem.message} (`kdviz data check` lists every problem)")


def record_problems(record: Mapping[str, Any]) -> Iterator[Problem]:
    """Every problem that shows in the record itself: ids, references, boxes.

    Never stops at the first one, and takes any JSON value for a record: an entry too broken to be
    read is reported as ``malformed`` and left out of the later questions.

    Args:
        record: COCO json as it was parsed.
    """
    lists: dict[str, list[Any]] = {}
    for key in ("images", "annotations", "categories"):
        entries = record.get(key)
        if not isinstance(entries, list):
            found = ", ".join(map(str, record)) or "nothing"
            yield Problem("malformed", f"the record has no list {key!r}; it holds: {found}")
            entries = []
        elif not entries:
            yield Problem(f"no-{key}", f"the record holds no {key}")
        lists[key] = entries

    categories = yield from _sound(lists["categories"], "category", _CATEGORY)
    yield from _repeated(categories, "id", "duplicate-category-id", "error")
    yield from _repeated(categories, "name", "duplicate-category-name", "warning")

    images = yield from _sound(lists["images"], "image", _IMAGE)
    yield from _repeated(images, "id", "duplicate-image-id", "error")
    yield from _repeated(images, "file_name", "duplicate-file-name", "warning")

    annotations = yield from _sound(lists["annotations"], "annotation", _ANNOTATION)
    yield from _repeated(annotations, "id", "duplicate-annotation-id", "error")
    yield from _annotation_problems(
        annotations, {x["id"]: x for x in images}, {x["id"] for x in categories}
    )

    used = {annotation["category_id"] for annotation in annotations}
    for category in categories:
        if annotations and category["id"] not in used:
            yield Problem(
                "unused-category",
                f"category {category['id']} ({category['name']}) has no objects",
                "warning",
            )


def sound_images(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The image entries that say all that is needed to open the file."""
    images = record.get("images")
    return [x for x in images if not _bad_fields(x, _IMAGE)] if isinstance(images, list) else []


def _annotation_problems(
    annotations: list[dict[str, Any]], images: Mapping[int, Any], category_ids: set[int]
) -> Iterator[Problem]:
    first: dict[tuple[Any, ...], int] = {}
    for annotation in annotations:
        where = {"image_id": annotation["image_id"], "annotation_id": annotation["id"]}
        name = f"annotation {annotation['id']} of image {annotation['image_id']}"
        if annotation["id"] == 0:
            yield Problem(
                "annotation-id-zero",
                f"{name}: pycocotools takes id 0 for 'unmatched' and counts the object as missed; "
                "kdviz gives it a new id in memory",
                "warning",
                **where,
            )
        if annotation["category_id"] not in category_ids:
            yield Problem(
                "unknown-category",
                f"{name} has category {annotation['category_id']}, which is not in the categories",
                **where,
            )
        if annotation["image_id"] not in images:
            yield Problem("unknown-image", f"{name}: no image has this id", **where)
            continue

        box = [float(value) for value in annotation["bbox"]]
        problem = _box_problem(box, images[annotation["image_id"]])
        if problem:
            kind, text, severity = problem
            yield Problem(kind, f"{name}: box {box} {text}", severity, **where)
        elif not annotation.get("iscrowd"):
            key = (annotation["image_id"], annotation["category_id"], *box)
            if first.setdefault(key, annotation["id"]) != annotation["id"]:
                yield Problem(
                    "duplicate-box",
                    f"{name} repeats the box and category of annotation {first[key]}",
                    "warning",
                    **where,
                )


def _box_problem(
    box: list[float], image: Mapping[str, Any]
) -> tuple[str, str, Literal["error", "warning"]] | None:
    x, y, w, h = box
    over = max(-x, -y, x + w - image["width"], y + h - image["height"])
    if not all(map(math.isfinite, box)):
        return "not-finite-box", "is not finite", "error"
    if w < 0 or h < 0:
        return "negative-box", "has a negative side; COCO boxes are [x, y, width, height]", "error"
    if w == 0 or h == 0:
        return "empty-box", "has no area; it is left out of the training", "warning"
    if over > OUTSIDE_TOLERANCE:
        size = f"{image['width']}x{image['height']}"
        text = f"reaches {over:g} px outside the {size} image; training clips it"
        return "box-outside", text, "warning"
    return None


def _sound(
    entries: list[Any], name: str, fields: Mapping[str, Callable[[Any], bool]]
) -> Generator[Problem, None, list[dict[str, Any]]]:
    """Report entries that lack a field or hold a wrong value; return the others."""
    sound = []
    for number, entry in enumerate(entries):
        bad = _bad_fields(entry, fields)
        if bad:
            ids = _ids(entry, name) if isinstance(entry, dict) else {}
            yield Problem("malformed", f"{name} number {number} {', '.join(bad)}", **ids)
        else:
            sound.append(entry)
    return sound


def _bad_fields(entry: Any, fields: Mapping[str, Callable[[Any], bool]]) -> list[str]:
    if not isinstance(entry, dict):
        return [f"is {entry!r:.80}, expected an object"]
    return [
        f"has {key} {entry[key]!r:.80}" if key in entry else f"has no {key}"
        for key, fits in fields.items()
        if not fits(entry.get(key))
    ]


def _ids(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    if name == "image":
        return {"image_id": entry.get("id")}
    if name == "annotation":
        return {"image_id": entry.get("image_id"), "annotation_id": entry.get("id")}
    return {}


def _repeated(
    entries: list[dict[str, Any]], key: str, kind: str, severity: Literal["error", "warning"]
) -> Iterator[Problem]:
    name = kind.split("-")[1]
    counts = Counter(entry[key] for entry in entries)
    for value, count in counts.items():
        if count > 1:
            ids = {"image_id": value} if kind == "duplicate-image-id" else {}
            if kind == "duplicate-annotation-id":
                ids = {"annotation_id": value}
            yield Problem(
                kind, f"{count} entries share the {name} {key} {value!r}", severity, **ids
            )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_size(value: Any) -> bool:
    return _is_int(value) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or _is_int(value)


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))


_CATEGORY = {"id": _is_int, "name": _is_text}
_IMAGE = {"id": _is_int, "file_name": _is_text, "width": _is_size, "height": _is_size}
_ANNOTATION: dict[str, Callable[[Any], bool]] = {
    "id": _is_int,
    "image_id": _is_int,
    "category_id": _is_int,
    "bbox": _is_box,
    "area": lambda value: value is None or _is_number(value),
    "iscrowd": lambda value: value in (None, 0, 1),
}
