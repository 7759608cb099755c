import numpy as np
import pytest

from kdviz.plots import confusion_cell, confusion_matrix
from kdviz.plots.confusion import shown_classes

NAMES = ["disc", "ring", "square"]
MATRIX = np.array([[8, 2, 0, 10], [0, 30, 0, 0], [1, 0, 4, 5], [0, 3, 7, 0]])


@pytest.fixture
def many():
    """Thirty classes; 3 and 20 are mixed up most, then 7 and 9."""
    matrix = np.diag(np.arange(30, 61))
    matrix[3, 20], matrix[9, 7] = 50, 40
    matrix[-1, -1] = 0
    return matrix


def _written(axes):
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text()
            for t in axes.texts}  # fmt: skip


def test_counts_stand_in_their_cells_and_zeros_stay_empty():
    _, axes = confusion_matrix(MATRIX, NAMES)
    wanted = {(i, j): str(n) for (i, j), n in np.ndenumerate(MATRIX) if n}
    assert _written(axes) == wanted
    low, high = axes.get_ylim()
    assert low > high
    assert [t.get_text() for t in axes.get_yticklabels()] == [*NAMES, "on nothing"]
    assert [t.get_text() for t in axes.get_xticklabels()] == [*NAMES, "missed"]


def test_right_is_blue_wrong_is_red_by_the_share_of_the_row(pixel_at):
    figure, axes = confusion_matrix(MATRIX, NAMES)

    def at(row, column):
        return pixel_at(figure, axes, column - 0.35, row - 0.3).astype(int)

    red, _, blue = at(0, 0)
    assert blue > red + 10  # .4 right
    red, green, _ = at(0, 3)
    assert red > green + 40  # half is missed
    assert at(1, 1).sum() < at(0, 0).sum() < at(0, 2).sum()  # all right, .4 right, nothing there
    red, green, _ = at(2, 0)
    assert green < red  # one in ten
    assert at(2, 0)[1] > at(0, 3)[1]
    assert at(3, 3).min() > 250


def test_background_may_be_named():
    _, axes = confusion_matrix(MATRIX, [*NAMES, "background"])
    assert "background" not in [t.get_text() for t in axes.get_yticklabels()]


def test_of_many_classes_the_most_mixed_are_shown(many, text_boxes):
    assert shown_classes(many, 2) == (3, 20)
    assert shown_classes(many, 4) == (3, 7, 9, 20)
    assert shown_classes(many, 5) == (3, 7, 9, 20, 29)  # then the one of most entries
    figure, axes = confusion_matrix(many, [f"class {i}" for i in range(30)], most=4)
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        "class 3", "class 7", "class 9", "class 20", "on nothing"
    ]  # fmt: skip
    assert _written(axes)[0, 3] == "50"
    assert _written(axes)[2, 1] == "40"
    caption = " ".join(text for text, _ in text_boxes(figure)).replace("\n", " ")
    assert "4 classes with most mix-ups; 26 others are left out" in caption


def test_colours_are_of_whole_rows(pixel_at):
    """What is missed in a class that is not shown still counts in its row."""
    matrix = np.zeros((4, 4), int)
    matrix[0] = [10, 5, 85, 0]
    colours = []
    for most in (3, 1):
        figure, axes = confusion_matrix(matrix, NAMES, most=most)
        colours.append(pixel_at(figure, axes, -0.35, -0.3))
    assert np.array_equal(*colours)


def test_a_click_gives_the_cell_of_the_whole_matrix(many):
    assert confusion_cell(MATRIX, 1.4, 0.3) == (0, 1)
    assert confusion_cell(MATRIX, 3.0, 2.0) == (2, 3)
    assert confusion_cell(many, 3.2, 0.1, most=4) == (3, 20)
    assert confusion_cell(many, 4.0, 1.0, most=4) == (7, 30)
    assert confusion_cell(many, 0.0, 4.0, most=4) == (30, 3)
    assert confusion_cell(MATRIX, -0.7, 0) is None
    assert confusion_cell(MATRIX, 0, 3.6) is None


@pytest.mark.parametrize("width", [None, 8.0, 5.0])
@pytest.mark.parametrize("long", [False, True])
def test_nothing_is_cut_or_covered(many, width, long, layout_faults):
    names = [f"a class of remarkable length {i}" if long else f"c{i}" for i in range(30)]
    figure, _ = confusion_matrix(many, names, width=width)
    assert not layout_faults(figure)
    assert figure.get_size_inches()[0] <= 10.01
    figure, _ = confusion_matrix(MATRIX, names[:3], width=width)
    assert not layout_faults(figure)


def test_what_is_no_confusion_matrix_is_refused():
    with pytest.raises(ValueError, match="4 names need a matrix of 5 rows"):
        confusion_matrix(np.eye(3), ["a", "b", "c", "d"])
    with pytest.raises(ValueError, match="square"):
        shown_classes(np.ones((2, 3)))
