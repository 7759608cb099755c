"""Reference figures that several tests of the diagnosis compare with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_sets import coco, results

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="session")
def tidecv():
    """tidecv's figures of seven data sets: ``(ground truth, detections, figures)``."""
    stored = json.loads((REFERENCE / "tidecv.json").read_text())
    cases = []
    for case in stored["cases"]:
        truth = coco(
            [(i, k, b, crowd) for i, k, crowd, *b in case["objects"]],
            case["images"],
            case["categories"],
        )
        cases.append(
            (truth, results([(i, k, s, b) for i, k, s, *b in case["boxes"]]), case["tidecv"])
        )
    return [(*_fake100(), stored["fake100"]), *cases]


def _fake100():
    with np.load(REFERENCE / "fake100.npz") as file:
        columns = {name: file[name].tolist() for name in file.files}

    def rows(*names):
        return zip(*(columns[name] for name in names), strict=True)

    truth = {
        "images": [
            {"id": id_, "width": width, "height": height}
            for id_, (width, height) in rows("image_ids", "sizes")
        ],
        "categories": [{"id": id_, "name": str(id_)} for id_ in columns["category_ids"]],
        "annotations": [
            {"id": id_, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
            for id_, image, category, box, crowd in rows(
                "object_ids", "object_image", "object_category", "object_box", "crowd"
            )
        ],
    }
    return truth, results(rows("image", "category", "score", "box"))
