import json

import numpy as np
import pytest
from PIL import Image

from kdviz.engine.coco_input import read_annotations
from kdviz.runs.diagnosis import image_files
from kdviz.runs.diagnosis.image_files import ImageFiles, find_images

RECORD = {
    "images": [
        {"id": 9, "file_name": "b.png", "width": 8, "height": 6},
        {"id": 3, "file_name": "a.png", "width": 8, "height": 6},
        {"id": 12, "file_name": "c.png", "width": 8, "height": 6},
    ],
    "annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [0, 0, 4, 4]}],
    "categories": [{"id": 1, "name": "cat"}],
}


def draw(path, shade, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), shade, np.uint8)
    pixels[0, -1] = 0  # upper right
    Image.fromarray(pixels).save(path)


@pytest.fixture
def truth():
    return read_annotations(RECORD)


def test_images_go_by_the_number_of_the_diagnosis(truth, tmp_path):
    for shade, name in ((10, "a.png"), (20, "b.png"), (30, "c.png")):
        draw(tmp_path / name, shade)
    files = ImageFiles(truth, tmp_path)
    assert [int(files[image][3, 3, 0]) for image in range(3)] == [10, 20, 30]  # by rising id
    assert files[0].shape == (6, 8, 3)
    assert files[0][0, 7].tolist() == [0, 0, 0]
    assert files.missing == ()
    assert files.complaint == ""


def test_an_image_is_opened_once_and_few_are_kept(truth, tmp_path, monkeypatch):
    draw(tmp_path / "a.png", 10)
    draw(tmp_path / "b.png", 20)
    monkeypatch.setattr(image_files, "_KEPT", 1)
    files = ImageFiles(truth, tmp_path)
    first = files[0]
    assert files[0] is first
    _ = files[1]
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        files[0]


def test_missing_files_are_counted_and_named(truth, tmp_path):
    draw(tmp_path / "b.png", 20)
    files = ImageFiles(truth, tmp_path)
    assert files.missing == (0, 2)
    assert files.complaint.startswith(f"2 of 3 image files are not in {tmp_path} (first: a.png, c")
    assert "--images DIR" in files.complaint
    nowhere = ImageFiles(truth, tmp_path / "gone")
    assert nowhere.missing == (0, 1, 2)
    assert "3 of 3" in nowhere.complaint


def test_a_record_without_names_or_sizes(tmp_path):
    record = {**RECORD, "images": [{"id": 1, "file_name": "a.png"}, {"id": 2}], "annotations": []}
    draw(tmp_path / "a.png", 10, size=(5, 4))
    files = ImageFiles(read_annotations(record), tmp_path)
    assert files[0].shape == (4, 5, 3)
    assert files.missing == (1,)
    assert "(no name)" in files.complaint
    with pytest.raises(FileNotFoundError, match="image 2 has no file_name"):
        files[1]


def test_a_file_of_another_size_is_refused(truth, tmp_path):
    draw(tmp_path / "a.png", 10, size=(16, 12))
    with pytest.raises(ValueError, match="16x12"):
        ImageFiles(truth, tmp_path)[0]


@pytest.mark.parametrize(
    ("json_file", "images"),
    [
        ("annotations/instances_val.json", "images"),
        ("annotations/instances_val.json", "images/val"),
        ("annotations/instances_val2017.json", "val2017"),
        ("valid/_annotations.coco.json", "valid"),
        ("my.json", "."),
        ("my.json", "images"),
    ],
)
def test_images_are_found_around_the_annotations(json_file, images, truth, tmp_path):
    path = tmp_path / json_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(RECORD))
    for name in "abc":
        draw(tmp_path / images / f"{name}.png", 10)
    files = find_images(truth, path)
    assert files.missing == ()
    assert files.folder.resolve() == (tmp_path / images).resolve()


def test_a_given_folder_goes_first(truth, tmp_path):
    files = find_images(truth, tmp_path / "annotations/instances_val.json", tmp_path / "mine")
    assert files.folder == tmp_path / "mine"
    with pytest.raises(ValueError, match="by their folder or by the file"):
        find_images(truth)
