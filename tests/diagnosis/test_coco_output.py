import json
import math

import numpy as np
import pytest
from made_sets import coco, drawn, results

from kdviz.datasets.record import record_problems
from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.export import write_exports
from kdviz.diagnosis.inputs import read_inputs
from kdviz.engine.coco_eval import evaluate_coco
from kdviz.engine.coco_input import read_annotations, read_detections

ROLES = ("student", "teacher", "distilled")
TAKEN = {
    "id", "label", "bounding_box", "mask", "mask_path", "confidence", "index", "instance", "tags",
    "attributes", "supercategory",
}  # fmt: skip
"""What a detection of FiftyOne has already; an attribute may not be called so."""


def read_as_fiftyone(path):
    """Detections by file name, as the documentation of FiftyOne's COCO importer has it.

    Images must tell their file name, width and height; the label is looked up among all ids from 0
    to the highest; what COCO does not know becomes an attribute.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in record["categories"]}
    labels = [names.get(number, str(number)) for number in range(max(names) + 1)]
    images = {image["id"]: image for image in record["images"]}
    samples = {image["file_name"]: [] for image in record["images"]}
    for annotation in record["annotations"]:
        image = images[annotation.pop("image_id")]
        annotation.pop("id")
        annotation.pop("area")
        x, y, w, h = annotation.pop("bbox")
        width, height = image["width"], image["height"]
        detection = {
            "label": labels[annotation.pop("category_id")],
            "bounding_box": [x / width, y / height, w / width, h / height],
            "confidence": annotation.pop("score", None),
        }
        for name, value in annotation.items():
            assert name not in TAKEN
            assert not name.startswith("_")
            assert "." not in name
            assert isinstance(value, int | float | str | bool)
        samples[image["file_name"]].append(detection | annotation)
    return samples


@pytest.fixture
def written(tmp_path):
    truth = coco([(1, 1, (10, 10, 40, 20)), (1, 3, (50, 50, 40, 40)), (2, 2, (0, 0, 9, 9), True)])
    for image, (width, height) in zip(truth["images"], [(200, 100), (100, 100)], strict=True):
        image |= {"width": width, "height": height}
    truth["categories"] = [{"id": k, "name": name} for k, name in [(1, "a"), (2, "ü"), (3, "c")]]
    good = (1, 1, 0.75, (10, 10, 40, 20))
    inputs = read_inputs(
        truth,
        student=results([(1, 1, 0.5, (150, 60, 20, 20))]),
        teacher=results([good]),
        distilled=results([good, (1, 2, 0.25, (50, 50, 40, 40))]),
    )
    found = diagnose(inputs, thresholds=0.5, draws=2)
    write_exports(found, tmp_path, factors={"blur": np.array([1.0, np.nan, 0.0])})
    return tmp_path


def test_objects_as_fiftyone_reads_them(written):
    samples = read_as_fiftyone(written / "objects.json")
    assert list(samples) == ["1.png", "2.png"]
    assert samples["1.png"] == [
        {
            "label": "a", "bounding_box": [0.05, 0.1, 0.2, 0.2], "confidence": None, "iscrowd": 0,
            "student_verdict": "missed",
            "teacher_verdict": "right", "teacher_box": 0, "teacher_score": 0.75,
            "distilled_verdict": "right", "distilled_box": 0, "distilled_score": 0.75,
            "transition": "fixed", "gain": 0.75, "factor_blur": 1.0,
        },
        {
            "label": "c", "bounding_box": [0.25, 0.5, 0.2, 0.4], "confidence": None, "iscrowd": 0,
            "student_verdict": "missed", "teacher_verdict": "missed", "distilled_verdict": "missed",
            "transition": "kept_wrong", "gain": 0.0,
        },
    ]  # fmt: skip
    assert [(x["label"], x["iscrowd"]) for x in samples["2.png"]] == [("ü", 1)]


def test_boxes_as_fiftyone_reads_them(written):
    samples = read_as_fiftyone(written / "distilled.json")
    assert samples["2.png"] == []
    assert samples["1.png"] == [
        {
            "label": "a", "bounding_box": [0.05, 0.1, 0.2, 0.2], "confidence": 0.75, "iscrowd": 0,
            "box": 0, "box_type": "true_positive", "object_id": 11, "object_iou": 1.0,
            "above_threshold": True, "grouped": False, "repeats_teacher": False,
        },
        {
            "label": "ü", "bounding_box": [0.25, 0.5, 0.2, 0.4], "confidence": 0.25, "iscrowd": 0,
            "box": 1, "box_type": "class", "object_id": 12, "object_iou": 1.0,
            "above_threshold": False, "grouped": False, "repeats_teacher": False,
        },
    ]  # fmt: skip
    (background,) = read_as_fiftyone(written / "student.json")["1.png"]
    assert {"object_id", "object_iou", "repeats_teacher"}.isdisjoint(background)


def test_every_file_is_sound_annotations(tmp_path):
    truth, sets = drawn(names=ROLES, seed=2)
    inputs = read_inputs(truth, **sets)
    write_exports(diagnose(inputs, draws=2), tmp_path)
    for name in ("objects", *ROLES):
        path = tmp_path / f"{name}.json"
        problems = list(record_problems(json.loads(path.read_text())))
        assert [problem for problem in problems if problem.severity == "error"] == []
        again = read_annotations(path)
        assert again.file_names == inputs.truth.file_names
        assert again.category_names == inputs.truth.category_names
        np.testing.assert_array_equal(again.image_sizes, inputs.truth.image_sizes)
        known = inputs.truth if name == "objects" else inputs.detections[name]
        for column in ("image", "category", "boxes"):
            np.testing.assert_array_equal(getattr(again, column), getattr(known, column))
    np.testing.assert_array_equal(
        read_annotations(tmp_path / "objects.json").object_ids, inputs.truth.object_ids
    )
    assert read_annotations(tmp_path / "student.json").object_ids.tolist() == list(range(1, 901))


def test_what_was_written_evaluates_as_what_was_read(tmp_path):
    truth, sets = drawn(names=ROLES, seed=6)
    write_exports(diagnose(read_inputs(truth, **sets), draws=2), tmp_path)
    again = json.loads((tmp_path / "distilled.json").read_text())["annotations"]
    stats = evaluate_coco(tmp_path / "objects.json", again).stats
    assert stats == evaluate_coco(truth, sets["distilled"]).stats
    columns = read_detections(again, read_annotations(truth))
    assert columns.scores.tolist() == [box["score"] for box in sets["distilled"]]


def test_what_the_annotations_do_not_tell_is_left_out(tmp_path):
    truth = coco([(1, 1, (10, 10, 40, 20))])
    truth["images"] = [{"id": 1, "file_name": "a"}, {"id": 2, "width": 30, "height": 20}]
    inputs = read_inputs(truth, mine=results([(1, 1, 0.5, (0, 0, 9, 9))]))
    assert math.isnan(inputs.truth.image_sizes[0, 0])
    write_exports(diagnose(inputs, draws=2), tmp_path)
    assert json.loads((tmp_path / "mine.json").read_text())["images"] == truth["images"]
