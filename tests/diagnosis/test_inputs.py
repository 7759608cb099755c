import json
import math

import numpy as np
import pytest
from made_sets import coco, results

from kdviz.diagnosis.inputs import read_inputs

OBJECT = (1, 1, (10.0, 10.0, 40.0, 40.0))
GOOD = (1, 1, 0.5, (10.0, 10.0, 40.0, 40.0))


def refusal(*boxes, **sets):
    with pytest.raises(ValueError) as told:  # noqa: PT011  # the caller looks at the message
        read_inputs(coco([OBJECT]), **({"student": results(boxes)} if boxes else sets))
    return str(told.value)


def test_sets_come_in_the_order_of_their_roles_and_keep_the_order_of_their_files(tmp_path):
    boxes = results([GOOD, (2, 3, 0.25, (0, 0, 5, 5)), (1, 2, 0.75, (1, 2, 3, 4))])
    file = tmp_path / "detections.json"
    file.write_text(json.dumps(boxes))
    inputs = read_inputs(
        coco([OBJECT]), mine=boxes, distilled=file, student=boxes[:1], teacher=str(file)
    )
    assert list(inputs.detections) == ["student", "teacher", "distilled", "mine"]
    for name in ("distilled", "mine"):
        found = inputs.detections[name]
        assert found.scores.tolist() == [0.5, 0.25, 0.75]
        assert found.image.tolist() == [0, 1, 0]
        assert found.category.tolist() == [0, 2, 1]
        assert found.boxes[2].tolist() == [1, 2, 3, 4]
    assert inputs.truth.object_ids.tolist() == [11]
    assert inputs.truth.file_names == ("1.png", "2.png")
    assert inputs.truth.image_sizes.tolist() == [[100, 100], [100, 100]]


def test_columns_of_images_follow_the_rising_ids():
    record = coco([OBJECT])
    record["images"] = [
        {"id": 9, "width": 30, "height": 20, "file_name": "b"},
        {"id": 1, "width": 100, "height": 80, "file_name": "a"},
        {"id": 4},
    ]
    truth = read_inputs(record, student=results([GOOD])).truth
    assert truth.image_ids.tolist() == [1, 4, 9]
    assert truth.file_names == ("a", "", "b")
    np.testing.assert_array_equal(truth.image_sizes, [[100, 80], [math.nan] * 2, [30, 20]])


@pytest.mark.parametrize("ids", [[None, 5], [7, 7], ["a", 3]])
def test_objects_without_ids_of_their_own_are_numbered(ids):
    record = coco([OBJECT, OBJECT])
    for annotation, value in zip(record["annotations"], ids, strict=True):
        annotation["id"] = value
    assert read_inputs(record, student=results([GOOD])).truth.object_ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((9, 1, 0.5, (1, 1, 2, 2)), "1: image_id is not in the annotations: [1] 9"),
        ((1, 9, 0.5, (1, 1, 2, 2)), "1: category_id is not in the annotations: [1] 9"),
        ((1, 1, 1.5, (1, 1, 2, 2)), "1: score is not in [0, 1]: [1] 1.5"),
        ((1, 1, math.nan, (1, 1, 2, 2)), "1: score is not in [0, 1]: [1] nan"),
        ((1, 1, 0.5, (1, math.nan, 2, 2)), "1: bbox is not finite: [1]"),
        ((1, 1, 0.5, (101, 1, 2, 2)), "1: bbox lies outside its image: [1] [101.0"),
        ((1, 1, 0.5, (1, -9, 2, 8)), "1: bbox lies outside its image: [1] [1.0, -9.0"),
        ((1, 1, 0.5, (80, 70, 95, 90)), "1: bbox ends more than half an image outside"),
    ],
)
def test_what_cannot_be_diagnosed_is_counted_and_named(box, message):
    told = refusal(GOOD, box)
    assert told.startswith("student: 1 of 2 detections cannot be evaluated")
    assert message in told


def test_one_message_tells_of_every_mistake_in_every_set():
    told = refusal(
        student=results([(9, 1, 0.5, (1, 1, 2, 2)), (1, 1, 2.0, (200, 1, 2, 2)), GOOD]),
        teacher=[],
        distilled=results([GOOD]),
        other=results([(1, 1, 0.5, (1, 2, math.inf, 4))] * 5),
    )
    for part in (
        "student: 2 of 3 detections",
        "1: image_id is not",
        "1: score is not",
        "1: bbox lies outside",
        "teacher: there are no detections",
        "other: 5 of 5 detections",
        "5: bbox is not finite: [0]",
        ", ...",
    ):
        assert part in told
    assert "distilled" not in told


def test_boxes_over_the_edge_and_flat_boxes_are_noted_and_kept():
    inputs = read_inputs(
        coco([OBJECT, (1, 1, (150, 0, 5, 5))], images=5),
        student=results([GOOD, (1, 1, 0.5, (70, 0, 45, 10)), (1, 1, 0.5, (0, 0, 0, 0))]),
    )
    assert len(inputs.detections["student"].scores) == 3
    notes = "\n".join(inputs.notes)
    assert "student: 1 boxes stick out of their image, by up to 15 pixels" in notes
    assert "student: 1 detections have no width" in notes
    assert "student: 4 of 5 images have no detections" in notes
    assert "1 annotated boxes lie outside their image, first ids [12]" in notes


def test_images_of_unknown_size_hold_any_box():
    record = coco([OBJECT])
    record["images"] = [{"id": 1}, {"id": 2}]
    read_inputs(record, student=results([(1, 1, 0.5, (900, 900, 5, 5))]))


def test_the_number_of_sets_is_checked():
    assert "1 to 4 sets" in refusal()
    many = {name: results([GOOD]) for name in "abcde"}
    assert "there are 5" in refusal(**many)
    with pytest.raises(ValueError, match="hold no object to find"):
        read_inputs(coco([(*OBJECT, True)]), student=results([GOOD]))


def test_relative_boxes_are_refused_and_tiny_ones_are_not():
    relative = results([(1, 1, 0.5, (0.1, 0.2, 0.3, 0.8)), (2, 1, 0.5, (0.0, 0.0, 1.0, 1.0))])
    told = refusal(student=relative)
    assert "2: bbox lies in the first pixel of its image: [0] [0.1, 0.2, 0.3, 0.8]" in told
    assert told.endswith("are these shares of its size?")
    for other in ((-3, -3, 3, 3), (30, 30, 1, 1), (0, 0, 2, 2)):
        read_inputs(coco([OBJECT]), student=relative + results([(1, 1, 0.5, other)]))
    flat = results([(1, 1, 0.5, (0, 0, 0, 0))])
    read_inputs(coco([OBJECT]), student=flat)


def test_one_file_under_two_names_is_noted():
    good, other = results([GOOD]), results([(1, 1, 0.25, (10, 10, 40, 40))])
    notes = read_inputs(coco([OBJECT]), student=good, teacher=other, distilled=list(good)).notes
    told = [note for note in notes if "same detections" in note]
    assert told == ["student and distilled hold the same detections; is one file given twice?"]


@pytest.mark.parametrize(
    ("box", "advice"),
    [
        ((9, 1, 0.5, (1, 1, 2, 2)), "there are 2 from 1 to 2; are both of the same split?"),
        ((1, 1, 0.5, (101, 1, 2, 2)), "of the original image; are these of another image size?"),
        ((1, 1, 0.5, (80, 70, 95, 90)), "are these x1, y1, x2, y2, or of another image size?"),
    ],
)
def test_a_message_says_what_was_expected(box, advice):
    assert refusal(GOOD, box).endswith(advice)


def test_files_of_the_wrong_kind_are_refused(tmp_path):
    truth, found, folder = (tmp_path / name for name in ("truth.json", "found.json", "folder"))
    truth.write_text(json.dumps(coco([OBJECT])))
    found.write_text(json.dumps(results([GOOD])))
    folder.mkdir()
    for annotations, student, message in [
        (truth, truth, r"truth.json must be a list of .* are these the annotations\?"),
        (found, found, r"found.json must be an object .* are these detections\?"),
        (found, truth, r"found.json must be an object .* are these detections\?"),
        (truth, tmp_path / "none.json", "there is no file .*none.json"),
        (truth, folder, "folder is a folder; name a file in it"),
    ]:
        with pytest.raises((ValueError, OSError), match=message):
            read_inputs(annotations, student=student)
