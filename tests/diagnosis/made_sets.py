"""Ground truths and detections to diagnose: single hand-made ones, and many drawn by chance."""

from __future__ import annotations

import numpy as np

from kdviz.diagnosis.errors import type_all
from kdviz.diagnosis.inputs import read_inputs


def coco(objects, images=2, classes=3, size=100):
    """COCO annotations of ``(image, class, box)`` or ``(image, class, box, crowd)``."""
    return {
        "images": [
            {"id": i + 1, "width": size, "height": size, "file_name": f"{i + 1}.png"}
            for i in range(images)
        ],
        "categories": [{"id": k + 1, "name": f"class {k + 1}"} for k in range(classes)],
        "annotations": [
            {
                "id": 11 + n,
                "image_id": image,
                "category_id": category,
                "bbox": list(box),
                "area": box[2] * box[3],
                "iscrowd": int(any(crowd)),
            }
            for n, (image, category, box, *crowd) in enumerate(objects)
        ],
    }


def results(boxes):
    """COCO results of ``(image, class, score, box)``."""
    return [
        {"image_id": image, "category_id": category, "score": score, "bbox": list(box)}
        for image, category, score, box in boxes
    ]


def drawn(
    images=30, objects=180, boxes=900, classes=5, seed=0, names=("student",), ties=False, spread=0.2
):
    """A ground truth and sets of detections around it, of the statistics of a real detector.

    Classes are unequally frequent, some objects are crowds, some boxes are made up, some of the
    wrong class, and the higher ``spread`` the worse the boxes lie. With ``ties`` there are ten
    different scores.
    """
    rng = np.random.default_rng(seed)
    size = np.array([200.0, 150.0])
    image = np.sort(rng.integers(images, size=objects))
    category = (rng.zipf(1.4, size=objects) - 1) % classes
    side = np.exp(rng.normal(3, 0.6, (objects, 2))).clip(4, 120)
    corner = rng.random((objects, 2)) * (size - side)
    box = np.concatenate([corner, side], axis=1).round(3)
    truth = coco(
        [
            (int(i) + 1, int(c) + 1, b, w)
            for i, c, b, w in zip(
                image, category, box.tolist(), rng.random(objects) < 0.05, strict=True
            )
        ],
        images,
        classes,
        200,
    )
    sets = {}
    for name in names:
        source = rng.integers(objects, size=boxes)
        made_up = rng.random(boxes) < 0.3
        around = box[source] + rng.normal(size=(boxes, 4)) * spread * np.tile(side[source], 2)
        around[made_up, :2] = rng.random((int(made_up.sum()), 2)) * 120
        around[:, :2] = around[:, :2].clip(0, size - 3)
        around[:, 2:] = np.minimum(np.maximum(around[:, 2:], 2), size - around[:, :2])
        scores = np.where(made_up, rng.beta(1, 4, boxes), rng.beta(2, 2, boxes))
        scores = scores.round(1) if ties else scores
        other = rng.random(boxes) < 0.2
        label = np.where(other, rng.integers(classes, size=boxes), category[source])
        place = np.where(made_up, rng.integers(images, size=boxes), image[source])
        sets[name] = results(
            (int(i) + 1, int(c) + 1, float(s), b)
            for i, c, s, b in zip(place, label, scores, around.round(3).tolist(), strict=True)
        )
    return truth, sets


def typed_set(objects, boxes, **shape):
    """One set, hand-made, with its boxes typed."""
    return typed_sets(objects, student=boxes, **shape)["student"]


def typed_sets(objects, images=2, classes=3, **boxes):
    """Several hand-made sets on one ground truth, typed."""
    inputs = read_inputs(
        coco(objects, images, classes), **{name: results(one) for name, one in boxes.items()}
    )
    return type_all(inputs)


def naive_iou(a, b, crowd=False):
    """IoU of two boxes x, y, width, height; with a crowd the share of the first inside it."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] if crowd else a[2] * a[3] + b[2] * b[3] - shared)
