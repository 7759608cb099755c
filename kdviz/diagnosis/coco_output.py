"""A diagnosis as COCO annotations, for every tool that reads them, FiftyOne for one.

What was found out about an object or a box stands in its annotation as further fields, each a
number, a word, true or false; a field without a value is left out. FiftyOne's COCO importer makes
attributes of them, and a confidence of ``score``. It needs file name, width and height of every
image: where the annotations did not tell them, neither does what is written here. There
``fo.Dataset.from_dir(..., include_id=True)`` opens the objects, and ``add_coco_labels(...,
coco_id_field="coco_id")`` lays the boxes of a set beside them.
"""

from __future__ import annotations

import math
from typing import Any

from kdviz.diagnosis.tables import Table
from kdviz.engine.coco_input import GroundTruth

_IDS = ("id", "image_id", "category_id")
_NOT_COPIED = {*_IDS, "set", "file_name", "category", "x", "y", "width", "height", "crowd"}


def coco_objects(truth: GroundTruth, objects: Table) -> dict[str, Any]:
    """The ground truth, with the verdicts, the transition and the factors of each object.

    Args:
        truth: the objects.
        objects: see `kdviz.diagnosis.tables.object_table`.
    """
    told = {key: values for key, values in objects.items() if key != "object_id"}
    crowd = [int(is_crowd) for is_crowd in objects["crowd"]]
    return _record(truth, {"id": objects["object_id"], "iscrowd": crowd, **told})


def coco_boxes(truth: GroundTruth, boxes: Table) -> dict[str, Any]:
    """One set of detections as annotations; their ids are their positions in the file, from 1.

    Args:
        truth: the objects; images and categories are theirs.
        boxes: see `kdviz.diagnosis.tables.box_table`.
    """
    area = [w * h for w, h in zip(boxes["width"], boxes["height"], strict=True)]
    # Evaluation codes take an id of 0 for unmatched.
    ids = [box + 1 for box in boxes["box"]]
    return _record(truth, {"id": ids, "iscrowd": [0] * len(ids), "area": area, **boxes})


def _record(truth: GroundTruth, table: Table) -> dict[str, Any]:
    corners = zip(table["x"], table["y"], table["width"], table["height"], strict=True)
    columns = {key: table[key] for key in _IDS} | {"bbox": corners}
    columns |= {key: values for key, values in table.items() if key not in _NOT_COPIED}
    annotations = [
        {key: value for key, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]
    sizes = truth.image_sizes.tolist()
    images = [
        {"id": id_, **({"file_name": name} if name else {}), **_size(*size)}
        for id_, name, size in zip(truth.image_ids.tolist(), truth.file_names, sizes, strict=True)
    ]
    categories = [
        {"id": id_, "name": name}
        for id_, name in zip(truth.category_ids.tolist(), truth.category_names, strict=True)
    ]
    return {"images": images, "categories": categories, "annotations": annotations}


def _size(width: float, height: float) -> dict[str, int]:
    sides = {"width": width, "height": height}
    return {key: int(side) for key, side in sides.items() if not math.isnan(side)}
