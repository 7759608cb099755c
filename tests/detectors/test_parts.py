from __future__ import annotations

import pytest
import torch
from torch import nn

from kdviz.detectors import freeze, in_eval
from kdviz.detectors.parts import name_maps, select_maps
from kdviz.structures import LevelInfo

LEVELS = (LevelInfo("p3", 8, 4), LevelInfo("p4", 16, 4))


def test_maps_are_named_in_order():
    maps = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 4, 4)]
    pyramid = name_maps(maps, LEVELS)
    assert [(level.name, level.stride) for level in pyramid.levels] == [("p3", 8), ("p4", 16)]
    assert all(a is b for a, b in zip(pyramid.maps, maps, strict=True))
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        name_maps(maps[:1], LEVELS)


def test_maps_are_selected_by_stride_not_by_name():
    other = (LevelInfo("c3", 8, 4), LevelInfo("c4", 16, 4))
    maps = [torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 4, 4)]
    assert select_maps(name_maps(maps, other), LEVELS[1:], reader="neck") == maps[1:]


def test_selection_names_both_lists_of_strides():
    pyramid = name_maps([torch.zeros(1, 4, 8, 8)], LEVELS[:1])
    with pytest.raises(
        ValueError,
        match=r"reads levels of strides \[8, 16\].*has strides \[8\]: \[16\] are missing",
    ):
        select_maps(pyramid, LEVELS, reader="head")


def test_in_eval_restores_each_modules_mode_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2))
    model[1].eval()
    inside = []

    def look_and_fail():
        with in_eval(model):
            inside.append(any(module.training for module in model.modules()))
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        look_and_fail()
    assert inside == [False]
    assert model.training
    assert model[0].training
    assert not model[1].training


def test_freeze_returns_the_parts(small):
    parts = small("retinanet")
    assert freeze(parts) is parts
    assert not parts.model.training
    assert not any(each.requires_grad for each in parts.model.parameters())


def test_hooks_set_after_wrapping_see_real_images_only(small, images):
    parts = small("fcos")
    seen = []
    parts.model.backbone.body.register_forward_hook(lambda *call: seen.append(call[1][0].shape))
    _ = parts.levels, parts.trunk_levels
    parts.features(parts.preprocess(images))
    assert len(seen) == 1
    assert seen[0][0] == len(images)
