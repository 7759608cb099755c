import numpy as np
import pytest
import torch

from kdviz.structures import Level, Pyramid
from kdviz.widgets import explore_assignment

IMAGES = [np.full((3, 64, 64), 0.2), np.full((3, 64, 64), 0.8)]
TARGETS = [
    {
        "boxes": torch.tensor([[0.0, 0, 40, 40], [10, 10, 20, 20]]),
        "labels": torch.tensor([2, 1]),
    },
    {"boxes": torch.tensor([[30.0, 30, 60, 60]]), "labels": torch.tensor([1])},
]


def assigned():
    maps = {s: torch.full((2, 1, 64 // s, 64 // s), -1) for s in (8, 16, 32)}
    maps[8][0, 0, 2, 2] = 1
    maps[16][0, 0, 1, 1] = 0
    maps[8][1, 0, 5, 5] = 0
    return Pyramid(tuple(Level(f"p{s.bit_length() - 1}", s, values) for s, values in maps.items()))


def explore(**options):
    return explore_assignment(IMAGES, {"FCOS": assigned()}, TARGETS, ["disc", "ring"], **options)


def place(figure, x, y):
    """Pixels of the PNG, from its top left, of a point of the first panel."""
    drawn = figure.figure()
    across, up = drawn.axes[0].transData.transform((x, y))
    return across, drawn.canvas.get_width_height()[1] - up


def caption(figure):
    return " ".join(figure.figure().texts[-1].get_text().split())


def test_a_click_chooses_the_smallest_object_round_it():
    figure = explore()
    assert figure.state == {"image": 0, "box": 0}
    before = figure.png
    figure.click(*place(figure, 15, 15))
    assert figure.state["box"] == 1
    assert figure.png != before
    figure.click(*place(figure, 35, 5))
    assert figure.state["box"] == 0
    figure.click(*place(figure, 60, 60))  # on nothing
    assert figure.state["box"] == 0
    assert figure.message.value == ""


def test_only_levels_with_an_object_are_drawn():
    titles = [text.get_text() for text in explore(box=1).figure().texts]
    assert titles[:2] == ["FCOS p3, stride 8\n1 cell", "FCOS p4, stride 16\nnone"]
    assert len(titles) == 3  # and the caption


def test_the_caption_names_the_object():
    figure = explore(box=1, overlaps=[[0.5, 0.25], [1.0]])
    assert caption(figure).startswith("Object 1: disc, 10 x 10 pixels. Its best anchor overlaps")
    assert "IoU of 0.25" in caption(figure)


def test_an_image_with_fewer_objects_shows_its_last():
    figure = explore(box=1)
    figure.controls["image"].value = 1
    assert caption(figure).startswith("Object 0: disc, 30 x 30 pixels.")
    assert figure.message.value == ""


def test_images_without_any_object_are_refused():
    nothing = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}] * 2
    with pytest.raises(ValueError, match="none of the 2 images"):
        explore_assignment(IMAGES, {"FCOS": assigned()}, nothing)
