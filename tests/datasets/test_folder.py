from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from kdviz.datasets.coco import DetectionDataset
from kdviz.datasets.folder import data_splits, open_data


@pytest.mark.parametrize(
    ("images", "name"),
    [
        ("images", "train"),
        ("images/train", "train"),
        ("images/train2017", "train"),
        ("train2017", "train2017"),
        ("train", "train"),
        (".", "train"),
    ],
)
def test_coco_layouts(write_coco, record, images, name):
    root = write_coco(record, name, images=images)
    data = open_data(root, "train")
    assert data.images_dir == root / images
    assert len(DetectionDataset(data)[0][1]["labels"]) == 3
    assert data_splits(root) == ["train"]


def test_coco_file_beside_its_images(write_coco, record, tmp_path):
    root = write_coco(record)
    (root / "images").rename(root / "valid")
    source = root / "annotations" / "instances_train.json"
    source.rename(root / "valid" / "_annotations.coco.json")
    (root / "annotations").rmdir()
    assert data_splits(root) == ["val"]
    assert DetectionDataset(open_data(root, "val"))[0][0].shape == (3, 20, 40)


def test_folder_with_the_images_wins_over_an_empty_one(write_coco, record):
    root = write_coco(record)
    (root / "images" / "train").mkdir()
    assert open_data(root, "train").images_dir == root / "images"


def test_limit_keeps_the_first_images(write_coco, record):
    root = write_coco(record)
    data = open_data(root, "train", limit=2)
    assert [image["id"] for image in data.record["images"]] == [30, 7]
    assert len(open_data(root, "train", limit=99).record["images"]) == 3


def test_voc_folder(tmp_path):
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    box = "<xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax>"
    (tmp_path / "Annotations" / "a.xml").write_text(
        "<annotation><size><width>8</width><height>8</height></size>"
        f"<object><name>dog</name><bndbox>{box}</bndbox></object></annotation>"
    )
    for name in ("train", "val", "trainval"):
        (tmp_path / "ImageSets" / "Main" / f"{name}.txt").write_text("a\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "JPEGImages" / "a.jpg")
    assert [c.name for c in open_data(tmp_path, "trainval").categories] == ["dog"]
    assert data_splits(tmp_path) == ["train", "val"]


def test_yolo_folder_or_its_yaml(tmp_path):
    (tmp_path / "images" / "val").mkdir(parents=True)
    (tmp_path / "labels" / "val").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "val" / "a.jpg")
    (tmp_path / "labels" / "val" / "a.txt").write_text("0 .5 .5 .5 .5")
    (tmp_path / "coco8.yaml").write_text("names: [dog]")
    for path in (tmp_path, tmp_path / "coco8.yaml"):
        assert [c.name for c in open_data(path, "val").categories] == ["dog"]
    assert data_splits(tmp_path) == ["val"]


def test_unknown_format_says_what_was_looked_for_and_found(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(
        ValueError, match=r"instances_\*\.json.*\(COCO\).*VOC.*YOLO.*found: pictures"
    ):
        open_data(tmp_path, "train")


def test_unknown_split_lists_the_splits(write_coco, record):
    root = write_coco(record)
    shutil.copy(
        root / "annotations" / "instances_train.json", root / "annotations" / "instances_val.json"
    )
    with pytest.raises(ValueError, match="no split 'test'; found: train, val"):
        open_data(root, "test")


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        open_data(tmp_path / "nothing", "train")


def test_broken_json_is_located(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps({"images": []})[:-1])
    with pytest.raises(ValueError, match=r"instances_train\.json, line 1, column 14"):
        open_data(tmp_path, "train")
