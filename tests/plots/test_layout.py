"""Whatever the names and sizes: nothing is cut by the figure's edge, nothing written twice over."""

import numpy as np
import pytest
import torch

from kdviz import plots
from kdviz.plots.panels import shorten, text_size, wrap
from kdviz.structures import Detection, Level, Pyramid

LONG = "a red blood cell with a remarkably long class name"
CAPTION = "The student is weaker where objects stand close together, and stronger nowhere. " * 2
BOXES = torch.tensor([[10.0, 10, 60, 60], [30, 40, 90, 90], [70, 5, 150, 80]])
FOUND = Detection(BOXES + 2, torch.tensor([0.9, 0.8, 0.4]), torch.tensor([1, 2, 1]))
TRUTH = {"boxes": BOXES, "labels": torch.tensor([1, 1, 2])}
NAMES = [LONG, LONG.upper()]
MAP = np.linspace(-1, 1, 60).reshape(6, 10)
ANCHORS = np.tile(np.array([-30.0, -10, 200, 120]), (6, 10, 3, 1))
LEVELS = Pyramid(
    tuple(Level(f"p{k}", 2**k, torch.rand(1, 1, 96 // 2**k, 160 // 2**k)) for k in range(2, 6))
)
HISTORY = [
    {"step": 1000 * s, "terms": {f"{t}/{k}": 10.0 ** (-i) for k in ("p3", "p4", "p5")}}
    for s in range(5)
    for i, t in enumerate(["classification", LONG.replace(" ", "_"), "frs"])
]
ROLES = ("student", "teacher", "distilled", LONG)

CASES = {
    "boxes": lambda image, **w: plots.draw_boxes(
        image, FOUND, NAMES, title=LONG * 3, caption=CAPTION, **w
    ),
    "compare": lambda image, **w: plots.compare_detections(
        image, dict.fromkeys(ROLES, FOUND), TRUTH, NAMES, caption=CAPTION, **w
    ),
    "gallery": lambda image, **w: plots.gallery(
        [image] * 7, [TRUTH] * 7, NAMES, titles=[LONG] * 7, caption=CAPTION, **w
    ),
    "overlay": lambda image, **w: plots.overlay(
        image, MAP * 1e-3, 16, title=LONG * 2, caption=CAPTION, unit="squared activation", **w
    ),
    "row": lambda image, **w: plots.pyramid_row(
        image, LEVELS, title="teacher", caption=CAPTION, **w
    ),
    "maps": lambda image, **w: plots.compare_maps(
        image, {"student": MAP, "teacher": MAP**2, LONG: MAP}, 16, caption=CAPTION, **w
    ),
    "mask": lambda image, **w: plots.mask_grid(image, MAP > 0, 16, caption=CAPTION, **w),
    "anchors": lambda image, **w: plots.draw_anchors(image, ANCHORS, BOXES, caption=CAPTION, **w),
    "losses": lambda image, **w: plots.loss_curves(HISTORY, caption=CAPTION, **w),
    "ap": lambda image, **w: plots.ap_curve(
        {role: [[(0, 0.0), (9000, 0.2)]] for role in ROLES}, caption=CAPTION, **w
    ),
    "seeds": lambda image, **w: plots.compare_ap(
        {role: [0.1, 0.2, 0.3] for role in ROLES}, caption=CAPTION, **w
    ),
    "precision": lambda image, **w: plots.precision_recall(
        {role: ([0, 1], [1, 0]) for role in ROLES}, title=LONG * 2, caption=CAPTION, **w
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", ["wide", "tall"])
def test_all_text_is_whole_and_apart(case, shape, image, layout_faults):
    figure, _ = CASES[case](image if shape == "wide" else image[:, :, :60])
    assert not layout_faults(figure)
    assert figure.get_size_inches()[0] <= 10.01


@pytest.mark.parametrize("case", [c for c in CASES if c not in ("maps", "row", "gallery")])
def test_a_narrow_figure_holds_too(case, image, layout_faults):
    width = 7.0 if case == "compare" else 4.6
    figure, _ = CASES[case](image, width=width)
    assert not layout_faults(figure)
    assert figure.get_size_inches()[0] == pytest.approx(width)


def test_panels_have_exactly_the_shape_of_the_image(image):
    _, panels = CASES["compare"](image)
    for axes in panels:
        place = axes.get_window_extent()
        assert place.height / place.width == pytest.approx(96 / 160)


def test_the_checker_sees_cut_and_covered_text(image, layout_faults):
    figure, _ = CASES["boxes"](image)
    figure.text(0.99, 0.5, "cut at the right")
    figure.text(0.1, 0.02, "on the caption")
    faults = " ".join(layout_faults(figure))
    assert "cut: 'cut at the right'" in faults
    assert "lies on 'on the caption'" in faults


def test_wrapping_keeps_words_and_lines():
    text = "one two three four five six\nseven"
    lines = wrap(text, 60, 9).split("\n")
    assert " ".join(lines) == text.replace("\n", " ")
    assert lines[-1] == "seven"
    assert all(text_size(line, 9)[0] <= 60 for line in lines)
    assert wrap(text, 60, 9, lines=3).endswith("…")
    assert wrap("name\n1 right", 60, 9, lines=2) == "name\n1 right"


def test_shortening_uses_the_room_there_is():
    cut = shorten("abcdefghijklmnopqrstuvwxyz", 60, 9)
    assert cut.endswith("…")
    assert 45 < text_size(cut, 9)[0] <= 60
    assert shorten("abc", 60, 9) == "abc"
