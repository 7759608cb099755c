"""Losses of a whole batch at once are torchvision's, box by box, tie by tie."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close
from torchvision.models.detection._utils import Matcher
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from kdviz.detectors import batched_losses as module
from kdviz.detectors.assignment import matched_boxes
from kdviz.detectors.batched_losses import (
    PaddedTargets,
    assign_anchors,
    batched_losses,
    focal_loss,
    giou_loss,
)
from kdviz.structures import Batch

DENSE = ("fcos", "retinanet")
NOTHING = torch.zeros(0, 4)


def crowd(seed, count, size=96.0):
    """Boxes of all sizes, some of them twice and some with equal areas."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * size * 0.7
    side = 3 + torch.rand(count, 2, generator=generator) ** 2 * size
    boxes = torch.cat([corner, corner + side], dim=1)
    boxes[: count // 3] = boxes[count // 3 : 2 * (count // 3)]
    boxes[-1] = boxes[-2] + 4
    return boxes


def batch_of(parts, boxes, size=96):
    """A batch with these boxes, and what a young head says of it, in float64."""
    generator = torch.Generator().manual_seed(3)
    targets = tuple(
        {"boxes": each.double(), "labels": 1 + torch.arange(len(each)) % 4} for each in boxes
    )
    images = torch.rand(len(boxes), 3, size, size, generator=generator).double()
    batch = Batch(images, ((size, size),) * len(boxes), ((size, size),) * len(boxes), targets)
    output = parts.head(parts.features(batch), batch)
    noise = 2 * torch.randn(output.logits.shape, generator=generator).double()
    return batch, replace(
        output,
        logits=(output.logits + noise).detach().requires_grad_(),
        boxes=(output.boxes + noise[..., :4].relu() / 4).detach().requires_grad_(),
        extras={
            key: values.detach().requires_grad_() if key == "bbox_ctrness" else values
            for key, values in output.extras.items()
        },
    )


def leaves(output):
    return [output.logits, output.boxes, *(output.extras.get(k) for k in ("bbox_ctrness",))]


BOXES = {
    "crowded": [crowd(0, 12), crowd(1, 5)],
    "one empty": [crowd(0, 6), NOTHING, crowd(2, 2)],
    "all empty": [NOTHING, NOTHING],
    "outside every anchor": [torch.tensor([[300.0, 300.0, 310.0, 310.0]]), crowd(1, 4)],
    "one": [torch.tensor([[8.0, 8.0, 40.0, 40.0]])],
}


@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize("case", BOXES)
@pytest.mark.parametrize("at_once", [10**9, 1])
def test_losses_and_gradients_are_those_of_torchvision(family, case, at_once, small, monkeypatch):
    monkeypatch.setattr(module, "PAIRS", at_once)  # 1: one box after another
    parts = small(family)
    parts.model.double()
    batch, output = batch_of(parts, BOXES[case])
    batched = batched_losses(parts)
    assert batched != parts.losses
    found, expected = batched(output, batch), parts.losses(output, batch)
    assert_close(found, expected, rtol=1e-9, atol=1e-12)
    inputs = [x for x in leaves(output) if x is not None]
    for name, loss in expected.items():
        wanted = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
        got = torch.autograd.grad(found[name], inputs, retain_graph=True, allow_unused=True)
        for ours, theirs, values in zip(got, wanted, inputs, strict=True):
            zero = torch.zeros_like(values)
            ours, theirs = (zero if x is None else x for x in (ours, theirs))
            assert_close(ours, theirs, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("family", DENSE)
def test_in_float32_too(family, small, images, targets):
    parts = small(family)
    batch = parts.preprocess(images, targets)
    output = parts.head(parts.features(batch), batch)
    assert_close(
        batched_losses(parts)(output, batch), dict(parts.losses(output, batch)), rtol=2e-6, atol=0
    )


@pytest.mark.parametrize("family", DENSE)
def test_every_slot_has_the_box_that_torchvision_gives_it(family, small):
    parts = small(family)
    boxes = [crowd(seed, 15) for seed in range(4)] + [NOTHING]
    batch, output = batch_of(parts.__class__(parts.model.double()), boxes)
    truth = PaddedTargets.of(batch.targets)
    anchors = output.extras["anchors"][0]
    if family == "fcos":
        radius = parts.model.center_sampling_radius
        found = module.assign_points(anchors, truth, output.slots, radius)
    else:
        found = assign_anchors(anchors, truth, parts.model.proposal_matcher)
    each = [target["boxes"] for target in batch.targets]
    expected = matched_boxes(parts, output, each)
    assert torch.equal(found, expected)
    assert torch.equal(module.matched_at_once(parts, output, each), expected)
    assert set(found[:4].unique().tolist()) > {-1, 0}
    assert family == "fcos" or (found == -2).any()


def test_anchors_by_hand():
    """IoUs 1, 1/2, 1/3 and 0 with one box, thresholds .4 and .5 - and a box that nothing meets."""
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 30], [50, 50, 60, 60]])
    near, far = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[90.0, 90, 99, 99]])
    truth = PaddedTargets.of(
        [
            {"boxes": near, "labels": torch.tensor([1])},
            {"boxes": near[:0], "labels": torch.tensor([], dtype=torch.int64)},
            {"boxes": torch.cat([near, far]), "labels": torch.tensor([1, 2])},
        ]
    )
    strict = Matcher(0.6, 0.4, allow_low_quality_matches=False)
    assert assign_anchors(anchors, truth, strict)[:2].tolist() == [[0, -2, -1, -1], [-1] * 4]
    kind = Matcher(0.6, 0.4, allow_low_quality_matches=True)
    # A box that no anchor meets has all anchors for its best: torchvision's rule, kept as it is.
    assert assign_anchors(anchors, truth, kind)[2].tolist() == [0, 0, 0, 0]


def test_focal_loss_is_the_sum_over_the_classes():
    generator = torch.Generator().manual_seed(0)
    logits = 30 * torch.randn(2, 40, 5, generator=generator).double()
    logits.requires_grad_()
    labels = torch.randint(5, (2, 40), generator=generator)
    positive = torch.rand(2, 40, generator=generator) < 0.4
    one_hot = torch.nn.functional.one_hot(labels, 5) * positive[..., None]
    assert_close(
        focal_loss(logits, labels, positive),
        sigmoid_focal_loss(logits, one_hot.double()).sum(dim=2),
    )
    few = logits[:, :3].detach().clamp(-5, 5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda values: focal_loss(values, labels[:, :3], positive[:, :3]), few
    )


def test_giou_loss_of_boxes_apart_touching_and_without_area():
    found = crowd(0, 9).double()
    wanted = crowd(1, 9).double()
    found[0], wanted[0] = torch.tensor([[0, 0, 1, 1], [5, 5, 6, 6]])
    found[1], wanted[1] = torch.tensor([[0, 0, 2, 2], [2, 0, 4, 2]])
    found[2] = torch.tensor([3, 3, 3, 3])
    gradients = []
    for function in (giou_loss, generalized_box_iou_loss):
        values = found.clone().requires_grad_()
        loss = function(values, wanted)
        loss.sum().backward()
        gradients += [loss.detach(), values.grad]
    assert_close(gradients[:2], gradients[2:])
    assert_close(giou_loss(found[:1], wanted[:1]), torch.tensor([1 + 34 / 36]).double())


def test_what_is_not_torchvisions_own_keeps_its_losses(small):
    class Other(torch.nn.Module):
        pass

    for family in ("fasterrcnn", "ssdlite"):
        parts = small(family)
        assert batched_losses(parts) == parts.losses
    for family in DENSE:
        parts = small(family)
        parts.model.__class__ = type("Mine", (type(parts.model),), {})
        assert batched_losses(parts) == parts.losses
    parts = small("retinanet")
    parts.model.head.regression_head._loss_type = "giou"
    assert batched_losses(parts) == parts.losses


@pytest.mark.parametrize("family", DENSE)
def test_targets_are_needed(family, small, images):
    parts = small(family)
    batch = parts.preprocess(images)
    output = parts.head(parts.features(batch), batch)
    with pytest.raises(ValueError, match="losses need targets"):
        batched_losses(parts)(output, batch)
