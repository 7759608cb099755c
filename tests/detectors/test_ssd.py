from __future__ import annotations

import pytest
import torch

from kdviz.detectors import SSDParts, build


@pytest.fixture(scope="module")
def ssd300():
    torch.manual_seed(0)
    return build("ssd-vgg16", num_classes=3, score_thresh=0.0)


def test_ssd300_is_bit_equal(ssd300, images, targets):
    model = ssd300.model
    # The mode of a VGG without BatchNorm matters to torchvision's answer only.
    one, target = images[:1], [{**targets[0], "labels": torch.tensor([1, 2, 2])}]
    with torch.no_grad():
        batch = ssd300.preprocess(one, target)
        output = ssd300.head(ssd300.features(batch), batch)
        losses, found = ssd300.losses(output, batch), ssd300.detections(output, batch)
        expected = model.train()(one, target)
        detected = model.eval()(one)
    assert all(torch.equal(losses[name], expected[name]) for name in expected)
    assert torch.equal(found[0].boxes, detected[0]["boxes"])
    assert torch.equal(found[0].labels, detected[0]["labels"])


def test_ssd300_has_strides_that_differ(ssd300):
    assert [level.stride for level in ssd300.levels] == [8, 16, 32, 64, 128, 256]
    assert [level.channels for level in ssd300.levels] == [512, 1024, 512, 256, 256, 256]
    assert ssd300.input_format.fixed_size == (300, 300)
    assert ssd300.input_format.size_divisible == 1
    assert ssd300.num_classes == 3


def test_the_neck_is_the_identity_under_other_names(small, images):
    parts = small("ssdlite")
    assert isinstance(parts, SSDParts)
    parts.model.eval()
    batch = parts.preprocess(images)
    trunk = parts.trunk(batch)
    features = parts.neck(trunk)
    assert all(a is b for a, b in zip(trunk.maps, features.maps, strict=True))
    assert [level.name[0] for level in trunk.levels] == ["c"] * 6
    assert [level.name[0] for level in features.levels] == ["p"] * 6


def test_ssdlite_scores_are_a_softmax_with_background_first(small, images):
    parts = small("ssdlite")
    parts.model.eval()
    batch = parts.preprocess(images)
    features = parts.features(batch)
    output = parts.head(features, batch)
    assert output.score == "softmax"
    assert output.background == 0
    assert output.slots == tuple(n * n * 6 for n in (20, 10, 5, 3, 2, 1))
    assert [boxes.shape for boxes in parts.anchors(features, batch)] == [
        (n, n, 6, 4) for n in (20, 10, 5, 3, 2, 1)
    ]
