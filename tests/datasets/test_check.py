from __future__ import annotations

import json
import math

import pytest

from kdviz.datasets.check import check, check_path
from kdviz.datasets.coco import read_coco
from kdviz.datasets.record import Problem, record_problems

# The example record holds one box without area, which is a warning.
KNOWN = ("empty-box", "warning")


def kinds(problems):
    return sorted((problem.kind, problem.severity) for problem in problems)


def test_example_has_only_what_is_known(write_coco, record):
    root = write_coco(record)
    problems = check_path(root, decode=True)
    assert kinds(problems) == [KNOWN]
    assert (problems[0].image_id, problems[0].annotation_id, problems[0].split) == (7, 4, "train")
    data = read_coco(root / "annotations" / "instances_train.json", root / "images")
    assert kinds(check(data)) == [KNOWN]


def change(place, **fields):
    def apply(record):
        key, number = place
        record[key][number] |= fields

    return apply


def repeat(key, number, **fields):
    def apply(record):
        record[key].append({**record[key][number], **fields})

    return apply


def remove(key, number, field):
    def apply(record):
        del record[key][number][field]

    return apply


CHANGES = [
    ("annotation-id-zero", "warning", change(("annotations", 0), id=0)),
    ("box-outside", "warning", change(("annotations", 1), bbox=[-1.5, 0, 8, 8])),
    ("box-outside", "warning", change(("annotations", 1), bbox=[0, 14, 8, 8])),
    ("duplicate-annotation-id", "error", repeat("annotations", 1, bbox=[1, 1, 2, 2])),
    ("duplicate-box", "warning", repeat("annotations", 1, id=99)),
    ("duplicate-category-id", "error", repeat("categories", 0, name="comb")),
    ("duplicate-category-name", "warning", change(("categories", 0), name="cat")),
    ("duplicate-file-name", "warning", repeat("images", 0, id=31)),
    ("duplicate-image-id", "error", repeat("images", 0, file_name="b.png", width=24, height=32)),
    ("empty-box", "warning", change(("annotations", 1), bbox=[1, 1, 0, 5])),
    ("image-size", "error", change(("images", 0), width=80)),
    ("malformed", "error", change(("annotations", 1), area="large")),
    ("malformed", "error", change(("annotations", 1), bbox=[1, 2, 3])),
    ("malformed", "error", change(("annotations", 1), bbox=[1, 2, 3, "4"])),
    ("malformed", "error", change(("annotations", 1), iscrowd=2)),
    ("malformed", "error", change(("categories", 1), id="4")),
    ("malformed", "error", change(("images", 0), height=0)),
    ("malformed", "error", change(("images", 2), file_name=None)),
    ("malformed", "error", remove("annotations", 0, "id")),
    ("malformed", "error", remove("categories", 1, "name")),
    ("malformed", "error", remove("images", 2, "width")),
    ("missing-file", "error", change(("images", 0), file_name="none.png")),
    ("negative-box", "error", change(("annotations", 1), bbox=[5, 5, -3, 4])),
    ("not-finite-box", "error", change(("annotations", 1), bbox=[5, math.nan, 3, 4])),
    ("not-finite-box", "error", change(("annotations", 1), bbox=[5, 5, math.inf, 4])),
    ("unknown-category", "error", change(("annotations", 1), category_id=5)),
    ("unknown-image", "error", change(("annotations", 1), image_id=31)),
    ("unused-category", "warning", repeat("categories", 0, id=91, name="comb")),
]


@pytest.mark.parametrize(("kind", "severity", "apply"), CHANGES, ids=[x[0] for x in CHANGES])
def test_each_problem_is_found_and_errors_are_what_reading_refuses(
    write_coco, record, kind, severity, apply
):
    root = write_coco(record)
    apply(record)
    path = root / "annotations" / "instances_train.json"
    path.write_text(json.dumps(record))
    assert (kind, severity) in kinds(check_path(root))
    json.dumps([problem.as_dict() for problem in check_path(root)], allow_nan=False)
    if severity == "warning" or kind in ("image-size", "missing-file"):
        read_coco(path, root / "images")
    else:
        with pytest.raises(ValueError, match="data check"):
            read_coco(path, root / "images")


def test_boxes_may_reach_out_by_a_pixel(record):
    record["annotations"][1]["bbox"] = [-1, -1, 42, 22]
    assert kinds(record_problems(record)) == [KNOWN]


def test_equal_boxes_of_other_categories_or_crowds_are_no_duplicates(record):
    box = record["annotations"][1]["bbox"]
    other = {"image_id": 30, "bbox": box}
    record["annotations"] += [
        {**other, "id": 50, "category_id": 17},
        {**other, "id": 51, "category_id": 4, "iscrowd": 1},
    ]
    assert kinds(record_problems(record)) == [KNOWN]


def test_all_problems_are_found_at_once(write_coco, record):
    root = write_coco(record)
    record["images"].append("no object")
    record["annotations"][0]["bbox"] = None
    record["annotations"][1]["category_id"] = 5
    record["images"][2]["file_name"] = "none.png"
    (root / "images" / "a.png").write_bytes(b"no image")
    (root / "annotations" / "instances_train.json").write_text(json.dumps(record))
    assert {problem.kind for problem in check_path(root) if problem.severity == "error"} == {
        "malformed",
        "missing-file",
        "unknown-category",
        "unreadable-file",
    }


@pytest.mark.parametrize("value", [None, 3, "text", {}, [], [[]], [None]])
@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_no_value_breaks_the_check(write_coco, record, key, value):
    root = write_coco(record)
    path = root / "annotations" / "instances_train.json"
    path.write_text(json.dumps({**record, key: value}))
    assert any(problem.severity == "error" for problem in check_path(root))


def test_truncated_image_is_found_by_decoding(write_coco, record):
    root = write_coco(record)
    path = root / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:-400])
    assert kinds(check_path(root)) == [KNOWN]
    problems = check_path(root, decode=True)
    assert kinds(problems) == [KNOWN, ("unreadable-file", "error")]
    assert problems[-1].image_id == 30
    assert "a.png" in problems[-1].message


def test_malformed_json_of_one_split_does_not_hide_the_other(write_coco, record):
    root = write_coco(record)
    write_coco(record, split="val")
    (root / "annotations" / "instances_train.json").write_text("{")
    problems = check_path(root)
    assert [(problem.kind, problem.split) for problem in problems] == [
        ("malformed-json", "train"),
        ("empty-box", "val"),
    ]
    assert [problem.kind for problem in check_path(root, "val")] == ["empty-box"]


def test_image_in_two_splits_is_a_leak(write_coco, record):
    root = write_coco(record)
    record["images"][0]["file_name"] = "d.png"
    write_coco(record, split="val")
    leak = check_path(root)[-1]
    assert (leak.kind, leak.severity, leak.split) == ("leak", "warning", "train, val")
    assert leak.message.startswith("2 images are in train and in val")


def test_problems_of_voc_and_yolo_are_found(tmp_path):
    voc = tmp_path / "voc"
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (voc / name).mkdir(parents=True)
    (voc / "Annotations" / "a.xml").write_text("<annotation>")
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    assert check_path(voc)[0].kind == "malformed-xml"

    (voc / "ImageSets" / "Main" / "train.txt").unlink()
    assert [problem.kind for problem in check_path(voc)] == ["no-splits"]

    yolo = tmp_path / "yolo"
    (yolo / "images" / "train").mkdir(parents=True)
    (yolo / "images" / "train" / "a.jpg").write_text("no image")
    (yolo / "data.yaml").write_text("names: [dog]\n")
    assert {problem.kind for problem in check_path(yolo)} == {
        "unreadable-file",
        "no-images",
        "no-annotations",
    }


def test_problem_becomes_json():
    problem = Problem("box-outside", "text", "warning", image_id=3, split="val")
    assert json.loads(json.dumps(problem.as_dict())) == {
        "kind": "box-outside",
        "message": "text",
        "severity": "warning",
        "image_id": 3,
        "annotation_id": None,
        "split": "val",
    }
