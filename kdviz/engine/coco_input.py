"""COCO annotations and results, checked and turned into columns for the evaluation.

Every check runs over all records before anything is raised, so that one message tells how many are
wrong and which come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdviz.engine.coco_columns import (
    Faults,
    column,
    describe,
    factor_columns,
    first_repeated,
    is_list,
    positions,
    span,
)
from kdviz.files import read_json

_RESULT = '{"image_id": 7, "category_id": 1, "bbox": [x, y, width, height], "score": 0.9}'


@dataclass(frozen=True)
class GroundTruth:
    """Annotated objects in columns; images and categories are numbered from 0 by rising id.

    Attributes:
        image_ids: ids of the images, rising, (I,).
        image_sizes: width, height in pixels, (I, 2); NaN where the record does not tell.
        file_names: one per image, empty where the record does not tell.
        category_ids: ids of the categories, rising, (K,).
        category_names: one per category, no two equal.
        object_ids: annotation ids in the order of the file, (G,); 1 to G where they are missing or
            repeat.
        image: number of the image of each object, (G,).
        category: number of the category of each object, (G,).
        boxes: x, y, width, height in original pixels, (G, 4).
        area: square pixels, (G,).
        crowd: True where the box stands for a group, (G,).
        factors: difficulty of each object by name, (G,); NaN where an object does not tell.
        notes: what a reader of the numbers should know.
    """

    image_ids: NDArray[np.int64]
    image_sizes: NDArray[np.float64]
    file_names: tuple[str, ...]
    category_ids: NDArray[np.int64]
    category_names: tuple[str, ...]
    object_ids: NDArray[np.int64]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    boxes: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    factors: dict[str, NDArray[np.float64]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DetectionColumns:
    """Detections in columns; ``image`` and ``category`` number as in `GroundTruth`.

    Attributes:
        image: (n,).
        category: (n,).
        boxes: x, y, width, height in original pixels, (n, 4).
        scores: in [0, 1], (n,).
        notes: what a reader of the numbers should know.
    """

    image: NDArray[np.int64]
    category: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    notes: tuple[str, ...]


def read_annotations(source: str | Path | Mapping[str, Any]) -> GroundTruth:
    """Read and check COCO annotations.

    Annotation ids may be missing, repeat or be 0 without harm. ``area`` defaults to that of the
    box, ``iscrowd`` to 0.

    Args:
        source: a file or what is in it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not COCO annotations; the message counts and names the first cases.
    """
    record, name = _load(source, "annotations")
    parts = ("images", "annotations", "categories")
    if not isinstance(record, Mapping) or not all(is_list(record.get(part)) for part in parts):
        raise ValueError(
            f"{name} must be an object with the lists images, annotations and categories, but is "
            f"{describe(record)}{'; are these detections?' if is_list(record) else ''}"
        )
    images, objects, categories = (record[part] for part in parts)
    image_ids = column(images, "id", "integer", f"{name}: images")
    category_ids = column(categories, "id", "integer", f"{name}: categories")
    for ids, part in ((image_ids, "images"), (category_ids, "categories")):
        if repeated := first_repeated(ids):
            raise ValueError(f"{name}: ids of {part} must differ, but there are more of {repeated}")
    by_id, order = np.argsort(image_ids), np.argsort(category_ids)
    image_ids, category_ids = image_ids[by_id], category_ids[order]

    boxes = column(objects, "bbox", "box", name)
    of_image = column(objects, "image_id", "integer", name)
    of_category = column(objects, "category_id", "integer", name)
    area = boxes[:, 2] * boxes[:, 3]
    told = [position for position, item in enumerate(objects) if "area" in item]
    area[told] = column([objects[position] for position in told], "area", "number", name)
    image, category = positions(image_ids, of_image), positions(category_ids, of_category)
    faults = Faults(name, "annotations", len(objects))
    faults.add(image < 0, "image_id is not among the images", of_image, span(image_ids))
    known = span(category_ids)
    faults.add(category < 0, "category_id is not among the categories", of_category, known)
    faults.add(~np.isfinite(boxes).all(axis=1), "bbox is not finite", boxes)
    faults.add(np.any(boxes[:, 2:] < 0, axis=1), "bbox has a negative width or height", boxes)
    faults.add(~(np.isfinite(area) & (area >= 0)), "area is negative or not finite", area)
    faults.raise_if_any()

    crowd = np.array([bool(item.get("iscrowd")) for item in objects], dtype=bool)
    ignored = np.array([bool(item.get("ignore")) for item in objects], dtype=bool) & ~crowd
    note = f"{ignored.sum()} annotations say ignore; COCO goes by iscrowd alone, so they count"
    return GroundTruth(
        image_ids=image_ids,
        image_sizes=np.array([_size(images[i]) for i in by_id]).reshape(-1, 2),
        file_names=tuple(str(images[i].get("file_name") or "") for i in by_id),
        category_ids=category_ids,
        category_names=_distinct([categories[i].get("name") for i in order], category_ids),
        object_ids=_object_ids(objects),
        image=image,
        category=category,
        boxes=boxes,
        area=area,
        crowd=crowd,
        factors=factor_columns(objects, name),
        notes=(note,) if ignored.any() else (),
    )


def read_detections(
    source: str | Path | Sequence[Mapping[str, Any]], ground_truth: GroundTruth
) -> DetectionColumns:
    """Read and check COCO results against the annotations they belong to.

    Boxes of no width or height are let through: an untrained detector gives them, and they count
    as false positives as they do in COCO's own code.

    Args:
        source: a file or the list in it; the list may be empty.
        ground_truth: the annotations, see `read_annotations`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: some result cannot be evaluated; the message counts and names the first cases.
    """
    detections, faults = examine_detections(source, ground_truth)
    faults.raise_if_any()
    return detections


def examine_detections(
    source: str | Path | Sequence[Mapping[str, Any]], ground_truth: GroundTruth
) -> tuple[DetectionColumns, Faults]:
    """Like `read_detections`, with what is wrong noted and not yet raised.

    The caller may note more before it raises; the columns are of use only if nothing was noted.

    Args:
        source: a file or the list in it; the list may be empty.
        ground_truth: the annotations.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no list, or an entry lacks a field.
    """
    items, name = _load(source, "detections")
    if not is_list(items):
        swapped = isinstance(items, Mapping) and "images" in items
        hint = "; are these the annotations?" if swapped else ""
        raise ValueError(f"{name} must be a list of {_RESULT}, but is {describe(items)}{hint}")
    try:
        boxes = column(items, "bbox", "box", name)
        scores = column(items, "score", "number", name)
        of_image = column(items, "image_id", "integer", name)
        of_category = column(items, "category_id", "integer", name)
    except ValueError as error:
        raise ValueError(f"{error}; a detection looks like {_RESULT}") from None
    image = positions(ground_truth.image_ids, of_image)
    category = positions(ground_truth.category_ids, of_category)
    faults = Faults(name, "detections", len(items))
    split = f"{span(ground_truth.image_ids)}; are both of the same split?"
    faults.add(image < 0, "image_id is not in the annotations", of_image, split)
    labels = f"{span(ground_truth.category_ids)}; are these labels instead of category ids?"
    faults.add(category < 0, "category_id is not in the annotations", of_category, labels)
    broken = "does the detector itself give them?"
    scale = "are these per cent, or logits?" if np.isfinite(scores).all() else broken
    faults.add(~((scores >= 0) & (scores <= 1)), "score is not in [0, 1]", scores, scale)
    faults.add(~np.isfinite(boxes).all(axis=1), "bbox is not finite", boxes, broken)
    negative = np.any(boxes[:, 2:] < 0, axis=1)
    corners = "are these x1, y1, x2, y2 instead of x, y, width, height?"
    faults.add(negative, "bbox has a negative width or height", boxes, corners)
    notes = [] if len(items) else ["there are no detections"]
    if flat := int(np.any(boxes[:, 2:] == 0, axis=1).sum()):
        notes.append(f"{flat} detections have no width or no height: false positives all")
    return DetectionColumns(image, category, boxes, scores, tuple(notes)), faults


def _load(source: Any, noun: str) -> tuple[Any, str]:
    if isinstance(source, str | Path):
        return read_json(source), str(source)
    return source, noun


def _size(image: Mapping[str, Any]) -> list[float]:
    sides = (image.get("width"), image.get("height"))
    return [float(x) if isinstance(x, int | float) and x > 0 else np.nan for x in sides]


def _object_ids(objects: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    told = [item.get("id") for item in objects]
    if all(isinstance(x, int) and not isinstance(x, bool) for x in told):
        ids = np.array(told, dtype=np.int64)
        if not first_repeated(ids):
            return ids
    return np.arange(1, len(objects) + 1)


def _distinct(names: Sequence[Any], ids: NDArray[np.int64]) -> tuple[str, ...]:
    """Names to file results under; the id joins a name that is missing or used twice."""
    return tuple(
        str(name)
        if name is not None and names.count(name) == 1
        else f"{name or 'class'} ({number})"
        for name, number in zip(names, ids.tolist(), strict=True)
    )
