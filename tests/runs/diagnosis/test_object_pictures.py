from functools import partial

import numpy as np
import pytest
from diagnosed import made_diagnosis, write_images

from kdviz.diagnosis.confusion import BACKGROUND
from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.inputs import Inputs
from kdviz.diagnosis.transitions import Transition
from kdviz.plots.strip_layout import lay_out, view_around
from kdviz.plots.theme import ROLE_COLOURS, to_png
from kdviz.runs.diagnosis.answers import answer_of, called, corners, title_of
from kdviz.runs.diagnosis.changed_images import image_pictures
from kdviz.runs.diagnosis.image_files import ImageFiles
from kdviz.runs.diagnosis.objects import confusion_pictures, object_pictures, transition_pictures


@pytest.fixture
def diagnosis():
    return made_diagnosis()


@pytest.fixture
def images(diagnosis, tmp_path):
    write_images(tmp_path)
    return ImageFiles(diagnosis.inputs.truth, tmp_path)


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def caption(figure):
    lowest = min(figure.texts, key=lambda text: text.get_position()[1])
    return " ".join(lowest.get_text().split())


def pixels_at(figure, *points):
    to_png(figure)
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    places = [figure.axes[0].transData.transform(point) for point in points]
    return [drawn[len(drawn) - 1 - int(row), int(column)] for column, row in places]


# --- what is said of an object --------------------------------------------------------------------


def test_answers_in_words(diagnosis):
    sets = diagnosis.sets
    told = {
        role: [answer_of(one.verdicts, k).verdict for k in range(4)] for role, one in sets.items()
    }
    assert told == {
        "student": ["wrong class\ndog .80", "right .90", "missed", "badly localised\nIoU .41"],
        "teacher": ["right .90", "wrong class\ncat .92", "right .80", "right .90"],
        "distilled": ["right .85", "wrong class\ncat .80", "missed\n.20 is below .50", "right .60"],
    }


def test_answers_with_their_boxes(diagnosis):
    answer = answer_of(diagnosis.sets["student"].verdicts, 0)
    assert answer.box.tolist() == [11, 20, 41, 40]
    assert (answer.name, answer.is_right, answer.counts) == ("dog", False, True)
    low = answer_of(diagnosis.sets["distilled"].verdicts, 2)
    assert low.box.tolist() == [0, 0, 13, 12]
    assert not low.counts
    assert answer_of(diagnosis.sets["student"].verdicts, 2).box is None


def test_scores_that_look_equal_get_more_digits(diagnosis):
    inputs = diagnosis.inputs
    near = diagnose(inputs, thresholds=0.2004, draws=2).sets["distilled"].verdicts
    assert answer_of(near, 2).verdict == "missed\n.2000 is below .2004"


def test_names_of_things(diagnosis):
    assert title_of(diagnosis.inputs.truth, 3) == "dog, 60x60 px, b"
    assert [called(x) for x in ("student", "distilled", "gkd")] == [
        "the student", "the distilled student", "gkd"
    ]  # fmt: skip
    assert corners(np.array([[1.0, 2, 3, 4]])).tolist() == [[1, 2, 4, 6]]


# --- transitions ----------------------------------------------------------------------------------


def test_a_transition_shows_its_objects_by_gain(diagnosis, images):
    gallery = transition_pictures(diagnosis, images, "fixed")
    assert (gallery.total, gallery.shown) == (2, 2)
    assert gallery.text == (
        "2 objects are fixed: wrong for the student alone, right for the distilled student."
    )
    titles = [word for word in words(gallery.figure) if " px, " in word]
    assert titles == ["cat, 30x20 px, a", "dog, 60x60 px, b"]
    assert caption(gallery.figure).startswith(gallery.text)


def test_the_right_part_of_the_right_image_is_shown_with_its_boxes(diagnosis, images):
    figure = transition_pictures(diagnosis, images, Transition.FIXED, count=1).figure
    layout = lay_out([[0, 2, 1, 1]])
    box = [10, 20, 40, 40]
    shown = [[11, 20, 41, 40], [10, 21, 40, 41]]
    view = view_around(box, [*shown, box], size=(80, 120))
    corner = layout.place(0, 0, view, [24, 28, 25, 29])
    (inside,) = pixels_at(figure, (corner[:2] + corner[2:]) / 2)
    assert np.abs(inside - [48, 84, 60]).max() <= 5
    x1, _, x2, y2 = layout.place(0, 1, view, shown[0])
    (line,) = pixels_at(figure, (x2, y2 - 10))
    wanted = [int(ROLE_COLOURS["student"][i : i + 2], 16) for i in (1, 3, 5)]
    assert np.abs(line - wanted).max() < 60
    assert x1 < x2


def test_no_object_of_a_kind_is_an_answer(diagnosis, images):
    gallery = transition_pictures(diagnosis, images, "broken")
    assert gallery.figures == ()
    assert gallery.text.startswith("No objects are broken: right for the student alone")
    assert caption(gallery.figure) == gallery.text  # a figure for who needs one


def test_pages_follow_each_other(diagnosis, images):
    second = transition_pictures(diagnosis, images, "fixed", count=1, first=1)
    assert "dog, 60x60 px, b" in words(second.figure)
    assert "Here is 1 after the first 1 of those that gained most score." in second.text
    beyond = transition_pictures(diagnosis, images, "fixed", count=1, first=2)
    assert (beyond.total, beyond.shown) == (2, 0)


def test_without_both_students_there_are_no_transitions(diagnosis, images):
    inputs = diagnosis.inputs
    alone = Inputs(inputs.truth, {"teacher": inputs.detections["teacher"]}, ())
    gallery = transition_pictures(diagnose(alone, draws=2), images, "fixed")
    assert gallery.figures == ()
    assert "student and distilled" in gallery.text
    with pytest.raises(KeyError):
        transition_pictures(diagnosis, images, "mended")


def test_any_objects_can_be_shown(diagnosis, images):
    gallery = object_pictures(
        diagnosis, images, [3, 1], ("object is a dog", "objects are dogs"), count=1
    )
    assert gallery.text == "2 objects are dogs. Here is 1, the one annotated first."
    assert "dog, 60x60 px, b" in words(gallery.figure)


# --- confusion ------------------------------------------------------------------------------------


def test_a_cell_of_the_confusion_opens(diagnosis, images):
    gallery = confusion_pictures(diagnosis, images, "student", "cat", "dog")
    assert gallery.text == "1 cat object is taken for dog by the student."
    found = words(gallery.figure)
    assert "cat, 30x20 px, a" in found
    assert "dog .80" in found
    assert "teacher" not in found  # only the detector of the matrix
    same = confusion_pictures(diagnosis, images, "student", 0, 1)
    assert words(same.figure) == found


def test_what_is_missed_and_what_is_found_in_vain(diagnosis, images):
    missed = confusion_pictures(diagnosis, images, "distilled", "cat", BACKGROUND)
    assert missed.text == "1 cat object matches no box of the distilled student."
    assert "missed\n.20 is below .50" in words(missed.figure)
    vain = confusion_pictures(diagnosis, images, "student", BACKGROUND, "cat")
    assert vain.text == "1 cat box of the student matches no object."
    assert "no match, b" in words(vain.figure)
    assert "on nothing\nscore .95" in words(vain.figure)
    right = confusion_pictures(diagnosis, images, "teacher", "dog", "dog")
    assert right.text == "1 dog object is found by the teacher."


def test_an_empty_cell_is_an_answer_and_a_strange_one_is_named(diagnosis, images):
    gallery = confusion_pictures(diagnosis, images, "teacher", "cat", "dog")
    assert gallery.figures == ()
    assert gallery.text == "No cat objects are taken for dog by the teacher."
    with pytest.raises(ValueError, match=r"no class 'cow', only cat, dog, background"):
        confusion_pictures(diagnosis, images, "teacher", "cow", "dog")


# --- images ---------------------------------------------------------------------------------------


def test_images_that_changed(diagnosis, images):
    better = image_pictures(diagnosis, images, "improved")
    scores = {role: one.images.mistakes.tolist() for role, one in diagnosis.sets.items()}
    assert scores == {"student": [2, 4], "teacher": [2, 0], "distilled": [2, 1]}
    assert (better.total, better.shown) == (1, 1)
    assert caption(better.figures[0]).endswith("student 4, teacher 0, distilled 1.")
    heads = [text.get_text() for text in better.figures[0].texts]
    assert "student\n0 right, 2 wrong, 2 missed" in heads
    assert "distilled\n1 right, 0 wrong, 1 missed" in heads
    worse = image_pictures(diagnosis, images, "worsened")
    assert worse.figures == ()
    assert worse.text == "No images worsened from student to distilled."


def test_the_worst_images_of_a_detector(diagnosis, images):
    gallery = image_pictures(diagnosis, images, "worst", "student", count=1)
    assert gallery.text == (
        "2 images have objects or boxes of the student. Here is 1, the one of the lowest F1."
    )
    assert caption(gallery.figures[0]).startswith("b: ")
    with pytest.raises(ValueError, match="worst, improved or worsened"):
        image_pictures(diagnosis, images, "best")


# --- missing images -------------------------------------------------------------------------------


def test_objects_on_missing_images_are_passed_over_and_counted(diagnosis, tmp_path):
    write_images(tmp_path, names="b")
    images = ImageFiles(diagnosis.inputs.truth, tmp_path)
    gallery = transition_pictures(diagnosis, images, "fixed")
    assert (gallery.total, gallery.shown) == (2, 1)
    assert "1 cannot be shown: 1 of 2 image files are not in" in gallery.text
    assert "--images DIR" in gallery.text
    assert "dog, 60x60 px, b" in words(gallery.figure)


@pytest.mark.parametrize(
    "show",
    [
        partial(transition_pictures, kind="fixed"),
        partial(confusion_pictures, role="student", true_label="cat", taken_for="dog"),
        partial(image_pictures, which="improved"),
    ],
)
def test_without_any_image_there_is_a_sentence(show, diagnosis, tmp_path):
    gallery = show(diagnosis, ImageFiles(diagnosis.inputs.truth, tmp_path / "gone"))
    assert gallery.figures == ()
    assert gallery.total > 0
    assert "2 of 2 image files are not in" in gallery.text


def test_a_damaged_image_is_passed_over(diagnosis, tmp_path):
    write_images(tmp_path)
    (tmp_path / "a.png").write_bytes(b"no image")
    gallery = transition_pictures(diagnosis, ImageFiles(diagnosis.inputs.truth, tmp_path), "fixed")
    assert gallery.shown == 1
    assert "1 cannot be shown: image 1" in gallery.text
    assert "is not an image" in gallery.text
