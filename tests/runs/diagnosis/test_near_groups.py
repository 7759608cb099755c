import numpy as np
import pytest

from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.groups import grouped_boxes
from kdviz.diagnosis.inputs import read_inputs
from kdviz.runs.diagnosis.image_files import ImageFiles
from kdviz.runs.diagnosis.near_groups import group_outcomes, group_pictures

PAIR = ([10, 10, 20, 20], [32, 10, 20, 20])  # 2 pixels apart
AROUND = [10, 10, 42, 20]


def entries(*found):
    return [
        {"image_id": image, "category_id": 1, "bbox": box, "score": 0.9} for image, box in found
    ]


@pytest.fixture
def diagnosis():
    """Three images with a pair each: parted on the first, still one on the second, now one."""
    record = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in (1, 2, 3)
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 10 * i + k, "image_id": i, "category_id": 1, "bbox": box}
            for i in (1, 2, 3)
            for k, box in enumerate(PAIR)
        ],
    }
    own = [(i, box) for i in (1, 2, 3) for box in PAIR]
    student = entries((1, AROUND), (2, AROUND), *own[4:])
    distilled = entries(*own[:2], (2, AROUND), (3, AROUND))
    inputs = read_inputs(record, student=student, distilled=distilled)
    return diagnose(inputs, thresholds=0.5, draws=5)


@pytest.fixture
def groups(diagnosis):
    return {name: grouped_boxes(one.verdicts) for name, one in diagnosis.sets.items()}


def test_groups_are_sorted_by_what_distillation_did(groups):
    assert group_outcomes(groups) == {"parted": [0], "still one": [1], "now one": [2]}


def test_one_detector_has_one_outcome(groups):
    assert group_outcomes({"student": groups["student"]}) == {"drawn as one": [0, 1]}


def test_each_outcome_has_its_picture(diagnosis, groups, tmp_path):
    from PIL import Image

    for i in (1, 2, 3):
        Image.new("RGB", (64, 48), (60 * i, 90, 30)).save(tmp_path / f"{i}.png")
    images = ImageFiles(diagnosis.inputs.truth, tmp_path)
    gallery = group_pictures(diagnosis, groups, images)
    assert gallery.text.startswith(
        "3 groups of near objects are drawn as one by some detector: 1 parted, 1 still one, 1 now"
    )
    assert (gallery.total, gallery.shown, len(gallery.figures)) == (3, 3, 3)
    for figure, red in zip(gallery.figures, (60, 120, 180), strict=True):
        pixels = np.asarray(figure.axes[0].images[0].get_array())
        assert pixels[0, 0, 0] == red


def test_without_images_the_sentence_is_left(diagnosis, groups, tmp_path):
    gallery = group_pictures(diagnosis, groups, ImageFiles(diagnosis.inputs.truth, tmp_path))
    assert gallery.figures == ()
    assert "3 cannot be shown: 3 of 3 image files are not in" in gallery.text
