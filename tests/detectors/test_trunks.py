from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FrozenBatchNorm2d

from kdviz.detectors.trunks import TRUNKS, build_trunk, freeze_batch_norm


@pytest.mark.parametrize("name", list(TRUNKS))
def test_stages_end_where_the_table_says(name):
    trunk = TRUNKS[name]
    with torch.device("meta"):
        body = IntermediateLayerGetter(build_trunk(name), {x: x for x in trunk.layers}).eval()
        maps = list(body(torch.zeros(1, 3, 128, 128)).values())
    assert tuple(values.shape[1] for values in maps) == trunk.channels
    assert [128 // values.shape[-1] for values in maps] == [4, 8, 16, 32]


@pytest.mark.parametrize("depth", [18, 50])
def test_halved_means_every_layer(depth):
    with torch.device("meta"):
        full, half = build_trunk(f"resnet{depth}"), build_trunk(f"resnet{depth}h")
    full_state = {k: v for k, v in full.state_dict().items() if not k.startswith("fc.")}
    half_state = half.state_dict()
    assert half_state.keys() == full_state.keys()
    for name, values in half_state.items():
        if values.ndim == 4:
            entering = 3 if name == "conv1.weight" else full_state[name].shape[1] // 2
            assert values.shape[:2] == (full_state[name].shape[0] // 2, entering)


def test_halved_computes_what_a_resnet_does():
    """With the same weights and widths, our layers in order are torchvision's forward."""
    torch.manual_seed(0)
    body = build_trunk("resnet18h").eval()
    x = torch.rand(1, 3, 64, 64)
    by_hand = body.maxpool(torch.relu(body.bn1(body.conv1(x))))
    for stage in (body.layer1, body.layer2, body.layer3, body.layer4):
        for block in stage:
            shortcut = by_hand if block.downsample is None else block.downsample(by_hand)
            inner = torch.relu(block.bn1(block.conv1(by_hand)))
            by_hand = torch.relu(block.bn2(block.conv2(inner)) + shortcut)
    torch.testing.assert_close(body(x), by_hand)


def test_frozen_statistics_give_the_same_map_and_stay():
    body = build_trunk("shufflenetv2x0.5")
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.weight.data.uniform_(0.5, 1.5)
    x = torch.rand(2, 3, 64, 64)
    expected = body.eval()(x)
    frozen = freeze_batch_norm(body).train()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    assert any(isinstance(module, FrozenBatchNorm2d) for module in frozen.modules())
    torch.testing.assert_close(frozen(x), expected)


def test_a_trunk_without_published_weights_says_so():
    with pytest.raises(ValueError, match="ImageNet weights of resnet50h"):
        build_trunk("resnet50h", imagenet=True)
