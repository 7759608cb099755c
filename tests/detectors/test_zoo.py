from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import WeightsEnum, mobilenet_v3_large, shufflenet_v2_x0_5
from torchvision.models import detection as torchvision_detection
from torchvision.ops import FrozenBatchNorm2d

from kdviz.detectors import build, detector_names
from kdviz.detectors.zoo import _COCO


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(values.shape) for name, values in model.state_dict().items()}


def all_equal(model: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    own = model.state_dict()
    return own.keys() == state.keys() and all(torch.equal(own[k], v) for k, v in state.items())


@pytest.fixture
def no_network(monkeypatch):
    """Published weights are made here instead: what torchvision would have downloaded."""

    def serve(make):
        torch.manual_seed(9)
        state = make().state_dict()
        monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: dict(state))
        return state

    return serve


def test_every_name_can_be_built():
    names = detector_names()
    assert len(names) == len(set(names)) == 3 * 16 + 2
    for family in ("fcos", "retinanet", "fasterrcnn"):
        # One family a backbone is enough: a family does not look into its backbone.
        assert f"{family}-resnext101" in names
    backbones = [name.split("-", 1)[1] for name in names if name.startswith("fcos")]
    families = ["fcos", "retinanet", "fasterrcnn"] * 6
    chosen = [f"{f}-{b}-c64" for f, b in zip(families, backbones, strict=False)]
    with torch.device("meta"):
        for name in [*chosen, "ssd-vgg16", "ssdlite-mobilenetv3"]:
            parts = build(name, num_classes=4)
            assert parts.num_classes == 4
            assert parts.loaded_tensors == (0, len(parts.model.state_dict()))
            assert all(each.requires_grad for each in parts.model.parameters())


@pytest.mark.parametrize(
    ("name", "builder"),
    [
        ("fcos-resnet50", torchvision_detection.fcos_resnet50_fpn),
        ("retinanet-resnet50", torchvision_detection.retinanet_resnet50_fpn),
        ("fasterrcnn-resnet50", torchvision_detection.fasterrcnn_resnet50_fpn),
        ("ssd-vgg16", torchvision_detection.ssd300_vgg16),
        ("ssdlite-mobilenetv3", torchvision_detection.ssdlite320_mobilenet_v3_large),
    ],
)
def test_published_models_have_torchvisions_own_tensors(name, builder):
    with torch.device("meta"):
        ours = build(name, num_classes=91)
        theirs = builder(weights=None, weights_backbone=None, num_classes=91)
    assert list(shapes(ours.model).items()) == list(shapes(theirs).items())
    assert str(ours.model) == str(theirs)


def test_ssdlite_starts_from_the_same_random_numbers_as_torchvision():
    torch.manual_seed(4)
    theirs = torchvision_detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    )
    torch.manual_seed(4)
    ours = build("ssdlite-mobilenetv3", num_classes=3).model
    assert all_equal(ours, theirs.state_dict())
    for name in ("score_thresh", "nms_thresh", "detections_per_img", "topk_candidates"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert str(ours.anchor_generator) == str(theirs.anchor_generator)
    assert str(ours.transform) == str(theirs.transform)


def test_width_is_that_of_pyramid_and_head():
    with torch.device("meta"):
        fcos = build("fcos-mobilenetv2-c64", num_classes=3)
        rcnn = build("fasterrcnn-resnet18-c64", num_classes=3)
    assert {level.channels for level in fcos.levels} == {64}
    assert fcos.model.head.classification_head.cls_logits.in_channels == 64
    assert rcnn.model.roi_heads.box_head.fc7.out_features == 256
    assert [level.name for level in rcnn.levels] == ["p2", "p3", "p4", "p5", "p6"]


def test_sizes_and_options_reach_the_model():
    parts = build(
        "fcos-shufflenetv2x0.5-c64", 3, min_size=(96, 128), max_size=256, score_thresh=0.07
    )
    assert parts.input_format.min_size == (96, 128)
    assert parts.input_format.max_size == 256
    assert parts.input_format.mean == (0.485, 0.456, 0.406)
    assert parts.model.score_thresh == 0.07
    with torch.device("meta"):
        default = build("fcos-shufflenetv2x0.5-c64", 3).input_format
    assert (default.min_size, default.max_size, default.size_divisible) == ((800,), 1333, 32)
    assert default.fixed_size is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fcos-resnt18-c64", r"did you mean 'fcos-resnet18'\? .*'retinanet'.*'vgg16'.* c64"),
        ("FCOS-ResNet18", "did you mean 'fcos-resnet18'"),
        ("yolo", r"unknown detector 'yolo'; a name is <family>-<backbone>"),
        ("fcos-resnet18-c0", "unknown detector"),
        ("fcos-resnet18-c48", "take c64$"),
        ("fcos-resnet18-c8", "take c64$"),
        ("ssd-resnet18", "ssd comes on vgg16 only; use 'ssd-vgg16'"),
        ("ssdlite-vgg16", "ssdlite comes on mobilenetv3 only"),
        ("ssd-vgg16-c64", "ssd has no feature pyramid"),
        ("fcos-resnet18-w0.5", "only ssdlite-mobilenetv3 takes -w"),
    ],
)
def test_names_that_cannot_be_are_explained(name, message):
    with pytest.raises(ValueError, match=message):
        build(name, num_classes=3)


def test_other_impossible_wishes_are_explained():
    with pytest.raises(ValueError, match="at least 2, not 1"):
        build("fcos-resnet18-c64", num_classes=1)
    with pytest.raises(ValueError, match="one fixed size; leave out min_size"):
        build("ssd-vgg16", num_classes=3, min_size=128)
    with pytest.raises(ValueError, match="weights='imagnet' is none of None, 'imagenet'"):
        build("fcos-resnet18-c64", num_classes=3, weights="imagnet")
    with pytest.raises(ValueError, match="no COCO weights for fcos-resnet18 of this width"):
        build("fcos-resnet18", num_classes=91, weights="coco")
    with pytest.raises(ValueError, match="no COCO weights for fcos-resnet50 of this width"):
        build("fcos-resnet50-c128", num_classes=91, weights="coco")
    with pytest.raises(ValueError, match="have 91 classes, not 4"):
        build("ssd-vgg16", num_classes=4, weights="coco")
    with pytest.raises(ValueError, match="ImageNet weights exist for ssdlite-mobilenetv3 only"):
        build("ssdlite-mobilenetv3-w0.5", num_classes=4, weights="imagenet")
    with pytest.raises(FileNotFoundError, match=r"no weights at nowhere\.pth"):
        build("fcos-resnet18-c64", num_classes=3, weights="nowhere.pth")


def test_imagenet_fills_the_body_and_freezes_its_statistics(no_network, tmp_path):
    published = no_network(shufflenet_v2_x0_5)
    parts = build("retinanet-shufflenetv2x0.5-c8", num_classes=3, weights="imagenet")
    body = parts.model.backbone.body.state_dict()
    assert body
    assert all(torch.equal(values, published[name]) for name, values in body.items())
    assert parts.loaded_tensors == (len(body), len(parts.model.state_dict()))
    kinds = {type(module) for module in parts.model.modules()}
    assert FrozenBatchNorm2d in kinds
    assert nn.BatchNorm2d not in kinds

    path = tmp_path / "student.safetensors"
    save_file(parts.model.state_dict(), path)
    again = build("retinanet-shufflenetv2x0.5-c8", num_classes=3, weights=path)
    assert FrozenBatchNorm2d in {type(module) for module in again.model.modules()}
    assert all_equal(again.model, parts.model.state_dict())


def test_ssdlite_keeps_the_full_tail_of_imagenet_through_a_file(no_network, tmp_path):
    published = no_network(mobilenet_v3_large)
    parts = build("ssdlite-mobilenetv3", num_classes=3, weights="imagenet")
    stem = parts.model.backbone.features[0][0][0].weight
    assert torch.equal(stem, published["features.0.0.weight"])
    trained = sum(name.startswith("backbone.features.") for name in parts.model.state_dict())
    assert parts.loaded_tensors == (trained, len(parts.model.state_dict()))
    assert parts.levels[1].channels == 960
    path = tmp_path / "student.safetensors"
    save_file(parts.model.state_dict(), path)
    assert all_equal(build("ssdlite-mobilenetv3", 3, path).model, parts.model.state_dict())
    small = build("ssdlite-mobilenetv3", 3)
    save_file(small.model.state_dict(), path)
    assert build("ssdlite-mobilenetv3", 3, path).levels[1].channels == 480


def test_coco_is_the_whole_published_detector(no_network):
    published = no_network(
        lambda: torchvision_detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=91
        )
    )
    parts = build("ssdlite-mobilenetv3", num_classes=91, weights="coco")
    assert all_equal(parts.model, published)
    assert parts.loaded_tensors == (len(published), len(published))
    assert all(each.requires_grad for each in parts.model.parameters())
    assert set(_COCO) <= set(detector_names())


def test_a_pyramid_without_images_of_a_size_it_was_built_for():
    """At 64 pixels P6 and P7 have one cell each, and a step still trains."""
    parts = build("retinanet-shufflenetv2x0.5-c8", num_classes=3, min_size=64, max_size=64)
    parts.model.train()
    target = {"boxes": torch.tensor([[4.0, 4.0, 50.0, 50.0]]), "labels": torch.tensor([1])}
    batch = parts.preprocess([torch.rand(3, 64, 64)] * 2, [target] * 2)
    features = parts.features(batch)
    assert [values.shape[-1] for values in features.maps] == [8, 4, 2, 1, 1]
    losses = parts.losses(parts.head(features, batch), batch)
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())
