import numpy as np
import pytest
import torch

from kdviz.structures import Detection, Level, Pyramid
from kdviz.widgets import explore_detections, explore_maps

IMAGES = [np.full((3, 64, 64), 0.2), np.full((3, 64, 64), 0.8)]
BOXES = torch.tensor([[10.0, 10, 40, 40]])


def pyramid(*strides):
    return Pyramid(
        tuple(
            Level(f"p{s.bit_length() - 1}", s, torch.rand(2, 1, 64 // s, 64 // s)) for s in strides
        )
    )


def test_threshold_and_image_change_the_picture():
    found = [Detection(BOXES, torch.tensor([0.5]), torch.tensor([1]))] * 2
    truth = [{"boxes": BOXES, "labels": torch.tensor([1])}] * 2
    explorer = explore_detections(IMAGES, {"student": found}, truth, ["disc"])
    assert explorer.state == {"image": 0, "score_threshold": 0.3, "iou_threshold": 0.5}
    pictures = {explorer.png}
    for name, value in [("score_threshold", 0.6), ("image", 1)]:
        explorer.controls[name].value = value
        pictures.add(explorer.png)
    assert len(pictures) == 3
    assert explorer.message.value == ""


def test_levels_are_offered_by_the_strides_that_all_have():
    explorer = explore_maps(
        IMAGES, {"student": pyramid(8, 16), "teacher": pyramid(16, 32)}, boxes=[BOXES, BOXES]
    )
    assert list(explorer.controls["stride"].options) == [16]
    before = explorer.png
    explorer.controls["image"].value = 1
    assert explorer.png != before
    assert explorer.message.value == ""


def test_pyramids_without_a_common_stride_are_refused():
    with pytest.raises(ValueError, match="share none"):
        explore_maps(IMAGES, {"student": pyramid(8), "teacher": pyramid(16)})


def test_many_images_get_a_slider():
    few = explore_maps(IMAGES, {"student": pyramid(8)})
    many = explore_maps(IMAGES * 21, {"student": pyramid(8)})
    assert type(few.controls["image"]) is not type(many.controls["image"])
