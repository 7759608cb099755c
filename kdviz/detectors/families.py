"""Each family's model, put together from torchvision's own classes with their own defaults."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    LastLevelMaxPool,
    LastLevelP6P7,
)

from kdviz.detectors.parts import in_eval
from kdviz.detectors.trunks import Trunk


def fcos(
    body: nn.Module, trunk: Trunk, width: int, num_classes: int, **options: Any
) -> detection.FCOS:
    """FCOS on P3 to P7; its head normalises in 32 groups, of at least two channels each.

    Detections start at a score of 0.05 as in the other families; torchvision's 0.2 hides most of
    what a weak student says.
    """
    pyramid = _pyramid(body, trunk, width, first=3, extra=LastLevelP6P7(width, width))
    return detection.FCOS(pyramid, num_classes, **({"score_thresh": 0.05} | options))


def retinanet(
    body: nn.Module, trunk: Trunk, width: int, num_classes: int, prior: int = 4, **options: Any
) -> detection.RetinaNet:
    """RetinaNet on P3 to P7, prior boxes of ``prior`` strides, three octaves and shapes of each."""
    pyramid = _pyramid(body, trunk, width, first=3, extra=LastLevelP6P7(width, width))
    sizes = [prior * stride for stride in (8, 16, 32, 64, 128)]
    octaves = tuple((side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))) for side in sizes)
    generator = AnchorGenerator(octaves, ((0.5, 1.0, 2.0),) * len(sizes))
    return detection.RetinaNet(pyramid, num_classes, **({"anchor_generator": generator} | options))


def faster_rcnn(
    body: nn.Module, trunk: Trunk, width: int, num_classes: int, prior: int = 8, **options: Any
) -> detection.FasterRCNN:
    """Faster R-CNN on P2 to P6, prior boxes of ``prior`` strides in three shapes.

    The RoI stage has hidden layers of 4 * ``width``.
    """
    pyramid = _pyramid(body, trunk, width, first=2, extra=LastLevelMaxPool())
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=2)
    _settle_scales(pool)
    sizes = tuple((prior * stride,) for stride in (4, 8, 16, 32, 64))
    generator = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    options = {"rpn_anchor_generator": generator} | options
    return detection.FasterRCNN(
        pyramid,
        box_roi_pool=pool,
        box_head=TwoMLPHead(width * 7 * 7, 4 * width),
        box_predictor=FastRCNNPredictor(4 * width, num_classes),
        **options,
    )


def ssd(imagenet: bool, num_classes: int, **options: Any) -> SSD:
    """SSD300 on VGG16."""
    return detection.ssd300_vgg16(
        weights_backbone=models.VGG16_Weights.IMAGENET1K_FEATURES if imagenet else None,
        trainable_backbone_layers=5 if imagenet else None,
        num_classes=num_classes,
        **options,
    )


def ssdlite(
    imagenet: bool, num_classes: int, *, multiplier: float, full_tail: bool, **options: Any
) -> SSD:
    """SSDlite320 on MobileNetV3-Large, as ``ssdlite320_mobilenet_v3_large`` puts it together.

    Args:
        imagenet: start from ImageNet weights, which only the full tail has.
        num_classes: foreground classes + 1.
        multiplier: of all channels of the backbone; 1 for ImageNet weights.
        full_tail: all channels in the last stage, as ImageNet's network has, or half of them, as
            torchvision does otherwise. Its own function leaves no choice, but a model that began
            with ImageNet weights must be rebuilt from a file too.
        **options: passed to `SSD`.
    """
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    network = models.mobilenet_v3_large(
        weights=models.MobileNet_V3_Large_Weights.IMAGENET1K_V1 if imagenet else None,
        reduced_tail=not full_tail,
        width_mult=multiplier,
        norm_layer=norm,
    )
    if not imagenet:
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.03)
    last_strided = [i for i, block in enumerate(network.features) if getattr(block, "_is_cn", 0)][
        -1
    ]
    backbone = SSDLiteFeatureExtractorMobileNet(network.features, last_strided, norm)
    generator = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    size = (320, 320)
    with in_eval(backbone), torch.no_grad():
        blank = torch.zeros(1, 3, *size, device=next(backbone.parameters()).device)
        channels = [values.shape[1] for values in backbone(blank).values()]
    defaults = {
        "score_thresh": 0.001,
        "nms_thresh": 0.55,
        "detections_per_img": 300,
        "topk_candidates": 300,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    head = SSDLiteHead(channels, generator.num_anchors_per_location(), num_classes, norm)
    return SSD(backbone, generator, size, num_classes, head=head, **(defaults | options))


def _pyramid(
    body: nn.Module, trunk: Trunk, width: int, *, first: int, extra: ExtraFPNBlock
) -> BackboneWithFPN:
    layers, channels = trunk.layers[first - 2 :], trunk.channels[first - 2 :]
    names = {layer: str(index) for index, layer in enumerate(layers)}
    return BackboneWithFPN(body, names, list(channels), width, extra_blocks=extra)


def _settle_scales(pool: MultiScaleRoIAlign) -> None:
    # torchvision guesses the strides from the first images that it sees, padding not counted, and
    # keeps the guess: images of 40 pixels padded to 64 would halve every stride for ever.
    with torch.device("cpu"):
        maps = {str(i): torch.zeros(1, 1, 64 >> i, 64 >> i) for i in range(4)}
        pool(maps, [torch.zeros(0, 4)], [(256, 256)])
