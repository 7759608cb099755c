import numpy as np
import pytest

from kdviz.plots.labels import Labels
from kdviz.plots.objects import Answer, ObjectView, marks_of, object_gallery
from kdviz.plots.strip_layout import lay_out, view_around
from kdviz.plots.theme import INK, MISSED, ROLE_COLOURS

BOX = [40.0, 30, 60, 42]
RIGHT = Answer("right .82", True, [41, 30, 61, 43], "cat")
WRONG = Answer("wrong class\ndog .64", False, [40, 29, 62, 44], "dog")
LOW = Answer("missed\n.20 is below .50", False, [40, 29, 62, 44], counts=False)
MISS = Answer("missed", False)


@pytest.fixture
def dark():
    return np.full((80, 120, 3), 12, np.uint8)


@pytest.fixture
def light():
    return np.full((80, 120, 3), 245, np.uint8)


def words(axes):
    return [text.get_text() for text in axes.texts]


def is_near(pixel, colour, slack=50):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.abs(pixel.astype(int) - wanted).max() <= slack


def test_panels_are_roles_in_their_order(dark, layout_faults):
    answers = {"distilled": RIGHT, "other": MISS, "teacher": RIGHT, "student": WRONG}
    figure, axes = object_gallery([ObjectView(dark, "cat, 20x12 px", answers, BOX)], caption="So.")
    heads = ["ground truth", "student", "teacher", "distilled", "other"]
    assert [word for word in words(axes) if word in heads] == heads
    notes = [text for text in axes.texts if text.get_text() in
             {"right .82", "missed", "wrong class\ndog .64"}]  # fmt: skip
    notes.sort(key=lambda text: text.get_position()[0])
    assert [text.get_color() for text in notes] == [MISSED, INK, INK, MISSED]
    assert layout_faults(figure) == []


@pytest.mark.parametrize("background", ["dark", "light"])
def test_the_box_of_a_role_has_its_colour_on_dark_and_light(background, request, pixel_at):
    image = request.getfixturevalue(background)
    view = ObjectView(image, "cat", {"student": WRONG, "teacher": MISS}, BOX)
    figure, axes = object_gallery([view])
    layout = lay_out([[2, 2, 2]])
    square = view_around(BOX, [WRONG.box], size=(80, 120))
    own = layout.place(0, 0, square, BOX)
    assert is_near(pixel_at(figure, axes, (own[0] + own[2]) / 2, own[3]), INK)
    shown = layout.place(0, 1, square, WRONG.box)
    below = (shown[0] + shown[2]) / 2, shown[3]
    assert is_near(pixel_at(figure, axes, *below), ROLE_COLOURS["student"])
    x1, _, x2, y2 = layout.place(0, 2, square, WRONG.box)
    assert not is_near(pixel_at(figure, axes, (x1 + x2) / 2, y2), ROLE_COLOURS["teacher"])


def test_a_box_that_counts_has_its_class_and_a_faint_one_has_none(dark):
    view = ObjectView(dark, "cat", {"student": LOW, "teacher": RIGHT}, BOX)
    figure, _ = object_gallery([view])
    (labels,) = figure.findobj(Labels)
    assert [label.text for label in labels.labels] == ["cat"]
    assert [mark.line for mark in marks_of(BOX, LOW, "red")] == ["thin", "dotted"]
    assert [mark.line for mark in marks_of(None, RIGHT, "red")] == ["solid"]
    assert [mark.line for mark in marks_of(BOX, MISS, "red")] == ["thin"]


@pytest.mark.parametrize(
    "box",
    [[0, 0, 10, 10], [110, 70, 120, 80], [2, 2, 118, 78], [50, 30, 53, 34], [-4, 20, 20, 60]],
)
def test_objects_of_any_size_and_place_are_seen_whole(box, light, pixels_of):
    figure, axes = object_gallery([ObjectView(light, "it", {"student": MISS}, box)])
    drawn = pixels_of(figure)
    layout = lay_out([[0, 1]])
    x, y = layout.corners[0, 0]
    column, row = (int(v) for v in axes.transData.transform((x, y)))
    top = len(drawn) - 1 - row
    panel = drawn[top : top + layout.side, column : column + layout.side]
    ink = (panel.max(axis=2) < 100).any()
    assert ink
    x1, y1, x2, y2 = layout.place(0, 0, view_around(box, size=(80, 120)), box)
    assert x2 - x1 >= 8 or box == [50, 30, 53, 34]
    assert max(x2 - x1, y2 - y1) >= 0.1 * layout.side


def test_neighbours_are_in_the_ground_truth_alone(light, pixel_at):
    beside = [30.0, 26, 44, 46]
    view = ObjectView(light, "cat", {"student": MISS}, BOX, neighbours=[beside])
    figure, axes = object_gallery([view])
    layout = lay_out([[0, 1]])
    square = view_around(BOX, size=(80, 120))
    for panel, drawn in ((0, True), (1, False)):
        _, y1, x2, y2 = layout.place(0, panel, square, beside)
        found = min(pixel_at(figure, axes, x2 + d, (y1 + y2) / 2).max() for d in (-1, 0, 1))
        assert (found < 150) == drawn


def test_a_place_without_object_is_shown_by_its_box(light):
    _, axes = object_gallery([ObjectView(light, "no object", {"student": WRONG})])
    assert "no object" in words(axes)


def test_wrong_input_is_named(light):
    with pytest.raises(ValueError, match="at least one object"):
        object_gallery([])
    with pytest.raises(ValueError, match="'lost' has no box"):
        object_gallery([ObjectView(light, "lost", {"student": MISS})])
    views = [ObjectView(light, "a", {"student": MISS}, BOX), ObjectView(light, "b", {}, BOX)]
    with pytest.raises(ValueError, match=r"'b' has answers of \[\], not \['student'\]"):
        object_gallery(views)
