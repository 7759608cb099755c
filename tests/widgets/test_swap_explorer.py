import numpy as np
import pytest
import torch

from kdviz.structures import Detection
from kdviz.widgets.swap import explore_swaps

NAMES = ["teacher", "student"]
GRID = np.array([[0.6, 0.1], [0.0, 0.4]])


def found(count):
    boxes = torch.tensor([[4.0, 4, 20, 20]]) + 12 * torch.arange(count)[:, None]
    return Detection(boxes, torch.full((count,), 0.9), torch.ones(count, dtype=torch.int64))


@pytest.fixture
def figures():
    pairs = [(neck, head) for neck in NAMES for head in NAMES]
    cells = {
        way: {pair: [found(1 + i), found(3)] for i, pair in enumerate(pairs)}
        for way in ("raw", "stitched")
    }
    del cells["raw"]["student", "teacher"]
    images = [np.full((64, 64, 3), 90, np.uint8)] * 2
    start = ("stitched", "student", "teacher")
    return explore_swaps(images, cells, {"raw": GRID, "stitched": GRID}, NAMES, start=start)


def titles(figure):
    return [text.get_text().replace("\n", ": ") for text in figure.figure().texts]


def test_starts_at_the_pair_that_is_asked_for(figures):
    grid, pictures = figures
    assert grid.state == {"maps": "stitched", "neck": "student", "head": "teacher"}
    assert pictures.state == {"image": 0, **grid.state}
    assert titles(pictures) == [
        "student neck, student head: 4 boxes",
        "student neck, teacher head: 3 boxes",
        "teacher neck, teacher head: 1 box",
        "Left of the pair: the same neck under its own head. Right: the same head on its own neck.",
    ]


def click_on(figure, panel, x, y):
    drawn = figure.figure()
    across, up = drawn.axes[panel].transData.transform((x, y))
    figure.click(across, drawn.canvas.get_width_height()[1] - up)


def test_a_click_on_a_pair_shows_it_in_both_figures(figures):
    grid, pictures = figures
    before = grid.png, pictures.png
    click_on(grid, 0, 1, 0)
    assert grid.message.value == ""
    assert pictures.state == {"image": 0, "maps": "raw", "neck": "teacher", "head": "student"}
    assert grid.png != before[0]
    assert pictures.png != before[1]
    assert "teacher neck, student head: 2 boxes" in titles(pictures)


def test_a_pair_that_does_not_fit_is_left_out(figures):
    grid, pictures = figures
    click_on(grid, 0, 0, 1)
    assert titles(pictures) == [
        "student neck, student head: 4 boxes",
        "teacher neck, teacher head: 1 box",
        "The student neck does not fit the teacher head: each is shown with its own.",
    ]


def test_a_detector_as_it_is_is_shown_once(figures):
    grid, pictures = figures
    click_on(grid, 1, 0, 0)
    assert titles(pictures) == ["teacher neck, teacher head: 1 box"]
