from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdviz.engine.coco_eval import evaluate_coco, to_coco_results
from kdviz.engine.coco_metrics import Slice
from kdviz.files import write_json_atomically
from kdviz.structures import Detection

KEYS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
ORACLES = Path(__file__).parents[3] / "shared" / "oracles" / "detection_eval"


def reference(annotations: Any, detections: Any, ignored: set[int] = frozenset()) -> dict:
    """COCO's own numbers; annotations with an id in ``ignored`` are ignored but no crowds."""
    pycocotools_coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    class WithIgnored(COCOeval):
        def _prepare(self) -> None:
            super()._prepare()
            for objects in self._gts.values():
                for one in objects:
                    one["ignore"] = one["ignore"] or one["id"] in ignored

    truth = pycocotools_coco.COCO()
    truth.dataset = copy.deepcopy(annotations)
    truth.createIndex()
    evaluation = WithIgnored(truth, truth.loadRes(copy.deepcopy(detections)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(KEYS, evaluation.stats.tolist(), strict=True))


def image_of(number: int) -> dict:
    return {"id": number, "file_name": f"{number}.jpg", "width": 400, "height": 300}


def made(*boxes_per_image: list[list[float]], **fields: list) -> dict:
    """Annotations of one category; ``fields`` give further values to the objects in order."""
    objects = [
        {"image_id": number, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for number, boxes in enumerate(boxes_per_image, start=1)
        for box in boxes
    ]
    for position, one in enumerate(objects):
        one["id"] = position + 1
        one |= {name: values[position] for name, values in fields.items()}
    return {
        "images": [image_of(number) for number in range(1, len(boxes_per_image) + 1)],
        "annotations": objects,
        "categories": [{"id": 1, "name": "thing"}],
    }


def found(*rows: tuple[int, list[float], float], category: int = 1) -> list[dict]:
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, box, score in rows
    ]


def random_case(seed: int, images: int = 60) -> tuple[dict, list[dict]]:
    """Shuffled ids with gaps, crowds, tied scores, over 100 detections, areas on the borders."""
    random = np.random.default_rng(seed)
    category_ids = [17, 3, 90, 44, 61]
    image_ids = random.permutation(10_000)[:images].tolist()
    objects: list[dict] = []
    results: list[dict] = []
    for image_id in image_ids:
        sides = [32, 96] if random.random() < 0.3 else []
        for category in random.choice(category_ids[:4], random.integers(0, 7)).tolist():
            width, height = (sides.pop(),) * 2 if sides else random.uniform(4, 200, 2).round(2)
            corner = random.uniform(0, 200, 2).round(2) * (random.random() > 0.1)
            box = [*map(float, corner), float(width), float(height)]
            crowd = int(random.random() < 0.1)
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3] * (1 if random.random() < 0.5 else 0.6),
                    "iscrowd": crowd,
                    "factors": {"blur": float(max(0, random.normal())), "near": int(crowd)},
                }
            )
            for _ in range(random.integers(0, 4) * (1 + 2 * crowd)):
                shift = random.normal(0, 0.06, 4) * [box[2], box[3], box[2], box[3]]
                near = (np.array(box) + shift * (random.random() > 0.2)).clip(0).tolist()
                score = round(float(random.random()), int(random.integers(1, 4)))
                results += found((image_id, near, score), category=category)
        for _ in range(140 if random.random() < 0.05 else random.integers(0, 5)):
            box = random.uniform(0, 150, 4).tolist()
            label = category_ids[int(random.random() < 0.3)]
            results += found((image_id, box, round(float(random.random()), 1)), category=label)
    random.shuffle(results)
    record = {
        "images": [image_of(image_id) for image_id in image_ids],
        "annotations": objects,
        "categories": [{"id": one, "name": f"kind {one}"} for one in category_ids],
    }
    return record, results


SQUARE_32, SQUARE_96 = [0.0, 0.0, 32.0, 32.0], [0.0, 0.0, 96.0, 96.0]
NEAR = [[10.0, 10.0, 40.0, 40.0], [60.0, 10.0, 40.0, 40.0]]
CASES = {
    "a crowd takes several detections": (
        made([NEAR[0], NEAR[1]], iscrowd=[1, 0]),
        found((1, NEAR[0], 0.9), (1, [12, 12, 20, 20], 0.8), (1, NEAR[1], 0.7)),
    ),
    "box at the origin": (made([[0, 0, 20, 20]]), found((1, [0, 0, 20, 20], 0.9))),
    "tied scores in one image": (
        made(NEAR),
        found((1, [200, 200, 9, 9], 0.5), (1, NEAR[1], 0.5), (1, NEAR[0], 0.5)),
    ),
    "tied scores across images": (
        made(NEAR[:1], [], NEAR[1:]),
        found((3, NEAR[1], 0.5), (2, NEAR[0], 0.5), (1, [200, 9, 9, 9], 0.5), (1, NEAR[0], 0.5)),
    ),
    "an image of false positives, one all missed": (
        made(NEAR, [], NEAR),
        found((1, NEAR[0], 0.6), (2, NEAR[0], 0.9), (2, NEAR[1], 0.4)),
    ),
    "areas of exactly 32 and 96 squared": (
        made([SQUARE_32], [SQUARE_96]),
        found((1, SQUARE_32, 0.9), (2, SQUARE_96, 0.8)),
    ),
    "more than 100 detections": (
        made([*NEAR]),
        found(
            *((1, [300, 200, 9, 9], 0.9) for _ in range(99)), (1, NEAR[0], 0.5), (1, NEAR[1], 0.4)
        ),
    ),
    "a box of no size": (made(NEAR), found((1, [5, 5, 0, 9], 0.9), (1, NEAR[0], 0.8))),
    "no objects": (made([], []), found((1, NEAR[0], 0.9))),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_equal_to_coco_in_each_corner(case):
    annotations, detections = case
    annotations["categories"].append({"id": 2, "name": "never there"})
    metrics = evaluate_coco(annotations, detections)
    assert metrics.stats == reference(annotations, detections)
    assert set(metrics.per_class["never there"].stats.values()) == {-1.0}


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_coco_on_random_sets(seed):
    annotations, detections = random_case(seed)
    metrics = evaluate_coco(annotations, detections)
    assert list(metrics.stats) == KEYS
    assert metrics.stats == reference(annotations, detections)
    assert 0.05 < metrics.stats["AP"] < 0.95


def test_each_class_equals_coco_on_that_class_alone():
    annotations, detections = random_case(11)
    metrics = evaluate_coco(annotations, detections)
    for name, one in metrics.per_class.items():
        alone = annotations | {
            "categories": [{"id": one.category_id, "name": name}],
            "annotations": [
                item
                for item in annotations["annotations"]
                if item["category_id"] == one.category_id
            ],
        }
        theirs = [item for item in detections if item["category_id"] == one.category_id]
        assert len(theirs) == one.detections
        if theirs:
            assert one.stats == reference(alone, theirs)
    assert list(metrics.per_class) == ["kind 3", "kind 17", "kind 44", "kind 61", "kind 90"]


def test_each_slice_equals_coco_with_the_other_objects_ignored():
    annotations, detections = random_case(12)
    metrics = evaluate_coco(annotations, detections)
    slices = metrics.per_factor["blur"]
    assert [one.slice.name for one in slices] == ["zero", "low", "high"]
    assert sum(one.objects for one in slices) == metrics.objects
    for one in slices:
        outside = {
            item["id"]
            for item in annotations["annotations"]
            if not one.slice.low < item["factors"]["blur"] <= one.slice.high
        }
        assert one.stats == reference(annotations, detections, ignored=outside)


def test_slices_by_hand():
    clear, soft, lost = NEAR[0], NEAR[1], [200, 10, 40, 40]
    factors = [{"blur": 0.0}, {"blur": 0.5}, {"blur": 0.9}]
    annotations = made([clear, soft, lost], factors=factors)
    detections = found((1, [300, 200, 9, 9], 0.95), (1, soft, 0.92), (1, clear, 0.9))
    metrics = evaluate_coco(annotations, detections)
    zero, low, high = metrics.per_factor["blur"]
    # In order of score: false, soft, clear. Objects of other slices neither help nor harm.
    assert (zero.objects, zero.stats["AP"], zero.stats["AR100"]) == (1, pytest.approx(1 / 2), 1.0)
    assert (low.objects, low.stats["AP"], low.stats["AR100"]) == (1, pytest.approx(1 / 2), 1.0)
    assert (high.objects, high.stats["AP"], high.stats["AR100"]) == (1, 0.0, 0.0)
    # Whole: recall 2/3 at precision 2/3, so 67 of the 101 recall points.
    assert metrics.stats["AP"] == pytest.approx(67 / 101 * 2 / 3)


def test_slices_can_be_chosen():
    annotations = made(NEAR, factors=[{"blur": 0.2}, {}])
    detections = found((1, NEAR[0], 0.9))
    strong = Slice("blur", "strong", low=0.1)
    metrics = evaluate_coco(annotations, detections, slices=[strong])
    (only,) = metrics.per_factor["blur"]
    assert (only.slice, only.objects, only.stats["AP"]) == (strong, 1, pytest.approx(1.0))
    assert evaluate_coco(annotations, detections, slices=[]).per_factor == {}
    with pytest.raises(ValueError, match="no annotation has the factor 'fog'"):
        evaluate_coco(annotations, detections, slices=[Slice("fog", "any")])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.0], ["zero"]),
        ([0.0, 1.0, 1.0], ["zero", "present"]),
        ([0.2, 0.4, 0.6], ["low", "high"]),
        ([-1.0, 0.0, 1.0], ["low", "high"]),
    ],
)
def test_default_slices_hold_every_object_once(values, expected):
    boxes = [[float(10 * number), 0.0, 8.0, 8.0] for number in range(len(values))]
    annotations = made(boxes, factors=[{"blur": value} for value in values])
    slices = evaluate_coco(annotations, []).per_factor["blur"]
    assert [one.slice.name for one in slices] == expected
    assert sum(one.objects for one in slices) == len(values)


def test_annotation_ids_do_not_matter():
    annotations = made(NEAR)
    detections = found((1, NEAR[0], 0.9), (1, NEAR[1], 0.8))
    right = reference(annotations, detections)
    for ids in ([0, 1], [7, 7], [2**60, 2**61]):
        for item, number in zip(annotations["annotations"], ids, strict=True):
            item["id"] = number
        assert evaluate_coco(annotations, detections).stats == right
    annotations["annotations"][0]["id"] = 0
    assert reference(annotations, detections) != right


def test_image_ids_keep_every_digit():
    annotations, detections = made(NEAR[:1], NEAR[1:]), found((1, NEAR[0], 0.9), (2, NEAR[1], 0.8))
    for item in [*annotations["annotations"], *detections]:
        item["image_id"] += 2**60
    for item in annotations["images"]:
        item["id"] += 2**60
    assert evaluate_coco(annotations, detections).stats["AP"] == pytest.approx(1.0)


def test_no_detections_are_allowed_and_noted():
    metrics = evaluate_coco(made(NEAR), [])
    assert [metrics.stats[key] for key in ("AP", "AR100", "APl")] == [0.0, 0.0, -1.0]
    assert metrics.notes == ("there are no detections",)


def test_area_and_crowd_have_defaults_and_ignore_is_noted():
    annotations = made([SQUARE_32])
    for key in ("area", "iscrowd"):
        del annotations["annotations"][0][key]
    annotations["annotations"][0]["ignore"] = 1
    metrics = evaluate_coco(annotations, found((1, SQUARE_32, 0.9)))
    assert metrics.stats["APs"] == pytest.approx(1.0)
    assert metrics.notes == ("1 annotations say ignore; COCO goes by iscrowd alone, so they count",)


def test_classes_of_one_name_stay_apart():
    annotations = made(NEAR)
    annotations["categories"] += [{"id": 5, "name": "thing"}, {"id": 6}]
    assert list(evaluate_coco(annotations, []).per_class) == ["thing (1)", "thing (5)", "class (6)"]


def test_input_is_untouched_and_nothing_is_printed(capfd):
    annotations, detections = random_case(3, images=10)
    before = copy.deepcopy((annotations, detections))
    evaluate_coco(annotations, detections)
    assert (annotations, detections) == before
    assert capfd.readouterr() == ("", "")


def test_metrics_are_plain_and_readable():
    annotations, detections = random_case(4, images=10)
    metrics = evaluate_coco(annotations, detections)
    plain = json.loads(json.dumps(metrics.as_dict(), allow_nan=False))
    assert plain["stats"] == metrics.stats
    assert plain["per_factor"]["blur"][0]["slice"]["low"] is None
    assert plain["per_class"]["kind 3"]["category_id"] == 3
    assert f"{metrics.stats['AP']:.3f}" in str(metrics)
    assert len({len(line) for line in metrics.table().splitlines()}) == 1
    assert "blur: high" in metrics.table()


def test_results_read_again_give_the_same_numbers(tmp_path):
    annotations, detections = random_case(5, images=20)
    image_ids = [image["id"] for image in annotations["images"]]
    categories = sorted(category["id"] for category in annotations["categories"])
    tensors = []
    for image_id in image_ids:
        rows = [item for item in detections if item["image_id"] == image_id]
        boxes = torch.tensor([row["bbox"] for row in rows]).reshape(-1, 4) + 1 / 3
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([categories.index(row["category_id"]) + 1 for row in rows]).long()
        tensors.append(Detection(boxes, torch.tensor([row["score"] for row in rows]) / 3, labels))
    results = to_coco_results(tensors, image_ids, categories)
    assert {item["category_id"] for item in results} == {item["category_id"] for item in detections}
    write_json_atomically(tmp_path / "detections.json", results)
    again = evaluate_coco(annotations, tmp_path / "detections.json")
    assert again == evaluate_coco(annotations, results)
    assert again.stats["AP"] > 0.05


def test_results_hold_plain_numbers_and_keep_scores_apart():
    scores = torch.tensor([0.5, math.nextafter(0.5, 0)], dtype=torch.float64).float()
    scores[1] = torch.nextafter(scores[0], torch.tensor(0.0))
    boxes = torch.tensor([[1.25, 2.0, 4.0, 6.0], [1.0, 2.0, 1.0, 6.0]])
    one = Detection(boxes, scores, torch.tensor([2, 1]))
    first, second = to_coco_results([one], [7], [11, 12])
    assert first == {"image_id": 7, "category_id": 12, "bbox": [1.25, 2.0, 2.75, 4.0], "score": 0.5}
    assert second["score"] < first["score"]
    assert second["category_id"] == 11


def test_results_refuse_unknown_labels_and_wrong_lengths():
    one = Detection(torch.zeros(1, 4), torch.ones(1), torch.tensor([0]))
    with pytest.raises(ValueError, match="image 7 has a detection of label 0; with 2 categories"):
        to_coco_results([one], [7], [11, 12])
    with pytest.raises(ValueError, match="1 detections do not fit 2 image ids"):
        to_coco_results([one], [7, 8], [11, 12])


@pytest.mark.parametrize("name", ["basic", "edge", "cocoapi_fake100"])
def test_equal_to_the_published_numbers(name):
    if not ORACLES.exists():
        pytest.skip("the COCO evaluation fixtures are not beside this checkout")
    annotations, detections = sorted(
        (ORACLES / name).glob("*.json"), key=lambda file: "dt" in file.stem or "result" in file.stem
    )
    expected = json.loads((ORACLES / "expected.json").read_text())[name]
    metrics = evaluate_coco(annotations, detections)
    assert metrics.stats == expected["stats"]
    assert (metrics.images, metrics.detections) == (expected["images"], expected["detections"])
