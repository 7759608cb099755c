"""Parts put together are torchvision's own model, bit for bit, in every family."""

from __future__ import annotations

import copy

import pytest
import torch

from kdviz.detectors import HasAnchors, Pass, freeze, logit_maps, parts_of
from kdviz.detectors.parts import select_maps
from kdviz.structures import Pyramid


def whole(parts, batch):
    return parts.head(parts.features(batch), batch)


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


def snapshot(model):
    return {name: values.clone() for name, values in model.state_dict().items()}


def assert_same_state(model, before):
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_losses_and_gradients_are_those_of_the_model(small, family, images, targets):
    reference = copy.deepcopy(small(family).model).train()
    parts = parts_of(copy.deepcopy(reference))
    torch.manual_seed(3)
    expected = reference(images, targets)
    torch.manual_seed(3)
    batch = parts.preprocess(images, targets)
    losses = parts.losses(whole(parts, batch), batch)
    assert losses.keys() == expected.keys()
    assert all(torch.equal(losses[name], expected[name]) for name in expected)

    sum(expected.values()).backward()
    sum(losses.values()).backward()
    for ours, theirs in zip(parts.model.parameters(), reference.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad)
    assert_same_state(parts.model, snapshot(reference))  # BatchNorm has moved in both alike


@pytest.mark.parametrize("training", [False, True])
def test_detections_are_those_of_the_model(small, family, images, training):
    reference = copy.deepcopy(small(family).model).eval()
    parts = parts_of(copy.deepcopy(reference))
    with torch.no_grad():
        expected = reference(images)
        batch = parts.preprocess(images)
        output = whole(parts, batch)
        parts.model.train(training)  # torchvision leaves boxes unscaled in training mode
        found = parts.detections(output, batch)
    assert len(found) == 2
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours.boxes) > 10
        assert torch.equal(ours.boxes, theirs["boxes"])
        assert torch.equal(ours.scores, theirs["scores"])
        assert torch.equal(ours.labels, theirs["labels"])
        assert (ours.scores.diff() <= 0).all()
        assert (ours.labels >= 0).all()


def test_wrapping_and_a_pass_change_nothing(small, family, images, targets):
    model = small(family).model.train()
    next(model.children()).eval()  # modes of its own, which must survive
    before, had = snapshot(model), modes(model)
    parts = parts_of(model)
    assert_same_state(model, before)
    assert modes(model) == had
    model.eval()
    had = modes(model)
    batch = parts.preprocess(images, targets)
    output = whole(parts, batch)
    parts.losses(output, batch)
    found = parts.detections(output, batch)
    assert not any(each.boxes.requires_grad or each.scores.requires_grad for each in found)
    assert_same_state(model, before)
    assert modes(model) == had


def test_validation_losses_and_detections_from_one_pass(small, family, images, targets):
    parts = small(family)
    parts.model.eval()
    expected = parts.model(images)
    with torch.no_grad():
        batch = parts.preprocess(images, targets)
        output = whole(parts, batch)
        losses = parts.losses(output, batch)
        found = parts.detections(output, batch)
    assert all(torch.isfinite(values) for values in losses.values())
    assert sum(losses.values()) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.boxes, theirs["boxes"])
        assert torch.equal(ours.scores, theirs["scores"])


def test_a_teachers_head_teaches_through_itself(small, family, images, targets):
    student, teacher = small(family), freeze(small(family))
    before = snapshot(teacher.model)
    student.model.train()
    batch = student.preprocess(images, targets)
    losses = teacher.losses(teacher.head(student.features(batch), batch), batch)
    sum(losses.values()).backward()
    assert all(parameter.grad is None for parameter in teacher.model.parameters())
    stem = next(student.model.backbone.parameters())
    assert stem.grad is not None
    assert stem.grad.abs().sum() > 0
    assert_same_state(teacher.model, before)
    assert not any(modes(teacher.model).values())


def test_a_frozen_teacher_keeps_no_graph(small, family, images):
    teacher = freeze(small(family))
    passed = Pass(teacher, teacher.preprocess(images))
    assert not passed.output.logits.requires_grad
    assert not any(values.requires_grad for values in passed.features.maps)


def test_a_batch_without_any_box_still_trains(small, family, images, targets):
    parts = small(family)
    parts.model.train()
    batch = parts.preprocess(images, [targets[1], targets[1]])
    total = sum(parts.losses(whole(parts, batch), batch).values())
    total.backward()
    grads = [each.grad for each in parts.model.parameters() if each.grad is not None]
    assert torch.isfinite(total)
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_several_sizes_are_drawn_once_and_as_torchvision_draws_them(small, images, targets):
    reference = small("fcos", min_size=[48, 64, 80], max_size=999).model.train()
    parts = parts_of(copy.deepcopy(reference))
    seen = set()
    for seed in range(6):
        torch.manual_seed(seed)
        expected = reference(images, targets)
        torch.manual_seed(seed)
        batch = parts.preprocess(images, targets)
        losses = parts.losses(whole(parts, batch), batch)
        assert all(torch.equal(losses[name], expected[name]) for name in expected)
        seen.update(min(size) for size in batch.sizes)
    assert seen == {48, 64, 80}
    assert parts.input_format.min_size == (48, 64, 80)


@pytest.mark.parametrize("size", [(33, 97), (64, 64), (40, 160)])
def test_names_and_strides_are_right_at_any_size(small, family, size):
    parts = small(family, **({} if family == "ssdlite" else {"min_size": size[0], "max_size": 999}))
    parts.model.eval()
    with torch.no_grad():
        batch = parts.preprocess([torch.rand(3, *size)])
        trunk = parts.trunk(batch)
        features = parts.neck(trunk)
    expected = {
        "fcos": ("c3 c4 c5", "p3 p4 p5 p6 p7"),
        "retinanet": ("c3 c4 c5", "p3 p4 p5 p6 p7"),
        "fasterrcnn": ("c2 c3 c4 c5", "p2 p3 p4 p5 p6"),
        "ssdlite": ("c4 c5 c6 c7 c8 c9", "p4 p5 p6 p7 p8 p9"),
    }[family]
    for pyramid, levels, names in zip(
        (trunk, features), (parts.trunk_levels, parts.levels), expected, strict=True
    ):
        assert [level.name for level in pyramid.levels] == names.split()
        assert pyramid.strides == [level.stride for level in levels]
        assert pyramid.strides == [2 ** int(level.name[1:]) for level in levels]
        assert [x.map.shape[1] for x in pyramid.levels] == [level.channels for level in levels]
    if family != "ssdlite":
        finest = features.levels[0]
        assert finest.map.shape[-1] * finest.stride == batch.images.shape[-1]


def test_levels_are_found_by_stride_in_any_order_and_among_others(small, family, images):
    parts = small(family)
    parts.model.eval()
    batch = parts.preprocess(images)
    features = parts.features(batch)
    finer = Pyramid((*reversed(features.levels),))
    assert torch.equal(parts.head(finer, batch).logits, parts.head(features, batch).logits)
    maps = select_maps(finer, parts.levels[1:3], reader="head")
    assert [each.shape for each in maps] == [each.shape for each in features.maps[1:3]]


def test_a_missing_level_is_named(small, family, images):
    parts = small(family)
    batch = parts.preprocess(images)
    features = parts.features(batch)
    less = Pyramid(features.levels[1:])
    with pytest.raises(ValueError, match=rf"this head reads .*\[{features.strides[0]}\] are mis"):
        parts.head(less, batch)
    with pytest.raises(ValueError, match="this neck reads levels of strides"):
        parts.neck(Pyramid(parts.trunk(batch).levels[1:]))


def test_other_channels_must_be_adapted_first(small, images):
    student = small("retinanet")
    batch = student.preprocess(images)
    wider = student.features(batch).apply(lambda values: torch.cat([values, values], dim=1))
    with pytest.raises(ValueError, match="level p3 has 32 channels, this head reads 16"):
        student.head(wider, batch)


def test_prior_boxes_lie_on_their_cells(small, family, images):
    parts = small(family)
    batch = parts.preprocess(images)
    features = parts.features(batch)
    output = parts.head(features, batch)
    assert output.slots == tuple(each[0].numel() for each in _slot_maps(parts, output, features))
    assert sum(output.slots) == output.logits.shape[1] == output.boxes.shape[1]
    assert isinstance(parts, HasAnchors) == (family != "fcos")
    if family == "fcos":
        return
    anchors = parts.anchors(features, batch)
    for boxes, values in zip(anchors, features.maps, strict=True):
        assert boxes.shape[:2] == values.shape[-2:]
    flat = torch.cat([boxes.reshape(-1, 4) for boxes in anchors])
    assert all(torch.equal(flat, image) for image in output.extras["anchors"])
    # On the finest level, the step between neighbouring cells is the stride, downwards and across.
    centres = (anchors[0][..., :2] + anchors[0][..., 2:])[:, :, 0] / 2
    stride = features.strides[0]
    torch.testing.assert_close(centres[1, 1] - centres[0, 0], torch.full((2,), float(stride)))


def _slot_maps(parts, output, features):
    classes = output.logits.shape[-1]
    return [values.unflatten(1, (-1, classes))[:, :, 0] for values in logit_maps(output, features)]


def test_targets_are_checked_before_anything_runs(small, images, targets):
    parts = small("fcos")
    parts.model.train()
    with pytest.raises(ValueError, match="2 images but 1 targets"):
        parts.preprocess(images, targets[:1])
    narrow = [targets[1], {**targets[0], "boxes": targets[0]["boxes"][:, [2, 1, 0, 3]]}]
    with pytest.raises(ValueError, match=r"target 1 has \[40.0, 5.0, 5.0, 44.0\]"):
        parts.preprocess(images, narrow)
    for label in (0, 5):
        wrong = [{**targets[0], "labels": torch.tensor([1, label, 2])}, targets[1]]
        with pytest.raises(ValueError, match=f"labels run from 1 to 4, but target 0 has {label}"):
            parts.preprocess(images, wrong)
    with pytest.raises(ValueError, match=r"has \(3, 4\) and \(2,\)"):
        parts.preprocess(images, [{**targets[0], "labels": torch.tensor([1, 2])}, targets[1]])
    batch = parts.preprocess(images)
    with pytest.raises(ValueError, match="losses need targets"):
        parts.losses(whole(parts, batch), batch)


def test_the_batch_remembers_where_it_came_from(small, family, images, targets):
    parts = small(family)
    parts.model.eval()
    before = [{name: values.clone() for name, values in each.items()} for each in targets]
    batch = parts.preprocess(images, targets)
    assert batch.original_sizes == ((65, 90), (71, 64))
    scale = torch.tensor([width for _, width in batch.sizes]) / torch.tensor([90, 64])
    torch.testing.assert_close(
        batch.targets[0]["boxes"][:, 0], scale[0] * targets[0]["boxes"][:, 0]
    )
    assert batch.targets[0]["image_id"] == 7
    for given, kept in zip(targets, before, strict=True):  # what was given is left alone
        assert all(torch.equal(given[name], kept[name]) for name in kept)


def test_what_has_no_adapter_is_named():
    with pytest.raises(TypeError, match=r"no adapter for Linear.*FCOS, RetinaNet, FasterRCNN, SSD"):
        parts_of(torch.nn.Linear(2, 2))


def test_parts_of_parts_are_the_same_parts(small):
    parts = small("fcos")
    assert parts_of(parts) is parts
    assert type(parts_of(parts.model)) is type(parts)
