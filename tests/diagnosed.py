"""A diagnosis of four objects on two images, each of another fate."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from kdviz.diagnosis.diagnose import Diagnosis, diagnose
from kdviz.diagnosis.inputs import read_inputs

CAT, DOG = 1, 2
SIZE = (120, 80)
OBJECTS = [
    (1, CAT, [10, 20, 30, 20]),
    (1, DOG, [70, 30, 20, 40]),
    (2, CAT, [0, 0, 12, 12]),
    (2, DOG, [50, 10, 60, 60]),
]
RECORD = {
    "images": [
        {"id": number, "file_name": f"{name}.png", "width": SIZE[0], "height": SIZE[1]}
        for number, name in ((1, "a"), (2, "b"))
    ],
    "annotations": [
        {"id": 10 + k, "image_id": image, "category_id": category, "bbox": box}
        for k, (image, category, box) in enumerate(OBJECTS)
    ],
    "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}],
}
# Object by object: the student takes the first for a dog, finds the second, misses the third and
# draws the fourth too small. Teacher and distilled take the second for a cat.
BOXES = {
    "student": [
        (1, DOG, [11, 20, 30, 20], 0.8),
        (1, DOG, [70, 31, 20, 40], 0.9),
        (2, DOG, [50, 10, 60, 25], 0.7),
        (2, CAT, [20, 60, 15, 15], 0.95),
    ],
    "teacher": [
        (1, CAT, [10, 21, 30, 20], 0.9),
        (1, CAT, [70, 30, 20, 40], 0.92),
        (2, CAT, [0, 0, 12, 12], 0.8),
        (2, DOG, [50, 10, 60, 60], 0.9),
    ],
    "distilled": [
        (1, CAT, [10, 20, 30, 20], 0.85),
        (1, CAT, [70, 30, 20, 41], 0.8),
        (2, CAT, [0, 0, 13, 12], 0.2),
        (2, DOG, [50, 10, 60, 58], 0.6),
    ],
}


@lru_cache(maxsize=1)
def made_diagnosis() -> Diagnosis:
    """At a threshold of .5 for all."""
    results = {
        name: [
            {"image_id": image, "category_id": category, "bbox": box, "score": score}
            for image, category, box, score in boxes
        ]
        for name, boxes in BOXES.items()
    }
    return diagnose(read_inputs(RECORD, **results), thresholds=0.5, draws=10)


def write_images(folder, names="ab"):
    """Red tells the column, green the row, blue the image."""
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    for number, name in enumerate("ab"):
        if name in names:
            blue = np.full_like(rows, 60 + 100 * number)
            pixels = np.stack([columns * 2, rows * 3, blue], axis=2).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}.png")
