from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


def picture(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def example_record():
    """Three images, five annotations: a crowd, an image without objects, ids with gaps."""
    return {
        "info": {"description": "example"},
        "images": [
            {"id": 30, "file_name": "a.png", "width": 40, "height": 20},
            {"id": 7, "file_name": "b.png", "width": 24, "height": 32},
            {"id": 9, "file_name": "c.png", "width": 16, "height": 16},
        ],
        "annotations": [
            {"id": 5, "image_id": 7, "category_id": 90, "bbox": [2, 3, 10, 20], "area": 150.5},
            {"id": 2, "image_id": 30, "category_id": 4, "bbox": [0, 0, 8, 8]},
            {"id": 3, "image_id": 30, "category_id": 90, "bbox": [5, 5, 30, 10], "iscrowd": 1},
            {"id": 11, "image_id": 30, "category_id": 17, "bbox": [20, 10, 20.5, 9]},
            {"id": 4, "image_id": 7, "category_id": 4, "bbox": [1, 1, 3, 0]},
        ],
        "categories": [
            {"id": 90, "name": "brush"},
            {"id": 4, "name": "plane"},
            {"id": 17, "name": "cat"},
        ],
    }


@pytest.fixture
def record():
    return example_record()


@pytest.fixture
def write_coco(tmp_path):
    """Write a record, and its images as far as there are sizes, as a COCO folder."""

    def write(record, split="train", root=tmp_path, images="images"):
        (root / images).mkdir(parents=True, exist_ok=True)
        (root / "annotations").mkdir(exist_ok=True)
        for seed, image in enumerate(record["images"]):
            path = root / images / image["file_name"]
            picture(image["width"], image["height"], seed).save(path)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(record))
        return root

    return write
