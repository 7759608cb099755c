from __future__ import annotations

import json
import math
from typing import Any

import pytest

from kdviz.engine.coco_eval import evaluate_coco

BOX = [10.0, 10.0, 40.0, 40.0]


def annotations(**changes: Any) -> dict:
    one = {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 1600, "iscrowd": 0}
    return {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [one | changes],
    }


def result(**changes: Any) -> dict:
    return {"image_id": 1, "category_id": 1, "bbox": BOX, "score": 0.5} | changes


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"image_id": 99}, r"image_id is not in the annotations: \[1\] 99"),
        ({"category_id": 4}, r"category_id is not in the annotations: \[1\] 4"),
        ({"score": 1.5}, r"score is not in \[0, 1\]: \[1\] 1.5"),
        ({"score": -0.1}, r"score is not in \[0, 1\]: \[1\] -0.1"),
        ({"score": math.nan}, r"score is not in \[0, 1\]: \[1\] nan"),
        ({"bbox": [0, 0, math.inf, 1]}, r"bbox is not finite: \[1\]"),
        ({"bbox": [0, math.nan, 1, 1]}, r"bbox is not finite: \[1\]"),
        ({"bbox": [50, 50, -10, 5]}, r"bbox has a negative width or height: \[1\] \[50"),
        (
            {"bbox": [1, 2, 3]},
            r"1 of 3 entries need four numbers x, y, width, height as bbox: \[1\]",
        ),
        ({"bbox": None}, r"1 of 3 entries need four numbers x, y, width, height as bbox: \[1\]"),
        (
            {"bbox": ["1", "2", "3", "4"]},
            r"1 of 3 entries need four numbers x, y, width, height as bbox",
        ),
        ({"score": "high"}, r"1 of 3 entries need a number as score: \[1\]"),
        ({"image_id": "1"}, r"1 of 3 entries need an integer as image_id: \[1\]"),
        ({"image_id": 1.0}, r"1 of 3 entries need an integer as image_id: \[1\]"),
        ({"image_id": 2**70}, r"1 of 3 entries need an integer as image_id: \[1\]"),
    ],
)
def test_bad_detections_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        evaluate_coco(annotations(), [result(), result(**bad), result()])


def test_one_message_counts_all_faults():
    detections = [result(score=2.0, image_id=number) for number in range(7)]
    with pytest.raises(ValueError, match="cannot be evaluated") as caught:
        evaluate_coco(annotations(), detections)
    head, images, scores = str(caught.value).splitlines()
    assert head.startswith("7 of 7 detections")
    assert images == (
        "  5: image_id is not in the annotations: [0] 0, [3] 3, [4] 4, ...; there are 2 from 1 to "
        "2; are both of the same split?"
    )
    assert scores == (
        "  7: score is not in [0, 1]: [0] 2.0, [1] 2.0, [2] 2.0, ...; are these per cent, or "
        "logits?"
    )


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        (annotations(), "must be a list of .* these the annotations"),
        (3, "must be a list of .* type int"),
        ({"predictions": [result()]}, r"but is an object with the keys \['predictions'\]$"),
        ([result(), {"image_id": 1}], r"1 of 2 entries have no bbox: \[1\]"),
        (annotations()["annotations"], r"1 of 1 entries have no score.*a detection looks like \{"),
        ([7], r"1 of 1 entries have no bbox: \[0\] 7"),
    ],
)
def test_detections_of_another_form_are_refused(detections, message):
    with pytest.raises(ValueError, match=message):
        evaluate_coco(annotations(), detections)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"image_id": 9}, "1 of 1 annotations cannot be evaluated(.|\n)*not among the images"),
        ({"image_id": 9}, r"\[0\] 9; there are 2 from 1 to 2$"),
        ({"category_id": 9}, "category_id is not among the categories"),
        ({"bbox": [0, 0, -1, 1]}, "negative width or height"),
        ({"bbox": [0, 0, math.nan, 1], "area": 1}, "bbox is not finite"),
        ({"area": -4}, "area is negative or not finite"),
        ({"area": None}, "need a number as area"),
        ({"factors": {"blur": "strong"}}, "the factor blur='strong'; factors must be numbers"),
    ],
)
def test_bad_annotations_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        evaluate_coco(annotations(**bad), [])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([result()], "must be an object with the lists images, .* are these detections\\?"),
        ({"images": []}, r"but is an object with the keys \['images'\]"),
        (annotations() | {"images": [{"id": 1}] * 2}, r"ids of images must differ.*\[1\]"),
        (annotations() | {"categories": [{"id": 1}] * 2}, "ids of categories must differ"),
        (annotations() | {"images": [{"name": "a"}]}, "images: 1 of 1 entries have no id"),
    ],
)
def test_annotations_of_another_form_are_refused(record, message):
    with pytest.raises(ValueError, match=message):
        evaluate_coco(record, [])


def test_files_are_named_with_the_place_of_the_mistake(tmp_path):
    truth, broken = tmp_path / "truth.json", tmp_path / "detections.json"
    truth.write_text(json.dumps(annotations()))
    broken.write_text('[{"image_id": 1,\n  "score": }]')
    with pytest.raises(ValueError, match=r"detections.json, line 2, column 12: not JSON"):
        evaluate_coco(truth, broken)
    broken.write_text(json.dumps([result(image_id=8)]))
    with pytest.raises(ValueError, match=r"1 of 1 detections in .*detections.json cannot be"):
        evaluate_coco(truth, str(broken))
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        evaluate_coco(truth, tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("bad", "advice"),
    [
        ({"category_id": 91}, "there are 1 from 1 to 1; are these labels instead of category ids?"),
        ({"score": 93.0}, "are these per cent, or logits?"),
        ({"score": math.inf}, "does the detector itself give them?"),
        ({"bbox": [0, math.nan, 1, 1]}, "does the detector itself give them?"),
        ({"bbox": [5, 5, -1, 1]}, "are these x1, y1, x2, y2 instead of x, y, width, height?"),
    ],
)
def test_a_message_says_what_may_be_the_reason(bad, advice):
    with pytest.raises(ValueError, match="1 of 2 detections cannot be evaluated") as caught:
        evaluate_coco(annotations(), [result(), result(**bad)])
    assert str(caught.value).endswith(advice)


def test_annotations_without_images_say_so():
    with pytest.raises(ValueError, match=r"image_id is not among the images: .*; there are none"):
        evaluate_coco(annotations() | {"images": []}, [])
