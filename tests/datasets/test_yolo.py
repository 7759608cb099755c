from __future__ import annotations

import pytest
from PIL import Image

from kdviz.datasets.coco import DetectionDataset
from kdviz.datasets.record import Problem
from kdviz.datasets.yolo import read_yolo, yolo_record


def write_image(path, width=40, height=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def write_label(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def yolo(tmp_path):
    """images/{train,val} with data.yaml; the second training image has no objects."""
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    write_image(tmp_path / "images/train/a.jpg")
    write_image(tmp_path / "images/train/b.png", 10, 10)
    write_image(tmp_path / "images/val/c.jpg")
    write_label(tmp_path / "labels/train/a.txt", "1 0.5 0.5 0.25 0.5\n0 0.1 0.2 0.2 0.4\n")
    write_label(tmp_path / "labels/train/b.txt", "")
    write_label(tmp_path / "labels/val/c.txt", "0 0.5 0.5 1 1")
    return tmp_path


def boxes(data):
    return [[round(value, 4) for value in x["bbox"]] for x in data.record["annotations"]]


def files(data):
    return [image["file_name"] for image in data.record["images"]]


def test_fractions_become_pixels(yolo):
    data = read_yolo(yolo, "train")
    assert files(data) == ["images/train/a.jpg", "images/train/b.png"]
    assert boxes(data) == [[15, 5, 10, 10], [0, 0, 8, 8]]
    assert [x["category_id"] for x in data.record["annotations"]] == [2, 1]
    assert [(c.label, c.id, c.name) for c in data.categories] == [(1, 1, "cat"), (2, 2, "dog")]
    image, target = DetectionDataset(data)[0]
    assert image.shape == (3, 20, 40)
    assert target["labels"].tolist() == [2, 1]
    assert len(DetectionDataset(data)[1][1]["labels"]) == 0


def test_names_may_be_a_mapping_with_gaps(yolo):
    (yolo / "data.yaml").write_text("names: {7: dog, 0: cat, 1: cow}\n")
    data = read_yolo(yolo, "train")
    assert [(c.label, c.id, c.name) for c in data.categories] == [
        (1, 1, "cat"),
        (2, 2, "cow"),
        (3, 8, "dog"),
    ]


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt"])
def test_names_may_be_in_classes_txt(yolo, place):
    (yolo / "data.yaml").unlink()
    (yolo / place).write_text("cat\ndog\n\n")
    assert [c.name for c in read_yolo(yolo, "val").categories] == ["cat", "dog"]


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val",
        "path: images\ntrain: train\nval: [val]",
        "train: ../images/train\nval: ../images/val",
        "train: lists/train.txt\nval: images/val",
    ],
)
def test_yaml_says_where_the_images_are(yolo, text):
    write_label(yolo / "lists/train.txt", "../images/train/a.jpg\n../images/train/b.png\n")
    (yolo / "data.yaml").write_text(f"names: [cat, dog]\n{text}\n")
    data = read_yolo(yolo, "train")
    assert boxes(data) == [[15, 5, 10, 10], [0, 0, 8, 8]]
    assert DetectionDataset(data)[1][0].shape == (3, 10, 10)
    assert len(read_yolo(yolo, "val").record["images"]) == 1


def test_split_folders_that_hold_images_and_labels(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [cat]\n")
    write_image(tmp_path / "valid/images/a.jpg")
    write_label(tmp_path / "valid/labels/a.txt", "0 0.5 0.5 0.5 0.5")
    assert boxes(read_yolo(tmp_path, "val")) == [[10, 5, 20, 10]]


def test_flat_folder_is_the_training_split(tmp_path):
    write_image(tmp_path / "images/a.jpg")
    write_label(tmp_path / "labels/a.txt", "0 0.5 0.5 0.5 0.5")
    write_label(tmp_path / "classes.txt", "cat")
    assert boxes(read_yolo(tmp_path, "train")) == [[10, 5, 20, 10]]
    with pytest.raises(ValueError, match="no split 'val'; found: train"):
        read_yolo(tmp_path, "val")


def test_labels_may_lie_beside_the_images(tmp_path):
    (tmp_path / "images/set/data.yaml").parent.mkdir(parents=True)
    (tmp_path / "images/set/data.yaml").write_text("names: [cat]\ntrain: all\n")
    write_image(tmp_path / "images/set/all/a.jpg")
    write_label(tmp_path / "images/set/all/a.txt", "0 0.5 0.5 0.5 0.5")
    assert boxes(read_yolo(tmp_path / "images/set", "train")) == [[10, 5, 20, 10]]


def test_polygon_becomes_its_box(yolo):
    write_label(yolo / "labels/val/c.txt", "1 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75")
    assert boxes(read_yolo(yolo, "val")) == [[10, 5, 20, 10]]


def test_size_is_that_of_the_turned_image(yolo):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(yolo / "images/val/c.jpg", exif=exif)
    data = read_yolo(yolo, "val")
    assert boxes(data) == [[0, 0, 20, 40]]
    assert DetectionDataset(data)[0][0].shape == (3, 40, 20)


def test_image_without_label_file_has_no_objects(yolo):
    (yolo / "labels/train/b.txt").unlink()
    found: list[Problem] = []
    record = yolo_record(yolo, "train", found.append)
    assert [(p.kind, p.severity, p.image_id) for p in found] == [
        ("missing-annotation-file", "warning", 2)
    ]
    assert len(record["images"]) == 2
    assert read_yolo(yolo, "train").record["images"] == record["images"]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.5", "malformed-label"),
        ("0 0.5 0.5 0.5 0.5 0.9", "malformed-label"),
        ("dog 0.5 0.5 0.5 0.5", "malformed-label"),
        ("0.5 0.5 0.5 0.5 0.5", "malformed-label"),
        ("nan 0.5 0.5 0.5 0.5", "malformed-label"),
        ("2 0.5 0.5 0.5 0.5", "unknown-class"),
        ("-1 0.5 0.5 0.5 0.5", "unknown-class"),
        ("0 20 0.5 0.5 0.5", "value-range"),
        ("0 0.5 0.5 -0.5 0.5", "value-range"),
        ("0 0.5 nan 0.5 0.5", "value-range"),
    ],
)
def test_wrong_lines_are_reported_and_the_rest_is_read(yolo, line, kind):
    write_label(yolo / "labels/train/a.txt", f"1 0.5 0.5 0.25 0.5\n{line}\n0 0.1 0.2 0.2 0.4\n")
    found: list[Problem] = []
    record = yolo_record(yolo, "train", found.append)
    assert [(problem.kind, problem.image_id) for problem in found] == [(kind, 1)]
    assert "a.txt: line 2" in found[0].message
    assert len(record["annotations"]) == 2
    with pytest.raises(ValueError, match=r"a\.txt: line 2"):
        read_yolo(yolo, "train")


def test_rounded_values_are_not_out_of_range(yolo):
    write_label(yolo / "labels/val/c.txt", "0 0.5 0.5 1.0005 1.0")
    assert len(read_yolo(yolo, "val").record["annotations"]) == 1


def test_unreadable_and_missing_images_are_reported(yolo):
    (yolo / "images/train/a.jpg").write_text("no image")
    listing = yolo / "train.txt"
    listing.write_text("images/train/a.jpg\nimages/train/b.png\nimages/train/z.jpg\n")
    (yolo / "data.yaml").write_text("names: [cat, dog]\ntrain: train.txt\n")
    found: list[Problem] = []
    record = yolo_record(yolo, "train", found.append)
    assert [problem.kind for problem in found] == ["unreadable-file", "missing-file"]
    assert [image["file_name"] for image in record["images"]] == ["images/train/b.png"]


def test_folder_that_yaml_names_in_vain_is_reported(yolo):
    (yolo / "data.yaml").write_text("names: [cat, dog]\ntest: images/test\n")
    with pytest.raises(
        ValueError, match=r"images/test, where data\.yaml says that split 'test' is"
    ):
        read_yolo(yolo, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat", "not YAML"),
        ("names: {cat: 0}", "numbers with names"),
        ("nc: 2", "no class names"),
    ],
)
def test_names_are_needed(yolo, text, message):
    (yolo / "data.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_yolo(yolo, "train")


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        read_yolo(tmp_path / "nothing", "train")
