import numpy as np
import pytest
import torch
from diagnosed import made_diagnosis, write_images

from kdviz.diagnosis.lost import join_traces, targets_of
from kdviz.diagnosis.misses import Cause, Seen, trace_objects
from kdviz.plots.strip_layout import lay_out, view_around
from kdviz.plots.theme import to_png
from kdviz.runs.diagnosis.image_files import ImageFiles
from kdviz.runs.diagnosis.lost_objects import lost_pictures, sight_of
from kdviz.structures import Detection

CAT, DOG = 1, 2


def found(*boxes):
    columns = list(zip(*boxes, strict=True)) or [(), (), ()]
    corners = torch.tensor(columns[0], dtype=torch.float32).reshape(-1, 4)
    return Detection(corners, torch.tensor(columns[2]).float(), torch.tensor(columns[1]).long())


@pytest.fixture
def case(tmp_path):
    """What the student of the made case lost: a cat in its head, a cat in its neck, a dog in it."""
    write_images(tmp_path)
    diagnosis = made_diagnosis()
    truth = diagnosis.inputs.truth
    own = found(([11, 20, 41, 40], DOG, 0.8), ([70, 31, 90, 71], DOG, 0.9))
    taught = found(([10, 21, 40, 41], CAT, 0.9), ([70, 30, 90, 70], CAT, 0.92))
    second = found(([0, 0, 12, 12], CAT, 0.8), ([50, 10, 110, 70], DOG, 0.9))
    crossed = found(
        ([12, 20, 40, 40], CAT, 0.6), ([10, 24, 40, 52], CAT, 0.3), ([70, 30, 90, 70], CAT, 0.9)
    )
    seen = Seen(
        student=[own, found()],
        candidates=[own, found(([50, 10, 110, 70], DOG, 0.1))],
        crossed=[crossed, found()],
        teacher=[taught, second],
    )
    verdicts = diagnosis.sets["student"].verdicts
    traces = trace_objects(targets_of(truth), seen, student_threshold=0.5, teacher_threshold=0.5)
    lost = join_traces(
        verdicts, traces, np.array([0.25, 0.1, 0.5, 0.75]), crossed_threshold=0.5, chance=0.0
    )
    return {"student": lost}, {"student": seen}, ImageFiles(truth, tmp_path)


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_lost_object_with_every_place(case):
    gallery = lost_pictures(*case, "student", "head", teacher_threshold=0.5)
    assert gallery.text == (
        "1 object that the student gets wrong has the cause head: its maps show it, its head does "
        "not."
    )
    told = words(gallery.figure)
    assert any(word.startswith("head: ") and "cat, 30x20 px, a" in word for word in told)
    for expected in (
        "wrong class\ndog .80",
        "no box, needs .50",
        ".60, needs .50\nmaps .25 apart",
        ".90, needs .50",
    ):
        assert expected in told


def test_the_best_box_of_the_class_is_thick_and_others_are_thin(case):
    figure = lost_pictures(*case, "student", Cause.HEAD, teacher_threshold=0.5).figure
    layout = lay_out([[2, 1, 2, 1]])
    own = [10, 20, 40, 40]
    best, other = [12, 20, 40, 40], [10, 24, 40, 52]
    view = view_around(own, [[11, 20, 41, 40], best, [10, 21, 40, 41]], size=(80, 120))
    to_png(figure)
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)

    def bluer(box):
        """Bluest pixel across the lower side of a box in the panel of the teacher's head."""
        x1, _, x2, y2 = layout.place(0, 2, view, box)
        column, row = figure.axes[0].transData.transform(((x1 + x2) / 2, y2))
        across = drawn[len(drawn) - 1 - int(row) - 2 : len(drawn) - int(row) + 2, int(column)]
        return (across[:, 2] - across[:, 0] > 80).sum()

    assert bluer(best) >= 2
    assert 1 <= bluer(other) <= bluer(best)
    assert bluer([12, 20, 40, 35]) == 0


def test_a_box_that_lies_better_on_a_neighbour_shows_nothing():
    truth = made_diagnosis().inputs.truth
    every = torch.tensor([[10.0, 20, 40, 40], [18, 20, 48, 40]])
    boxes = found(([17, 20, 47, 40], CAT, 0.9), ([11, 20, 41, 40], CAT, 0.4))
    sight = sight_of(truth, 0, every, boxes, 0.5)
    assert sight.score == pytest.approx(0.4)
    assert sight.box.tolist() == [11, 20, 41, 40]
    assert sight.others.tolist() == [[17, 20, 47, 40]]
    alone = sight_of(truth, 0, every[:1], boxes, 0.5)
    assert alone.score == pytest.approx(0.9)


def test_two_causes_more(case):
    neck = lost_pictures(*case, "student", "neck", teacher_threshold=0.5)
    assert neck.total == 2
    assert [word.split(" (")[1] for word in words(neck.figure) if word.startswith("neck: ")] == [
        "dog, 60x60 px, b)", "cat, 12x12 px, b)"
    ]  # fmt: skip
    assert ".10, needs .50" in words(neck.figure)  # a candidate that scored too low
    paged = lost_pictures(*case, "student", "neck", teacher_threshold=0.5, count=1, first=1)
    assert sum(word.startswith("neck: ") for word in words(paged.figure)) == 1


def test_a_cause_without_objects_is_an_answer(case):
    gallery = lost_pictures(*case, "student", "suppressed", teacher_threshold=0.5)
    assert gallery.figures == ()
    assert gallery.text.startswith("No objects that the student gets wrong have the cause")
    with pytest.raises(KeyError):
        lost_pictures(*case, "student", "nms", teacher_threshold=0.5)
    with pytest.raises(KeyError):
        lost_pictures(*case, "gkd", "neck", teacher_threshold=0.5)


def test_missing_images_are_said(case, tmp_path):
    lost, seen, _ = case
    nowhere = ImageFiles(made_diagnosis().inputs.truth, tmp_path / "gone")
    gallery = lost_pictures(lost, seen, nowhere, "student", "head", teacher_threshold=0.5)
    assert gallery.figures == ()
    assert "2 of 2 image files are not in" in gallery.text
