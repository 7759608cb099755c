"""How fast are evaluation and diagnosis, beside pycocotools and tidecv on the same detections?"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from kdviz.diagnosis.errors import type_boxes
from kdviz.diagnosis.fixing import error_costs
from kdviz.engine.coco_eval import evaluate_coco
from kdviz.engine.coco_input import read_annotations, read_detections
from kdviz.runs.bench.rounds import interleaved, stopwatch
from kdviz.runs.bench.workload import Workload

IMAGES, CLASSES, OBJECTS, BOXES = 1000, 80, 7, 50  # the last two of an image, on average
Record = dict[str, Any]
Results = list[dict[str, Any]]
Numbers = dict[str, float]


def evaluation(where: Workload, limit: float) -> dict[str, Any]:
    """Seconds of the 12 COCO numbers and of TIDE's costs on 1 000 synthetic images of 80 classes.

    Each begins with annotations and results as lists in memory and ends with the numbers. Where a
    reference is not installed, its row says so.
    """
    record, results = synthetic_results(IMAGES)
    pairs: dict[str, tuple[Callable[[], Numbers], str, Callable[[], Numbers]]] = {
        "COCO numbers": (
            lambda: evaluate_coco(record, results).stats,
            "pycocotools",
            lambda: pycocotools_stats(record, results),
        ),
        "errors and what they cost": (
            lambda: kdviz_costs(record, results),
            "tidecv",
            lambda: tidecv_costs(record, results),
        ),
    }
    rows: list[dict[str, Any]] = []
    for what, (ours, package, theirs) in pairs.items():
        found: dict[str, Numbers] = {}
        turns = {"kdviz": stopwatch(partial(_keep, found, "kdviz", ours), repeats=5)}
        row: dict[str, Any] = {"what": what, "reference": package, "images": IMAGES}
        try:
            importlib.import_module(package)
        except ImportError:
            row["skipped"] = f"{package} is not installed (pip install {package})"
        else:
            turns[package] = stopwatch(partial(_keep, found, package, theirs))
        times = interleaved(turns, rounds=where.rounds, limit=limit / len(pairs))
        row["seconds"] = times.median("kdviz")
        if package in turns:
            row["reference_seconds"] = times.median(package)
            row["times_as_fast"] = times.ratio(package, "kdviz")
            mine, other = found["kdviz"], found[package]
            row["largest_difference"] = max(abs(mine[key] - other[key]) for key in mine)
        rows.append(row)
    ratios = {x["what"]: x["times_as_fast"] for x in rows if "times_as_fast" in x}
    return {"rows": rows, "boxes": len(results), "classes": CLASSES, "ratios": ratios}


def _keep(found: dict[str, Numbers], name: str, function: Callable[[], Numbers]) -> None:
    found[name] = function()


def synthetic_results(images: int, seed: int = 0) -> tuple[Record, Results]:
    """COCO annotations and results of a detector that finds most objects, and much else.

    Args:
        images: how many.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)
    record: Record = {
        "images": [{"id": k, "width": 640, "height": 480} for k in range(1, images + 1)],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)],
    }
    count = images * OBJECTS
    of_image, category = random.integers(1, images + 1, count), random.integers(1, CLASSES, count)
    sides = np.exp(random.uniform(np.log(8), np.log(300), (count, 2)))
    corners = random.uniform(0, 1, (count, 2)) * (np.array([640, 480]) - sides)
    boxes = np.concatenate([corners, sides], axis=1).round(2)
    record["annotations"] = [
        {"id": k, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
        for k, (i, c, b) in enumerate(
            zip(of_image.tolist(), category.tolist(), boxes.tolist(), strict=True), start=1
        )
    ]
    chosen = random.integers(0, count, images * BOXES)  # every box lies near some object
    moved = boxes[chosen] + random.normal(0, 0.15, (len(chosen), 4)) * np.tile(sides[chosen], 2)
    moved[:, 2:] = np.abs(moved[:, 2:]) + 1
    guessed = np.where(
        random.random(len(chosen)) < 0.7, category[chosen], random.integers(1, CLASSES, len(chosen))
    )
    scores = random.permutation(len(chosen)) / len(chosen)  # none twice: ties have no order
    columns = (of_image[chosen], guessed, moved.round(2), scores)
    results = [
        {"image_id": i, "category_id": c, "bbox": b, "score": s}
        for i, c, b, s in zip(*(x.tolist() for x in columns), strict=True)
    ]
    return record, results


def pycocotools_stats(record: Record, results: Results) -> Numbers:
    """The 12 numbers as COCO's own code computes them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    names = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        own = [dict(annotation) for annotation in record["annotations"]]  # it writes into them
        truth.dataset = {"info": {}, **record, "annotations": own}
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes([dict(result) for result in results]), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(names, map(float, evaluator.stats), strict=True))


def kdviz_costs(record: Record, results: Results) -> Numbers:
    """AP50 that each kind of error costs."""
    truth = read_annotations(record)
    return error_costs(type_boxes(truth, read_detections(results, truth))).gains


def tidecv_costs(record: Record, results: Results) -> Numbers:
    """The same by tidecv."""
    tidecv: Any = importlib.import_module("tidecv")  # mypy need not find it

    truth, found = (tidecv.Data(name, max_dets=100) for name in ("truth", "found"))
    for entry in record["categories"]:
        truth.add_class(entry["id"], entry["name"])
    for entry in record["images"]:
        truth.add_image(entry["id"], str(entry["id"]))
    for entry in record["annotations"]:
        truth.add_ground_truth(entry["image_id"], entry["category_id"], entry["bbox"])
    for entry in results:
        found.add_detection(entry["image_id"], entry["category_id"], entry["score"], entry["bbox"])
    tide = tidecv.TIDE()
    with contextlib.redirect_stdout(io.StringIO()):
        tide.evaluate(truth, found, mode=tidecv.TIDE.BOX)
    names = {"class": "Cls", "localisation": "Loc", "both": "Both", "duplicate": "Dupe"}
    names |= {"background": "Bkg", "missed": "Miss"}
    costs = tide.get_main_errors()["found"]
    return {ours: costs[theirs] / 100 for ours, theirs in names.items()}
