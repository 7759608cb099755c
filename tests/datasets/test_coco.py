from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors

from kdviz.datasets.coco import Category, DetectionData, DetectionDataset, read_coco

ORIENTATION = 0x0112


def read(root, split="train"):
    return read_coco(root / "annotations" / f"instances_{split}.json", root / "images")


def one_image(folder: Path, name: str, width: int, height: int) -> DetectionDataset:
    record = {
        "images": [{"id": 3, "file_name": name, "width": width, "height": height}],
        "annotations": [],
        "categories": [{"id": 1, "name": "thing"}],
    }
    return DetectionDataset(DetectionData(record, folder))


def test_labels_are_contiguous_in_the_order_of_category_ids(write_coco, record):
    data = read(write_coco(record))
    assert data.categories == (
        Category(1, 4, "plane"),
        Category(2, 17, "cat"),
        Category(3, 90, "brush"),
    )


def test_item_is_what_the_contract_says(write_coco, record):
    dataset = DetectionDataset(read(write_coco(record)))
    assert len(dataset) == 3
    image, target = dataset[0]
    assert image.shape == (3, 20, 40)
    assert image.dtype == torch.float32
    assert type(image) is torch.Tensor
    assert 0 <= image.min() < 0.02
    assert 0.98 < image.max() <= 1
    assert target["image_id"].shape == ()
    assert target["image_id"].item() == 30
    # The last box is clipped to the image; the record keeps it as it was.
    boxes = [[0, 0, 8, 8], [5, 5, 35, 15], [20, 10, 40, 19]]
    assert target["boxes"].tolist() == boxes
    assert type(target["boxes"]) is torch.Tensor
    assert target["labels"].tolist() == [1, 3, 2]
    assert target["iscrowd"].tolist() == [0, 1, 0]
    assert target["annotation_ids"].tolist() == [2, 3, 11]
    assert target["area"].tolist() == [64, 300, 184.5]
    for key in ("labels", "iscrowd", "annotation_ids", "image_id"):
        assert target[key].dtype == torch.int64
    for key in ("boxes", "area"):
        assert target[key].dtype == torch.float32


def test_box_without_area_is_in_the_record_but_not_in_the_target(write_coco, record):
    data = read(write_coco(record))
    assert 4 in {annotation["id"] for annotation in data.record["annotations"]}
    _, target = DetectionDataset(data)[1]
    assert target["annotation_ids"].tolist() == [5]
    assert target["area"].tolist() == [150.5]


def test_image_without_objects_has_an_empty_target(write_coco, record):
    _, target = DetectionDataset(read(write_coco(record)))[-1]
    assert target["image_id"].item() == 9
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == (0,)
    assert target["labels"].dtype == torch.int64


def test_negative_index_counts_from_the_end_and_a_large_one_ends_iteration(write_coco, record):
    dataset = DetectionDataset(read(write_coco(record)))
    for index in range(3):
        assert torch.equal(dataset[index][1]["boxes"], dataset[index - 3][1]["boxes"])
    with pytest.raises(IndexError):
        dataset[3]


def test_target_can_be_changed_without_changing_the_data_set(write_coco, record):
    dataset = DetectionDataset(read(write_coco(record)), cache=True)
    image, target = dataset[0]
    expected = {key: value.clone() for key, value in target.items()}
    pixels = image.clone()
    image.zero_()
    for value in target.values():
        value.zero_()
    again, target = dataset[0]
    assert torch.equal(again, pixels)
    assert all(torch.equal(target[key], expected[key]) for key in expected)


def test_transform_gets_tv_tensors_with_bytes(write_coco, record):
    seen = []

    def transform(image, target):
        seen.append((image, target))
        return image, target

    DetectionDataset(read(write_coco(record)), transform)[0]
    image, target = seen[0]
    assert isinstance(image, tv_tensors.Image)
    assert image.dtype == torch.uint8
    assert isinstance(target["boxes"], tv_tensors.BoundingBoxes)
    assert target["boxes"].canvas_size == (20, 40)


def test_masks_are_dropped_and_other_fields_kept(write_coco, record):
    record["annotations"][0] |= {"segmentation": [[1, 2, 3, 4, 5, 6]], "factors": {"blur": 1.5}}
    data = read(write_coco(record))
    assert data.record["annotations"][0] == {
        "id": 5,
        "image_id": 7,
        "category_id": 90,
        "bbox": [2, 3, 10, 20],
        "area": 150.5,
        "iscrowd": 0,
        "factors": {"blur": 1.5},
    }


def test_annotation_id_zero_gets_the_next_free_id(write_coco, record):
    record["annotations"][2]["id"] = 0
    data = read(write_coco(record))
    assert [x["id"] for x in data.record["annotations"]] == [5, 2, 12, 11, 4]


def test_first_images_keep_their_annotations_and_every_category(write_coco, record):
    data = read(write_coco(record)).first(2)
    assert [image["id"] for image in data.record["images"]] == [30, 7]
    assert len(data.record["annotations"]) == 5
    short = data.first(1)
    assert [x["image_id"] for x in short.record["annotations"]] == [30, 30, 30]
    assert short.categories == data.categories
    with pytest.raises(ValueError, match="not 0"):
        data.first(0)


def test_first_images_may_all_be_without_objects(write_coco, record):
    record["images"].reverse()
    dataset = DetectionDataset(read(write_coco(record)).first(1))
    _, target = dataset[0]
    assert target["labels"].dtype == torch.int64
    assert target["boxes"].shape == (0, 4)


def test_hash_follows_the_annotations_and_the_files(write_coco, record, tmp_path):
    root = write_coco(record)
    original = read(root).data_hash
    assert re.fullmatch("[0-9a-f]{64}", original)
    # Neither the order of keys nor parts that are not data count.
    shuffled = {key: record[key] for key in reversed(record)} | {"info": {}}
    assert read(write_coco(shuffled)).data_hash == original
    record["annotations"][0]["bbox"][0] += 1
    assert read(write_coco(record)).data_hash != original
    record["annotations"][0]["bbox"][0] -= 1
    write_coco(record)
    with (root / "images" / "a.png").open("ab") as file:
        file.write(b"x")
    assert read(root).data_hash != original
    (root / "images" / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        _ = read(root).data_hash


def test_cache_equals_the_files_and_outlives_them(write_coco, record):
    root = write_coco(record)
    plain, cached = (DetectionDataset(read(root), cache=cache) for cache in (False, True))
    expected = [image for image, _ in plain]
    assert all(torch.equal(a[0], b) for a, b in zip(cached, expected, strict=True))
    for path in (root / "images").iterdir():
        path.unlink()
    assert all(torch.equal(a[0], b) for a, b in zip(cached, expected, strict=True))
    copy = pickle.loads(pickle.dumps(cached))
    with pytest.raises(FileNotFoundError):
        copy[0]


def test_cache_filled_by_forked_workers_serves_this_process(write_coco, record):
    root = write_coco(record)
    dataset = DetectionDataset(read(root), cache=True)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="fork")
    images = [image for image, _ in loader]
    for path in (root / "images").iterdir():
        path.unlink()
    assert all(torch.equal(dataset[k][0], image) for k, image in enumerate(images))


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    gradient = np.linspace(0, 255, 12 * 8 * 3).reshape(8, 12, 3).astype(np.uint8)
    image = Image.fromarray(gradient).convert(mode)
    name = "x.tif" if mode in ("CMYK", "YCbCr") else "x.png"
    image.save(tmp_path / name)
    pixels, _ = one_image(tmp_path, name, 12, 8)[0]
    expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
    assert torch.allclose(pixels, expected)


def test_palette_with_transparency_is_read(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "x.png", transparency=b"\x80\x40")
    pixels, _ = one_image(tmp_path, "x.png", 4, 4)[0]
    assert pixels[:, 0, 0].tolist() == [1, 0, 0]


def test_sixteen_bit_image_is_refused_and_not_clipped_to_white(tmp_path):
    Image.fromarray(np.full((4, 4), 3000, dtype=np.uint16)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"image 3 .*x\.png.*I;16"):
        one_image(tmp_path, "x.png", 4, 4)[0]


@pytest.mark.parametrize(
    ("orientation", "recorded", "is_turned"),
    [(6, (8, 12), True), (6, (12, 8), False), (3, (12, 8), True), (1, (12, 8), False)],
)
def test_exif_rotation_follows_the_recorded_size(tmp_path, orientation, recorded, is_turned):
    stored = np.zeros((8, 12, 3), dtype=np.uint8)
    stored[:4, :4] = 255  # the white corner, top left as stored
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(stored).save(tmp_path / "x.jpg", quality=95, exif=exif)
    pixels, _ = one_image(tmp_path, "x.jpg", *recorded)[0]
    assert pixels.shape == (3, recorded[1], recorded[0])
    is_white = {
        "top left": pixels[:, 1, 1].min() > 0.9,
        "top right": pixels[:, 1, -2].min() > 0.9,
        "bottom right": pixels[:, -2, -2].min() > 0.9,
    }
    turned = {6: "top right", 3: "bottom right", 1: "top left"}[orientation]
    expected = turned if is_turned else "top left"
    assert [place for place, white in is_white.items() if white] == [expected]


def test_size_that_differs_from_the_record_is_refused(tmp_path):
    Image.new("RGB", (10, 8)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"image 3 .*10x8 pixels, but the annotations say 8x9"):
        one_image(tmp_path, "x.png", 8, 9)[0]


def test_broken_images_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(ValueError, match=r"image 3 .*cut\.jpg.*(?i:truncated)"):
        one_image(tmp_path, "cut.jpg", 64, 64)[0]
    with pytest.raises(ValueError, match=r"image 3 .*text\.jpg.* is not an image"):
        one_image(tmp_path, "text.jpg", 32, 32)[0]
    with pytest.raises(FileNotFoundError, match=r"image 3 .*none\.jpg.* is missing"):
        one_image(tmp_path, "none.jpg", 32, 32)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"images": [],\n "annotations": [}', r"bad\.json, line 2, column 18"),
        (b"", r"bad\.json, line 1, column 1"),
        (b"[1, 2]", "found a list"),
        (b'{"images": "\xff"}', "not UTF-8 text: byte 12"),
    ],
)
def test_malformed_json_is_located(tmp_path, text, message):
    (tmp_path / "bad.json").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        read_coco(tmp_path / "bad.json", tmp_path)


def test_missing_annotation_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_coco(tmp_path / "none.json", tmp_path)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_empty_data_set_is_refused(tmp_path, record, key):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**record, key: []}))
    with pytest.raises(ValueError, match=rf"x\.json: the record holds no {key}"):
        read_coco(path, tmp_path)
    del record[key]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=f"no list '{key}'; it holds: info"):
        read_coco(path, tmp_path)


def test_unusable_annotation_is_refused_with_the_way_to_see_all(tmp_path, record):
    record["annotations"][1]["category_id"] = 5
    path = tmp_path / "x.json"
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"annotation 2 of image 30 has category 5.*data check"):
        read_coco(path, tmp_path)
