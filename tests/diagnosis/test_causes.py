"""Slices of a gap that is put where we know it."""

import numpy as np
import pytest

from kdviz.diagnosis.bootstrap import draw_images
from kdviz.diagnosis.causes import closing_factors, find_causes, stands
from kdviz.diagnosis.errors import type_boxes
from kdviz.diagnosis.verdicts import verdicts
from kdviz.engine.coco_input import examine_detections, read_annotations

IMAGES = 80


@pytest.fixture(scope="module")
def made():
    """One object an image; the student misses the blurred half, distillation mends every second."""
    record = {
        "images": [{"id": i, "width": 100, "height": 100} for i in range(IMAGES)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [10, 10, 30, 30]}
            for i in range(IMAGES)
        ],
    }
    truth = read_annotations(record)
    blur = np.arange(IMAGES) % 2 * 2.0
    luck = np.arange(IMAGES) // 2 % 2 * 1.0
    finds = {
        "student": blur == 0,
        "teacher": np.ones(IMAGES, bool),
        "distilled": (blur == 0) | (luck == 1),
    }
    judged = {}
    for role, found in finds.items():
        results = [
            {"image_id": i, "category_id": 1, "bbox": [10, 10, 30, 30], "score": 0.9}
            for i in np.flatnonzero(found).tolist()
        ]
        boxes, _ = examine_detections(results, truth)
        judged[role] = verdicts(type_boxes(truth, boxes), 0.5)
    factors = {"noise": np.random.default_rng(3).random(IMAGES), "blur": blur, "same": blur * 0}
    return factors, judged, draw_images(IMAGES, draws=400)


def test_the_factor_that_makes_the_gap_comes_first(made):
    findings = find_causes(*made)
    assert [finding.factor for finding in findings] == ["blur", "noise"]  # one slice is none
    blur, noise = findings
    assert blur.contrast.value == 1.0
    assert stands(blur.contrast)
    assert not stands(noise.contrast)


def test_slices_of_the_gap(made):
    weak, strong = find_causes(*made)[0].slices
    assert (weak.slice.name, strong.slice.name) == ("zero", "present")
    assert len(weak.objects) == len(strong.objects) == IMAGES // 2
    assert weak.recall["student"].value == 1.0
    assert strong.recall["student"].value == 0.0
    assert (weak.gap.value, strong.gap.value) == (0.0, 1.0)
    assert (weak.explains.value, strong.explains.value) == (0.0, 1.0)
    assert strong.gain.value == strong.closed.value == 0.5
    assert np.isnan(weak.closed.value)


def test_explained_shares_sum_to_one(made):
    for finding in find_causes(*made):
        assert sum(part.explains.value for part in finding.slices) == pytest.approx(1)


def test_what_distillation_helped(made):
    assert closing_factors(find_causes(*made)) == ["blur"]


def test_without_a_teacher(made):
    factors, judged, resamples = made
    only = {role: judged[role] for role in ("student", "distilled")}
    finding = next(x for x in find_causes(factors, only, resamples) if x.factor == "blur")
    assert finding.contrast is None
    assert finding.slices[1].gap is None
    assert finding.slices[1].closed is None
    assert finding.gain_contrast.value == 0.5


def test_an_interval_of_known_width(made):
    """Half of 40 objects mended: the standard error of the gain is .5 / sqrt(40)."""
    strong = find_causes(*made)[0].slices[1]
    low, high = strong.gain.interval()
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 40**0.5, rel=0.3)


def test_nothing_to_compare(made):
    with pytest.raises(ValueError, match="at least one"):
        find_causes(made[0], {}, made[2])
