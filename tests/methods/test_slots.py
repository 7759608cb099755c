"""What is read from prediction slots, against the detectors' own losses and detections."""

import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import Pass
from kdviz.methods.slots import best_of_cells, decoded_boxes, slot_scores
from kdviz.structures import HeadOutput, Level, Pyramid


class TestScores:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [-1.0, 3.0], [0.0, 0.0]]])

    def output(self, score, background):
        boxes = torch.zeros(1, 4, 4)
        return HeadOutput(self.logits, boxes, (4,), score=score, background=background)

    def test_scores(self):
        assert_close(slot_scores(self.output("sigmoid", None)), self.logits.sigmoid())
        scores = slot_scores(self.output("softmax", 0))
        assert scores.shape == (1, 4, 1)
        assert_close(scores[0, :, 0], (self.logits[0, :, 1] - self.logits[0, :, 0]).sigmoid())

    def test_best_of_two_slots_in_each_cell(self):
        features = Pyramid((Level("p3", 8, torch.zeros(1, 5, 1, 2)),))
        values = torch.tensor([[1.0, 4.0, 3.0, 2.0]])
        best = best_of_cells(values, self.output("sigmoid", None), features)
        assert best.maps[0].tolist() == [[[[4.0, 3.0]]]]


@pytest.mark.parametrize("family", ["fcos", "retinanet", "ssdlite"])
def test_decoded_boxes_hold_every_detection(pair, batch_for, family, monkeypatch):
    teacher = pair(family)[1]
    monkeypatch.setattr(teacher.model, "score_thresh", 0.0)
    batch = batch_for(teacher)
    output = Pass(teacher, batch).output
    boxes = decoded_boxes(teacher, output)
    assert boxes.shape == output.boxes.shape
    height, width = batch.sizes[0]
    scale = torch.tensor([width, height] * 2) / torch.tensor([96, 64] * 2)
    limit = torch.tensor([width, height] * 2)
    clipped = torch.minimum(boxes[0].clamp(min=0), limit)
    found = teacher.detections(output, batch)[0].boxes * scale
    assert len(found) > 3
    gaps = torch.cdist(found, clipped, p=float("inf")).min(dim=1).values
    assert gaps.max() < 1e-2


def test_boxes_are_decoded_in_full_precision(pair, batch_for):
    teacher = pair("fcos")[1]
    output = Pass(teacher, batch_for(teacher)).output
    half = HeadOutput(
        output.logits, output.boxes.bfloat16(), output.slots, "sigmoid", extras=output.extras
    )
    centres = [(b[..., :2] + b[..., 2:]) / 2 for b in (decoded_boxes(teacher, half),)]
    anchors = torch.stack(output.extras["anchors"])
    assert centres[0].dtype == torch.float32
    assert (decoded_boxes(teacher, half) - decoded_boxes(teacher, output)).abs().max() < 1
    assert centres[0].shape == anchors[..., :2].shape
