from __future__ import annotations

import torch

from kdviz.detectors import HasAnchors, logit_maps
from kdviz.detectors.dense import FCOSParts, RetinaNetParts


def raw_class_maps(parts, features):
    """What the class convolution says on each level, by hand."""
    head = parts.model.head.classification_head
    return [head.cls_logits(head.conv(values)) for values in features.maps]


def test_logit_maps_are_the_maps_of_the_class_convolution(small, images):
    for family in ("fcos", "retinanet"):
        parts = small(family)
        parts.model.eval()
        batch = parts.preprocess(images)
        features = parts.features(batch)
        maps = logit_maps(parts.head(features, batch), features)
        for ours, raw in zip(maps, raw_class_maps(parts, features), strict=True):
            assert torch.equal(ours, raw)


def test_fcos_says_everything_its_loss_needs(small, images):
    parts = small("fcos")
    assert isinstance(parts, FCOSParts)
    batch = parts.preprocess(images)
    output = parts.head(parts.features(batch), batch)
    slots = output.logits.shape[1]
    assert output.score == "sigmoid"
    assert output.background is None
    assert set(output.extras) == {"anchors", "bbox_ctrness"}
    assert output.extras["bbox_ctrness"].shape == (2, slots, 1)
    assert [each.shape for each in output.extras["anchors"]] == [(slots, 4)] * 2
    # Squares of the stride's side, centred on the point that a cell stands for.
    finest = output.extras["anchors"][0][: output.slots[0]]
    assert torch.equal(finest[:, 2:] - finest[:, :2], torch.full((len(finest), 2), 8.0))
    assert output.boxes.min() >= 0
    assert not isinstance(parts, HasAnchors)


def test_retinanet_has_nine_prior_boxes_a_cell(small, images):
    parts = small("retinanet")
    assert isinstance(parts, RetinaNetParts)
    batch = parts.preprocess(images)
    features = parts.features(batch)
    anchors = parts.anchors(features, batch)
    assert [boxes.shape[2] for boxes in anchors] == [9] * 5
    side = (anchors[0][0, 0, :, 2:] - anchors[0][0, 0, :, :2]).prod(dim=1).sqrt()
    assert side.min() > 30
    assert side.max() < 53
    assert set(parts.head(features, batch).extras) == {"anchors"}


def test_class_axis_counts_the_background(small):
    assert small("fcos").num_classes == 5
    assert small("retinanet").num_classes == 5


def test_a_backbone_that_overrides_forward_stays_in_one_piece():
    from torchvision.models import resnet18
    from torchvision.models.detection import FCOS
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    class Doubled(BackboneWithFPN):
        def forward(self, x):
            return {name: 2 * values for name, values in super().forward(x).items()}

    layers = {"layer2": "0", "layer3": "1", "layer4": "2"}
    backbone = Doubled(resnet18(), layers, [128, 256, 512], 32, extra_blocks=LastLevelP6P7(32, 32))
    parts = FCOSParts(FCOS(backbone, 3, min_size=64, max_size=64).eval())
    batch = parts.preprocess([torch.rand(3, 64, 64)])
    trunk = parts.trunk(batch)
    assert [level.name for level in trunk.levels] == ["c3", "c4", "c5", "c6", "c7"]
    expected = list(backbone(batch.images).values())
    for ours, theirs in zip(parts.neck(trunk).maps, expected, strict=True):
        assert torch.equal(ours, theirs)
