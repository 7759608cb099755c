"""A worked example: a detector of one's own, seen in parts and trained for a step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdviz.detectors import CustomParts, DetectorParts, Pass, freeze, logit_maps, parts_of
from kdviz.structures import Batch, Detection, HeadOutput, Level, Pyramid

STRIDE = 8


class Centres(nn.Module):
    """Each cell says which class has its centre here, and how large the box is."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1)
        )
        self.classes = nn.Conv2d(16, num_classes, 1)
        self.sizes = nn.Conv2d(16, 4, 1)


def centre_parts(model: Centres) -> CustomParts:
    """The five functions, each a few lines."""

    def preprocess(images, targets=None) -> Batch:
        sizes = tuple((image.shape[1], image.shape[2]) for image in images)
        return Batch(torch.stack(list(images)), sizes, sizes, targets and tuple(targets))

    def features(batch: Batch) -> Pyramid:
        return Pyramid((Level("p3", STRIDE, model.body(batch.images)),))

    def head(features: Pyramid, batch: Batch) -> HeadOutput:
        values = features.at(STRIDE).map
        logits = model.classes(values).flatten(2).mT
        boxes = model.sizes(values).flatten(2).mT
        return HeadOutput(logits, boxes, (logits.shape[1],), "sigmoid")

    def losses(output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
        wanted, columns = torch.zeros_like(output.logits), batch.images.shape[-1] // STRIDE
        for image, target in enumerate(batch.targets or ()):
            centre = (target["boxes"][:, :2] + target["boxes"][:, 2:]) / (2 * STRIDE)
            cell = centre.long() @ torch.tensor([1, columns])
            wanted[image, cell, target["labels"]] = 1
        return {"centres": functional.binary_cross_entropy_with_logits(output.logits, wanted)}

    def detections(output: HeadOutput, batch: Batch) -> list[Detection]:
        columns, found = batch.images.shape[-1] // STRIDE, []
        for scores, sides in zip(output.logits.sigmoid(), output.boxes.exp(), strict=True):
            best, cell = scores.max(dim=0)[0], scores.argmax(dim=0)
            centre = torch.stack([cell % columns, cell // columns], dim=1) * STRIDE
            half = sides[cell, :2] / 2
            order = best.argsort(descending=True)
            boxes = torch.cat([centre - half, centre + half], dim=1)
            found.append(Detection(boxes[order], best[order], order))
        return found

    return CustomParts(
        model,
        preprocess=preprocess,
        features=features,
        head=head,
        losses=losses,
        detections=detections,
        num_classes=3,
    )


@pytest.fixture
def scene():
    images = [torch.rand(3, 64, 96), torch.rand(3, 64, 96)]
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    targets = [
        {"boxes": boxes, "labels": torch.tensor([2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    return images, targets


def test_an_own_detector_trains(scene):
    parts = centre_parts(Centres())
    optimiser = torch.optim.SGD(parts.model.parameters(), lr=1.0)
    batch = parts.preprocess(*scene)
    history = []
    for _ in range(2):
        loss = parts.losses(parts.head(parts.features(batch), batch), batch)["centres"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[1] < history[0]


def test_an_own_detector_is_a_detector_like_any_other(scene):
    parts = centre_parts(Centres())
    assert isinstance(parts, DetectorParts)
    assert parts_of(parts) is parts
    assert [(x.name, x.stride, x.channels) for x in parts.levels] == [("p3", 8, 16)]
    assert parts.trunk_levels == parts.levels
    assert parts.input_format is None
    passed = Pass(freeze(parts), parts.preprocess(*scene))
    assert logit_maps(passed.output, passed.features)[0].shape == (2, 3, 8, 12)
    found = parts.detections(passed.output, passed.batch)
    assert [each.boxes.shape for each in found] == [(3, 4), (3, 4)]
    assert not parts.model.training


def test_levels_are_measured_in_whatever_mode_and_leave_it(scene):
    parts = centre_parts(Centres())
    parts.model.body.eval()
    _ = parts.levels
    assert parts.model.training
    assert not parts.model.body.training


def test_without_a_head_only_features_are_given(scene):
    full = centre_parts(Centres())
    parts = CustomParts(
        full.model, preprocess=full.preprocess, features=full.features, num_classes=3
    )
    batch = parts.preprocess(*scene)
    assert parts.features(batch).strides == [8]
    output = full.head(parts.features(batch), batch)
    for verb, call in {
        "head": lambda: parts.head(parts.features(batch), batch),
        "losses": lambda: parts.losses(output, batch),
        "detections": lambda: parts.detections(output, batch),
    }.items():
        with pytest.raises(NotImplementedError, match=f"Centres was made without {verb}="):
            call()
