from dataclasses import replace

import pytest
import torch

from kdviz.detectors import build
from kdviz.detectors.candidates import FLOOR, Candidates, candidates_of, thresholds_of
from kdviz.detectors.parts import Pass, in_eval
from kdviz.runs.lessons import open_detector, open_lesson, scene_batch

FAMILIES = {
    "fcos": "fcos-shufflenetv2x0.5-c64",
    "retinanet": "retinanet-shufflenetv2x0.5-c32",
    "faster_rcnn": "fasterrcnn-shufflenetv2x0.5-c32",
    "ssd": "ssdlite-mobilenetv3-w0.35",
}


def random_output(family):
    """A detector, a batch of scenes that it resizes, and an output with scores all over [0, 1]."""
    torch.manual_seed(3)
    sizes = {} if family == "ssd" else {"min_size": 96, "max_size": 96}
    parts = build(FAMILIES[family], 9, **sizes)
    images, _ = scene_batch(2, 128)
    with in_eval(parts.model), torch.no_grad():
        batch = parts.preprocess(images)
        output = parts.head(parts.features(batch), batch)
    if family == "faster_rcnn":
        noise = torch.randn_like(output.extras["class_logits"])
        output = replace(output, extras=output.extras | {"class_logits": 2 * noise})
    else:
        output = replace(output, logits=torch.randn_like(output.logits) - 1)
    return parts, output, batch


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.scores, other.scores)
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("family", FAMILIES)
def test_own_thresholds_give_the_detectors_own_detections(family):
    parts, output, batch = random_output(family)
    own = thresholds_of(parts)
    expected = parts.detections(output, batch)
    assert sum(len(x.boxes) for x in expected) > 20  # or nothing is compared
    candidates = candidates_of(parts, output, batch)
    assert_same([x.detections(own.score, own.nms) for x in candidates], expected)
    assert thresholds_of(parts) == own


@pytest.mark.parametrize("family", ["fcos", "faster_rcnn"])
def test_other_thresholds_give_what_a_detector_built_with_them_finds(family):
    parts, output, batch = random_output(family)
    candidates = candidates_of(parts, output, batch)
    owner = parts.model.roi_heads if family == "faster_rcnn" else parts.model
    before = thresholds_of(parts)
    for score, nms in [(0.2, 0.3), (before.score, 0.8), (0.15, 0.95)]:
        owner.score_thresh, owner.nms_thresh = score, nms
        expected = parts.detections(output, batch)
        assert_same([x.detections(score, nms) for x in candidates], expected)


def test_a_trained_detector_on_scenes():
    lesson = open_lesson(None, count=2)
    parts, _ = open_detector("student")
    with torch.no_grad():
        seen = Pass(parts, parts.preprocess(lesson.images))
        expected = parts.detections(seen.output, seen.batch)
    own = thresholds_of(parts)
    candidates = candidates_of(parts, seen.output, seen.batch)
    assert_same([x.detections(own.score, own.nms) for x in candidates], expected)
    assert all(len(x.scores) > len(y.scores) for x, y in zip(candidates, expected, strict=True))
    assert min(float(x.scores.min()) for x in candidates) > FLOOR


def test_of_two_boxes_that_overlap_the_better_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 9]])
    found = Candidates(
        boxes, torch.tensor([0.9, 0.6, 0.5]), torch.tensor([1, 1, 2]), (20, 20), (40, 60), 100
    )
    assert found.detections(0.1, 0.7).labels.tolist() == [1, 2]
    assert found.detections(0.1, 0.85).labels.tolist() == [1, 1, 2]
    assert found.detections(0.55, 0.7).scores.tolist() == pytest.approx([0.9])
    assert found.detections(0.9, 0.7).boxes.shape == (0, 4)  # above, not at
    assert found.detections(0.8, 0.7).boxes.tolist() == [[0, 0, 30, 20]]


def test_thresholds_come_back_after_an_error():
    parts, _, batch = random_output("fcos")
    before = thresholds_of(parts)
    with pytest.raises(AttributeError):
        candidates_of(parts, None, batch)
    assert thresholds_of(parts) == before
