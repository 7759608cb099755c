from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn

from kdviz.detectors import freeze, logit_maps, parts_of


@pytest.fixture
def parts(small):
    return small("fasterrcnn")


def whole(parts, batch, **options):
    return parts.head(parts.features(batch), batch, **options)


def test_the_dense_evidence_is_that_of_the_rpn(parts, images):
    parts.model.eval()
    batch = parts.preprocess(images)
    features = parts.features(batch)
    output = parts.head(features, batch)
    objectness, _ = parts.model.rpn.head(features.maps)
    assert output.logits.shape[-1] == 1
    assert output.score == "sigmoid"
    for ours, raw in zip(logit_maps(output, features), objectness, strict=True):
        assert torch.equal(ours, raw)


def test_every_key_of_the_extras_is_documented(parts, images, targets):
    batch = parts.preprocess(images, targets)
    for output in (whole(parts, batch), whole(parts, replace(batch, targets=None))):
        for key in output.extras:
            assert f"``{key}``" in type(parts).__doc__


def test_targets_decide_what_is_scored_and_the_mode_does_not(parts, images, targets):
    parts.model.eval()
    with_targets = parts.preprocess(images, targets)
    without = replace(with_targets, targets=None)
    counts = {}
    for training in (False, True):
        # Modes of the two stages only: BatchNorm stays as it is, or the maps would differ.
        parts.model.rpn.training = parts.model.roi_heads.training = training
        torch.manual_seed(5)
        sampled, every = whole(parts, with_targets), whole(parts, without)
        assert (sampled.extras["scored"], every.extras["scored"]) == ("sampled", "all")
        assert parts.model.rpn.training is training
        counts[training] = [
            [len(boxes) for boxes in output.extras["proposals"]] for output in (sampled, every)
        ]
    assert counts[False] == counts[True]
    labels = sampled.extras["labels"]
    assert {0, 1, 2, 4} == set(torch.cat(labels).tolist())
    assert (labels[1] == 0).all()  # the image without boxes
    assert every.extras["labels"] is None


def test_number_of_proposals_at_inference_and_in_training(small, images, targets):
    parts = small("fasterrcnn", rpn_post_nms_top_n_train=40, rpn_post_nms_top_n_test=7)
    parts.model.eval()
    batch = parts.preprocess(images, targets)
    output = whole(parts, batch)
    assert [len(each) for each in output.extras["proposals"]] == [43, 40]  # and three true boxes
    every = whole(parts, replace(batch, targets=None))
    assert [len(each) for each in every.extras["proposals"]] == [7, 7]


def test_student_and_teacher_score_the_same_boxes(small, images, targets):
    student, teacher = small("fasterrcnn"), freeze(small("fasterrcnn"))
    batch = student.preprocess(images, targets)
    ours = whole(student, batch)
    state = torch.get_rng_state()
    theirs = whole(teacher, batch, proposals=ours.extras["proposals"])
    assert torch.equal(torch.get_rng_state(), state)  # the student's sampling is left alone
    assert theirs.extras["scored"] == "given"
    assert theirs.extras["class_logits"].shape == ours.extras["class_logits"].shape
    for name in ("proposals", "labels"):
        for a, b in zip(theirs.extras[name], ours.extras[name], strict=True):
            assert torch.equal(a, b)
    positive = torch.cat(ours.extras["labels"]) > 0
    assert torch.equal(
        torch.cat(theirs.extras["regression_targets"])[positive],
        torch.cat(ours.extras["regression_targets"])[positive],
    )


def test_given_proposals_have_the_losses_of_the_same_sample(parts, images, targets):
    parts.model.eval()
    batch = parts.preprocess(images, targets)
    sampled = whole(parts, batch)
    given = whole(parts, batch, proposals=sampled.extras["proposals"])
    first, second = parts.losses(sampled, batch), parts.losses(given, batch)
    for name in ("loss_classifier", "loss_box_reg"):
        assert torch.equal(first[name], second[name])
    assert first.keys() == second.keys()
    assert torch.isfinite(second["loss_objectness"])


def test_detections_of_given_proposals_are_theirs(parts, images):
    parts.model.eval()
    batch = parts.preprocess(images)
    proposals = [torch.tensor([[4.0, 4.0, 30.0, 30.0]]), torch.zeros(0, 4)]
    found = parts.detections(whole(parts, batch, proposals=proposals), batch)
    assert len(found[0].boxes) <= 4  # one box, four foreground classes
    assert set(found[0].labels.tolist()) <= {1, 2, 3, 4}
    assert len(found[1].boxes) == 0


def test_wrong_use_is_named(parts, images, targets):
    batch = parts.preprocess(images, targets)
    with pytest.raises(ValueError, match="1 lists of proposals for 2 images"):
        whole(parts, batch, proposals=[torch.zeros(0, 4)])
    output = whole(parts, replace(batch, targets=None))
    with pytest.raises(ValueError, match="call head on the batch with targets"):
        parts.losses(output, batch)


def test_a_mask_head_is_refused():
    with torch.device("meta"):
        model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    with pytest.raises(TypeError, match="MaskRCNN has a mask or keypoint head"):
        parts_of(model)


def test_the_pooler_knows_its_strides_before_the_first_image(parts):
    # Left alone, torchvision would guess stride 2 for P2 from images of 40 pixels padded to 64.
    assert parts.model.roi_heads.box_roi_pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
