from __future__ import annotations

import pytest
from PIL import Image

from kdviz.datasets.coco import DetectionDataset
from kdviz.datasets.record import Problem
from kdviz.datasets.voc import read_voc, voc_image_sets, voc_record

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult><truncated>1</truncated>"
    "<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
    "<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>"
    "<part><name>head</name></part></object>"
)


def xml(objects=(), size="<size><width>40</width><height>20</height><depth>3</depth></size>"):
    body = "".join(OBJECT.format(name=n, difficult=d, box=box) for n, d, box in objects)
    return f"<annotation><filename>elsewhere.jpg</filename>{size}{body}</annotation>"


def write_voc(folder, files, sets):
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for stem, text in files.items():
        (folder / "Annotations" / f"{stem}.xml").write_text(text)
        Image.new("RGB", (40, 20)).save(folder / "JPEGImages" / f"{stem}.jpg")
    for name, stems in sets.items():
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text("\n".join(stems) + "\n")
    return folder


@pytest.fixture
def voc(tmp_path):
    files = {
        "000007": xml([("dog", 0, (1, 1, 40, 20)), ("cat", 1, (5, 3, 10, 8))]),
        "000005": xml(),
        "000009": xml([("ape", 0, (2, 2, 3.5, 4))]),
    }
    sets = {"train": ["000007", "000005"], "val": ["000009"], "dog_train": ["000007  1"]}
    return write_voc(tmp_path / "set", files, sets)


def test_boxes_count_from_one_and_include_the_last_pixel(voc):
    data = read_voc(voc, "train")
    assert [x["bbox"] for x in data.record["annotations"]] == [[0, 0, 40, 20], [4, 2, 6, 6]]
    assert data.record["annotations"][1]["area"] == 36
    image, target = DetectionDataset(data)[0]
    assert image.shape == (3, 20, 40)
    assert target["boxes"].tolist() == [[0, 0, 40, 20], [4, 2, 10, 8]]


def test_categories_are_those_of_the_whole_folder(voc):
    names = [category.name for category in read_voc(voc, "val").categories]
    assert names == ["ape", "cat", "dog"]
    assert read_voc(voc, "train").categories == read_voc(voc, "val").categories


def test_difficult_objects_are_ignored_in_evaluation_and_no_training_targets(voc):
    data = read_voc(voc, "train")
    flags = [(x["difficult"], x["iscrowd"], x["truncated"]) for x in data.record["annotations"]]
    assert flags == [(0, 0, 1), (1, 1, 1)]
    assert DetectionDataset(data)[0][1]["iscrowd"].tolist() == [0, 1]


def test_order_is_that_of_the_list_and_empty_images_stay(voc):
    data = read_voc(voc, "train")
    files = [(image["id"], image["file_name"]) for image in data.record["images"]]
    assert files == [(1, "JPEGImages/000007.jpg"), (2, "JPEGImages/000005.jpg")]
    assert len(DetectionDataset(data)[1][1]["labels"]) == 0


@pytest.mark.parametrize("below", ["", "VOCdevkit"])
def test_years_are_read_together(tmp_path, below):
    for year, name in ((2007, "dog"), (2012, "cat")):
        folder = tmp_path / below / f"VOC{year}"
        write_voc(folder, {"1": xml([(name, 0, (1, 1, 9, 9))])}, {"train": ["1"]})
    data = read_voc(tmp_path, "train")
    assert [image["id"] for image in data.record["images"]] == [1, 2]
    assert [x["category_id"] for x in data.record["annotations"]] == [2, 1]
    assert [DetectionDataset(data)[k][0].shape for k in (0, 1)] == [(3, 20, 40)] * 2


def test_lists_of_one_class_are_no_image_sets(voc):
    assert sorted(voc_image_sets(voc)) == ["train", "val"]


def test_image_may_have_another_suffix(voc):
    (voc / "JPEGImages" / "000009.jpg").unlink()
    Image.new("RGB", (40, 20)).save(voc / "JPEGImages" / "000009.png")
    data = read_voc(voc, "val")
    assert data.record["images"][0]["file_name"] == "JPEGImages/000009.png"
    assert DetectionDataset(data)[0][0].shape == (3, 20, 40)


def test_missing_set_or_folder_says_what_there_is(voc, tmp_path):
    with pytest.raises(
        ValueError, match="no image set 'test' in ImageSets/Main; found: train, val"
    ):
        read_voc(voc, "test")
    with pytest.raises(FileNotFoundError, match="found no Annotations/ with JPEGImages/"):
        read_voc(tmp_path / "nothing", "train")


BROKEN = {
    "malformed-xml": (
        "<annotation><size>",
        xml(size=""),
        xml(size="<size><width>0</width><height>20</height></size>"),
        xml([("dog", 0, (1, 1, "x", 4))]),
        xml([("", 0, (1, 1, 4, 4))]),
    ),
    "voc-counts-from-1": (xml([("dog", 0, (0, 1, 4, 4))]),),
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in BROKEN.items() for text in texts]
)
def test_broken_files_are_reported_and_the_rest_is_read(voc, kind, text):
    (voc / "Annotations" / "000005.xml").write_text(text)
    found: list[Problem] = []
    record = voc_record(voc, "train", found.append)
    assert [problem.kind for problem in found] == [kind]
    assert "000005.xml" in found[0].message
    assert found[0].image_id == 2
    assert record["images"][0]["file_name"] == "JPEGImages/000007.jpg"
    assert len(record["annotations"]) >= 2
    if found[0].severity == "error":
        with pytest.raises(ValueError, match=r"000005\.xml"):
            read_voc(voc, "train")
    else:
        assert len(read_voc(voc, "train").record["images"]) == 2


def test_missing_xml_is_reported(voc):
    (voc / "Annotations" / "000005.xml").unlink()
    found: list[Problem] = []
    record = voc_record(voc, "train", found.append)
    assert [problem.kind for problem in found] == ["missing-annotation-file"]
    assert len(record["images"]) == 1
