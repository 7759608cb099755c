"""DeFeat's masks and losses; the release's own masks are checked in ``test_fgfi.py``."""

import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import Pass
from kdviz.methods.defeat import DeFeat, box_masks, defeat_loss
from kdviz.methods.logits import softmax_divergence


def test_by_hand():
    student = torch.tensor([[1.0, 3.0], [2.0, 0.0]]).view(1, 2, 1, 2)  # errors 5 and 9
    mask = torch.tensor([True, False]).view(1, 1, 1, 2)
    losses = [
        defeat_loss(student=student, teacher=torch.zeros_like(student), mask=m).item()
        for m in (mask, ~mask)
    ]
    assert losses == [5 / 4, 9 / 4]


def test_an_empty_region_is_an_attached_zero():
    student = torch.randn(1, 2, 3, 3, requires_grad=True)
    mask = torch.zeros(1, 1, 3, 3, dtype=torch.bool)
    loss = defeat_loss(student=student, teacher=torch.zeros(1, 2, 3, 3), mask=mask)
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


def test_each_box_on_one_level(pair, batch_for):
    student = pair("retinanet")[0]
    batch = batch_for(student)
    masks = box_masks(Pass(student, batch).features, batch)
    # 32 x 32 px and 40 x 50 px are both below 224 px, the last size of the level of stride 8.
    assert masks.maps[0][0].any()
    assert not any(mask.any() for mask in masks.maps[1:])
    assert not any(mask[1].any() for mask in masks.maps)  # the image without boxes
    rows, columns = masks.maps[0][0, 0].nonzero().T
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        *((y, x) for y in range(1, 5) for x in range(1, 5)),
        *((y, x) for y in range(1, 7) for x in range(6, 11)),
    }


def test_mean_over_levels(pair, batch_for):
    student, teacher = pair("retinanet")
    method = DeFeat(student, teacher)
    batch = batch_for(student)
    seen, taught = Pass(student, batch), Pass(teacher, batch)
    told = method(seen, taught, batch)
    adapted = method.adapter(seen.features).at(8).map
    expected = defeat_loss(
        student=adapted, teacher=taught.features.at(8).map, mask=told.maps["mask"].at(8).map
    )
    assert_close(told.losses["defeat_foreground/p3"], expected / 5)


class TestProposals:
    def test_positives_and_negatives_apart(self, pair, batch_for):
        student, teacher = pair("fasterrcnn")
        batch = batch_for(student)
        seen = Pass(student, batch)
        losses = DeFeat(student, teacher)(seen, Pass(teacher, batch), batch).losses
        extras = seen.output.extras
        taught = teacher.head(
            Pass(teacher, batch).features, batch, proposals=extras["proposals"]
        ).extras["class_logits"]
        divergence = softmax_divergence(student=extras["class_logits"], teacher=taught)
        positive = torch.cat(extras["labels"]) > 0
        assert positive.any()
        assert_close(losses["defeat_positives"], divergence[positive].mean())
        assert_close(losses["defeat_negatives"], divergence[~positive].mean())

    def test_only_between_two_stages(self, pair, batch_for):
        student, teacher = pair("fasterrcnn", other="fcos")
        batch = batch_for(student)
        losses = DeFeat(student, teacher)(Pass(student, batch), Pass(teacher, batch), batch).losses
        assert not any(key.startswith(("defeat_positives", "defeat_negatives")) for key in losses)

    def test_other_classes_are_refused(self, pair, monkeypatch):
        student, teacher = pair("fasterrcnn")
        monkeypatch.setattr(teacher, "num_classes", 91)
        with pytest.raises(ValueError, match="4 classes and the teacher 91"):
            DeFeat(student, teacher)
