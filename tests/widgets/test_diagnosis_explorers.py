from functools import partial
from types import SimpleNamespace

import pytest
from diagnosed import made_diagnosis, write_images

from kdviz.diagnosis.transitions import Transition
from kdviz.plots.confusion import shown_classes
from kdviz.plots.sheets import captioned_figure
from kdviz.runs.diagnosis.image_files import ImageFiles
from kdviz.runs.diagnosis.objects import confusion_pictures, transition_pictures
from kdviz.widgets.diagnosis import explore_confusion, explore_transitions


@pytest.fixture
def drawing(tmp_path):
    """A diagnosis and its images."""
    write_images(tmp_path)
    diagnosis = made_diagnosis()
    return diagnosis, ImageFiles(diagnosis.inputs.truth, tmp_path)


def words(explorer):
    figure = explorer.figure()
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return " | ".join(text.get_text().replace("\n", " ") for text in texts)


def explorer_of(drawing):
    diagnosis, _ = drawing
    return explore_transitions(
        diagnosis.transitions, partial(transition_pictures, *drawing), count=1
    )


def test_a_transition_is_turned_page_by_page(drawing):
    explorer = explorer_of(drawing)
    assert explorer.state == {"transition": Transition.FIXED, "page": 1}
    assert explorer.controls["page"].max == 2
    assert "cat, 30x20 px, a" in words(explorer)
    before = explorer.png
    explorer.controls["page"].value = 2
    assert explorer.message.value == ""
    assert explorer.png != before
    assert "dog, 60x60 px, b" in words(explorer)


def test_another_transition_begins_at_its_first_page(drawing):
    explorer = explorer_of(drawing)
    explorer.controls["page"].value = 2
    explorer.controls["transition"].value = Transition.INHERITED
    assert explorer.state == {"transition": Transition.INHERITED, "page": 1}
    assert explorer.controls["page"].max == 1
    assert "dog, 20x40 px, a" in words(explorer)


def test_each_choice_goes_back_to_the_first_page():
    many = SimpleNamespace(counts=lambda: dict.fromkeys(Transition, 5))

    def pictures(kind, count, first):
        return SimpleNamespace(figure=captioned_figure(4, 0, f"{kind.name} {first}")[0])

    explorer = explore_transitions(many, pictures, count=2)
    explorer.controls["page"].value = 3
    assert words(explorer) == "FIXED 4"
    explorer.controls["transition"].value = Transition.BROKEN
    assert words(explorer) == "BROKEN 0"
    assert explorer.state["page"] == 1


def test_an_empty_transition_says_so(drawing):
    explorer = explorer_of(drawing)
    explorer.controls["transition"].value = Transition.BROKEN
    assert explorer.message.value == ""
    assert "No objects are broken" in words(explorer)


def test_buttons_tell_how_many_objects_there_are(drawing):
    labels = [label for label, _ in explorer_of(drawing).controls["transition"].options]
    assert labels == ["fixed 2", "broken 0", "inherited 1", "kept right 0", "kept wrong 1"]


def confusion_of(drawing, **options):
    diagnosis, _ = drawing
    return explore_confusion(
        {role: one.confusion for role, one in diagnosis.sets.items()},
        partial(confusion_pictures, *drawing),
        **options,
    )


def click(explorer, row, column):
    figure = explorer.figure()
    x, y = figure.axes[0].transData.transform((column, row))
    explorer.click(x, figure.canvas.get_width_height()[1] - y)


def test_the_first_cell_is_the_most_frequent_mix_up(drawing):
    grid, cell = confusion_of(drawing)
    assert grid.state == {"detector": "student", "annotated": 0, "detected": 1}
    assert cell.state == {**grid.state, "page": 1}
    assert "1 cat object is taken for dog by the student" in words(cell)


def test_a_click_on_a_cell_opens_it(drawing):
    grid, cell = confusion_of(drawing, start=("student", 1, 1))
    before = grid.png, cell.png
    assert shown_classes(made_diagnosis().sets["student"].confusion.matrix) == (0, 1)
    click(grid, row=2, column=0)  # boxes on nothing
    assert grid.message.value == cell.message.value == ""
    assert grid.state == {"detector": "student", "annotated": 2, "detected": 0}
    assert "1 cat box of the student matches no object" in words(cell)
    assert grid.png != before[0]
    assert cell.png != before[1]
    click(grid, row=0, column=1)
    assert "1 cat object is taken for dog by the student" in words(cell)


def test_the_chosen_cell_is_framed(drawing):
    grid, _ = confusion_of(drawing, start=("teacher", 1, 0))
    (frame,) = grid.figure().axes[0].patches[-1:]
    assert (frame.get_x(), frame.get_y()) == (-0.5, 0.5)
    assert (frame.get_width(), frame.get_height()) == (1, 1)


def test_an_empty_cell_and_another_detector(drawing):
    grid, cell = confusion_of(drawing, start=("student", 0, 1))
    grid.controls["detector"].value = "teacher"
    assert cell.state["detector"] == "teacher"
    assert "No cat objects are taken for dog by the teacher" in words(cell)


def test_a_new_cell_begins_at_its_first_page(drawing):
    grid, cell = confusion_of(drawing, start=("student", 2, 0), count=1)
    assert cell.controls["page"].max == 1
    cell.controls["page"].max = 5
    cell.controls["page"].value = 4
    click(grid, row=0, column=1)
    assert cell.state["page"] == 1
    assert cell.controls["page"].max == 1
