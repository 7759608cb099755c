from __future__ import annotations

from typing import get_args

import pytest
import torch
from torchvision import tv_tensors

from kdviz.datasets.loader import seeded
from kdviz.datasets.transforms import Preset, drop_crowd, eval_preset, train_preset

PER_BOX = ("boxes", "labels", "iscrowd", "area", "annotation_ids")


def sample(boxes=((4, 6, 20, 30), (0, 0, 64, 48), (30, 10, 60, 44)), crowd=(0, 1, 0)):
    """Every object's label, id and area say which box is theirs."""
    count = len(boxes)
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8, generator=generator)
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return tv_tensors.Image(image), {
        "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(48, 64)),
        "labels": torch.arange(1, count + 1),
        "iscrowd": torch.tensor(crowd[:count], dtype=torch.int64),
        "area": torch.arange(count) * 10.0,
        "annotation_ids": torch.arange(100, 100 + count),
        "image_id": torch.tensor(5),
    }


@pytest.mark.parametrize("name", get_args(Preset))
def test_presets_keep_the_contract(name):
    preset = train_preset(name, size=60)
    sizes = set()
    for seed in range(25):
        with seeded(seed):
            image, target = preset(*sample())
        height, width = image.shape[-2:]
        sizes.add((height, width))
        assert image.dtype == torch.uint8
        assert target["image_id"].item() == 5
        count = len(target["labels"])
        assert all(len(target[key]) == count for key in PER_BOX)
        assert set(target["labels"].tolist()) <= {1, 3}
        assert target["annotation_ids"].tolist() == [99 + k for k in target["labels"].tolist()]
        assert target["area"].tolist() == [10.0 * (k - 1) for k in target["labels"].tolist()]
        boxes = target["boxes"]
        assert ((boxes[:, 2:] - boxes[:, :2]) >= 1).all()
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height] * 2)).all()
        if name != "ssd":  # whose crops may leave an object out
            assert count == 2
    assert (len(sizes) > 1) == (name in ("ssd", "multiscale"))


def test_none_changes_neither_pixels_nor_objects():
    image, target = sample()
    same, kept = train_preset("none")(image, target)
    assert torch.equal(same, image)
    assert torch.equal(kept["boxes"], target["boxes"][[0, 2]])


def test_flip_mirrors_pixels_and_boxes_half_of_the_time():
    image, target = sample()
    flips = 0
    for seed in range(100):
        with seeded(seed):
            out, kept = train_preset("flip")(image, target)
        if torch.equal(out, image.flip(-1)):
            flips += 1
            assert kept["boxes"].tolist() == [[44, 6, 60, 30], [4, 10, 34, 44]]
        else:
            assert torch.equal(out, image)
            assert kept["boxes"].tolist() == [[4, 6, 20, 30], [30, 10, 60, 44]]
    assert 30 < flips < 70


def test_multiscale_draws_the_short_side_between_three_fifths_and_all_of_size():
    sides = set()
    for seed in range(80):
        with seeded(seed):
            image, _ = train_preset("multiscale", size=50)(*sample())
        sides.add(min(image.shape[-2:]))
    assert min(sides) == 30
    assert max(sides) == 50
    assert len(sides) == 11


@pytest.mark.parametrize("name", get_args(Preset))
def test_image_without_objects_passes(name):
    with seeded(0):
        _, target = train_preset(name)(*sample(boxes=(), crowd=()))
    assert target["boxes"].shape == (0, 4)


@pytest.mark.parametrize("name", get_args(Preset))
def test_image_with_only_a_crowd_passes(name):
    with seeded(0):
        _, target = train_preset(name, size=48)(*sample(boxes=((0, 0, 9, 9),), crowd=(1,)))
    assert target["boxes"].shape == (0, 4)
    assert target["labels"].shape == (0,)


def test_box_that_touches_the_border_survives_rounding():
    for seed in range(20):
        with seeded(seed):
            _, target = train_preset("multiscale", size=47)(
                *sample(boxes=((0, 0, 64, 48),), crowd=(0,))
            )
        assert len(target["labels"]) == 1


def test_evaluation_changes_nothing():
    image, target = sample()
    same, kept = eval_preset()(image, target)
    assert torch.equal(same, image)
    assert all(torch.equal(kept[key], target[key]) for key in target)


@pytest.mark.parametrize("plain", [True, False])
def test_crowds_are_dropped_from_plain_and_wrapped_targets(plain):
    _, target = sample()
    if plain:
        target["boxes"] = target["boxes"].as_subclass(torch.Tensor)
    short = drop_crowd(target)
    assert short["annotation_ids"].tolist() == [100, 102]
    assert type(short["boxes"]) is type(target["boxes"])
    assert len(target["labels"]) == 3


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match="no augmentation 'mosaic'; there are none, flip, "):
        train_preset("mosaic")
