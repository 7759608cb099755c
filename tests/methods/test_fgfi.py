"""FGFI against the numbers of the released implementations, and against hand arithmetic.

``reference/fgfi.npz`` holds inputs and outputs of the anchor target layer and training script of
the VGG release, of the ShuffleNet release's loader, and of DeFeat's port to pyramids.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_convert, box_iou

from kdviz.methods.boxes import (
    boxes_of_batch,
    boxes_of_level,
    boxes_off_the_map,
    levels_by_scale,
    scaled_box_mask,
    scaled_box_masks,
)
from kdviz.methods.fgfi import (
    fgfi_loss,
    imitation_mask,
    imitation_masks,
    levels_by_best_anchor,
    mask_from_iou,
    retinanet_anchors,
)
from kdviz.methods.fitnets import hint_loss
from kdviz.structures import Batch

STRIDES = [4, 8, 16, 32, 64]


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "fgfi.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


def pyramid_anchors(height=256, width=320):
    generator = AnchorGenerator(tuple((8 * s,) for s in STRIDES), ((0.5, 1.0, 2.0),) * 5)
    generator.set_cell_anchors(torch.float32, torch.device("cpu"))
    grids = [[height // s, width // s] for s in STRIDES]
    steps = [[torch.tensor(s), torch.tensor(s)] for s in STRIDES]
    flat = generator.grid_anchors(grids, steps)
    return [boxes.view(*grid, 3, 4) for boxes, grid in zip(flat, grids, strict=True)]


def scenes(count=6, boxes=5, seed=3):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, boxes, 2, generator=generator) * 200
    sides = 10 + torch.rand(count, boxes, 2, generator=generator) * 90
    return torch.cat([corners, corners + sides], dim=-1)


class TestAgainstTheReleases:
    def test_vgg_mask(self, reference):
        masks = torch.stack([mask_from_iou(iou) for iou in reference["iou"]])
        assert torch.equal(masks[:, None], reference["mask"])
        assert masks.sum() == 117

    def test_vgg_loss(self, reference):
        loss = fgfi_loss(
            student=reference["student"], teacher=reference["teacher"], mask=reference["mask"]
        )
        assert_close(loss, reference["loss"], rtol=1e-9, atol=0)

    def test_shuffledet_mask(self, reference):
        y, x = torch.meshgrid(torch.arange(24), torch.arange(78), indexing="ij")
        step_x, step_y = reference["shuffledet_step"]
        shift = torch.stack([x * step_x, y * step_y, x * 0, y * 0], dim=-1)
        anchors = box_convert(reference["shuffledet_cell"] + shift[:, :, None], "cxcywh", "xyxy")
        boxes = box_convert(reference["shuffledet_boxes"], "cxcywh", "xyxy")
        assert torch.equal(imitation_mask(anchors, boxes), reference["shuffledet_mask"])

    @pytest.mark.parametrize("pick", [boxes_of_level, boxes_off_the_map], ids=["cpu", "gpu"])
    @pytest.mark.parametrize(("image", "levels"), [(0, [0, 1, 0]), (1, [2])])
    def test_pyramid_masks(self, reference, image, levels, pick):
        boxes = reference[f"fpn_boxes{image}"].float()
        owner = levels_by_scale(boxes, STRIDES)
        assert owner.tolist() == levels
        for i, anchors in enumerate(pyramid_anchors()):
            own = pick(boxes, owner == i, STRIDES[i])
            mask = imitation_mask(anchors, own)
            assert torch.equal(mask, reference[f"fpn_mask{i}"][image])
            size = (anchors.shape[0], anchors.shape[1])
            inside = scaled_box_mask(size, own, STRIDES[i])
            assert torch.equal(inside, reference[f"fpn_box_mask{i}"][image])


class TestByHand:
    """Examples small enough to do on paper."""

    iou = torch.tensor([[[0.1, 0.6], [0.8, 0.2], [0.39, 0.4]]], dtype=torch.float64)[..., None]

    @pytest.mark.parametrize(("psi", "mask"), [(0.5, [1, 1, 0]), (0.0, [1, 1, 1]), (1.0, [0] * 3)])
    def test_threshold_is_relative_and_strict(self, psi, mask):
        assert mask_from_iou(self.iou, psi).int().tolist() == [mask]

    @pytest.mark.parametrize("stride", [4, 8, 16, 32, 64, 128])
    def test_anchors_are_those_of_torchvision(self, stride):
        sides = tuple(4 * stride * 2 ** (octave / 3) for octave in range(3))
        generator = AnchorGenerator((sides,), ((0.5, 1.0, 2.0),))
        generator.set_cell_anchors(torch.float32, torch.device("cpu"))
        (flat,) = generator.grid_anchors([[3, 5]], [[torch.tensor(stride)] * 2])
        found = retinanet_anchors((3, 5), stride, like=torch.zeros(1))
        assert torch.equal(found, flat.view(3, 5, 9, 4))

    def test_one_box_on_a_small_grid(self):
        generator = AnchorGenerator(((32,),), ((0.5, 1.0, 2.0),))
        generator.set_cell_anchors(torch.float32, torch.device("cpu"))
        flat = generator.grid_anchors([[4, 4]], [[torch.tensor(16)] * 2])[0]
        boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
        assert_close(box_iou(flat, boxes).max().item(), 0.4070490598678589)
        expected = torch.zeros(4, 4, dtype=torch.bool)
        expected[1:3, 1:3] = True
        assert torch.equal(imitation_mask(flat.view(4, 4, 3, 4), boxes), expected)

    def test_loss_and_full_imitation(self):
        teacher = torch.tensor([[1.0, 2.0], [0.0, 0.0], [5.0, 5.0]]).T.view(1, 2, 1, 3)
        student = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]).T.view(1, 2, 1, 3)
        mask = torch.tensor([True, True, False]).view(1, 1, 1, 3)
        assert fgfi_loss(student=student, teacher=teacher, mask=mask) == 1.75
        assert hint_loss(student=student, teacher=teacher) == 9.5

    def test_normaliser_is_of_the_batch(self):
        errors = torch.tensor([[4.0, 0.0, 0.0], [2.0, 2.0, 2.0]]).view(2, 1, 1, 3)
        mask = torch.tensor([[True, False, False], [True, True, True]]).view(2, 1, 1, 3)
        student = errors.sqrt()
        loss = fgfi_loss(student=student, teacher=torch.zeros_like(student), mask=mask)
        assert_close(loss.item(), 1.25)

    def test_gradient(self):
        student = torch.tensor([[3.0, 1.0]]).view(1, 1, 1, 2).requires_grad_()
        mask = torch.tensor([True, False]).view(1, 1, 1, 2)
        fgfi_loss(student=student, teacher=torch.ones(1, 1, 1, 2), mask=mask).backward()
        assert student.grad.flatten().tolist() == [2.0, 0.0]  # (s - t) I / N_p


class TestProperties:
    def test_mask_shrinks_as_psi_grows(self):
        anchors = pyramid_anchors()[1]
        for boxes in scenes():
            masks = [imitation_mask(anchors, boxes, psi) for psi in (0.0, 0.25, 0.5, 0.75, 1.0)]
            assert all((big | ~small).all() for big, small in pairwise(masks))
            assert masks[2].any()
            assert not masks[-1].any()

    def test_every_box_keeps_a_cell(self):
        anchors = pyramid_anchors()[2]
        for box in scenes().flatten(0, 1):
            assert imitation_mask(anchors, box[None], 0.9).any()

    def test_union_over_boxes_in_any_order(self, monkeypatch):
        anchors = pyramid_anchors()[1]
        boxes = scenes()[0]
        whole = imitation_mask(anchors, boxes)
        parts = torch.stack([imitation_mask(anchors, box[None]) for box in boxes]).any(dim=0)
        assert torch.equal(whole, parts)
        assert torch.equal(whole, imitation_mask(anchors, boxes.flip(0)))
        monkeypatch.setattr("kdviz.methods.fgfi.IOU_BUDGET", 1)  # one box a chunk
        assert torch.equal(whole, imitation_mask(anchors, boxes))

    def test_masks_of_a_batch_are_those_of_its_images(self):
        images = [scenes()[0], torch.zeros(0, 4), scenes()[1][:2]]
        image = torch.tensor([n for n, own in enumerate(images) for _ in own])
        for stride, anchors in zip(STRIDES, pyramid_anchors(), strict=True):
            height, width = anchors.shape[:2]
            boxes = torch.cat(images)
            masks = imitation_masks(anchors, boxes, image, count=3)
            inside = scaled_box_masks((height, width), boxes, image, count=3, stride=stride)
            assert masks[0].any()
            assert not masks[1].any()
            for own, mask, cells in zip(images, masks, inside, strict=True):
                overlap = box_iou(anchors.reshape(-1, 4), own).view(height, width, 3, len(own))
                expected = mask_from_iou(overlap) if len(own) else torch.zeros_like(mask)
                assert torch.equal(mask, expected)
                assert torch.equal(cells, scaled_box_mask((height, width), own, stride))

    def test_naive_loops_agree(self):
        anchors = pyramid_anchors()[3]
        boxes = scenes()[1]
        height, width, count = anchors.shape[:3]
        expected = torch.zeros(height, width, dtype=torch.bool)
        for box in boxes:
            best = max(box_iou(a[None], box[None]).item() for a in anchors.reshape(-1, 4))
            for y in range(height):
                for x in range(width):
                    for k in range(count):
                        iou = box_iou(anchors[y, x, k][None], box[None]).item()
                        expected[y, x] |= iou > 0.5 * best
        assert torch.equal(imitation_mask(anchors, boxes), expected)

    def test_no_boxes(self):
        anchors = pyramid_anchors()[1]
        mask = imitation_mask(anchors, torch.zeros(0, 4))
        assert not mask.any()
        assert not scaled_box_mask((4, 4), torch.zeros(0, 4), 8).any()
        student = torch.randn(1, 3, *mask.shape, requires_grad=True)
        loss = fgfi_loss(student=student, teacher=torch.ones_like(student), mask=mask[None, None])
        loss.backward()
        assert loss == 0
        assert not student.grad.any()

    def test_box_far_outside_keeps_nothing(self):
        box = torch.tensor([[5000.0, 5000.0, 5040.0, 5040.0]])
        assert not imitation_mask(pyramid_anchors()[1], box, psi=0.5).any()

    def test_best_anchor_level(self):
        boxes = torch.tensor([[32.0, 32, 64, 64], [0, 0, 256, 256], [8, 8, 72, 72]])
        assert levels_by_best_anchor(boxes, pyramid_anchors()).tolist() == [0, 3, 1]
        assert levels_by_best_anchor(torch.zeros(0, 4), pyramid_anchors()).shape == (0,)

    def test_scale_rule_shifts_with_the_strides(self):
        boxes = torch.tensor([[0.0, 0, s, s] for s in (10, 111, 113, 223, 225, 900, 5000)])
        assert levels_by_scale(boxes, STRIDES).tolist() == [0, 0, 1, 1, 2, 4, 4]
        assert levels_by_scale(boxes, [2 * s for s in STRIDES]).tolist() == [0, 0, 0, 0, 1, 3, 4]

    def test_degenerate_box_covers_one_cell(self):
        mask = scaled_box_mask((4, 4), torch.tensor([[9.0, 17.0, 10.0, 18.0]]), 8)
        assert mask.nonzero().tolist() == [[2, 1]]


class TestBadInput:
    def test_psi_outside(self):
        with pytest.raises(ValueError, match=r"in \[0, 1\], but is 1.5"):
            mask_from_iou(TestByHand.iou, psi=1.5)

    def test_shapes(self):
        with pytest.raises(ValueError, match=r"anchors must have shape \(H, W, A, 4\) but has"):
            imitation_mask(torch.zeros(5, 4), torch.zeros(0, 4))
        with pytest.raises(ValueError, match=r"image must have shape \(2\) but"):
            imitation_masks(
                torch.zeros(4, 4, 3, 4), torch.zeros(2, 4), torch.zeros(1).long(), count=1
            )
        with pytest.raises(ValueError, match="psi is a share"):
            imitation_mask(torch.zeros(4, 4, 3, 4), torch.zeros(0, 4), psi=1.5)
        nothing = Batch(torch.zeros(1, 3, 8, 8), ((8, 8),), ((8, 8),))
        with pytest.raises(ValueError, match="a mask needs targets: make the batch with"):
            boxes_of_batch(nothing)
        with pytest.raises(ValueError, match=r"student .* and teacher .* must have the same shape"):
            fgfi_loss(
                student=torch.zeros(1, 2, 3, 3),
                teacher=torch.zeros(1, 4, 3, 3),
                mask=torch.zeros(1, 1, 3, 3),
            )
        with pytest.raises(ValueError, match=r"mask must have shape \(1, 1, 3, 3\)"):
            fgfi_loss(
                student=torch.zeros(1, 2, 3, 3),
                teacher=torch.zeros(1, 2, 3, 3),
                mask=torch.zeros(1, 2, 3, 3),
            )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maps_do_not_overflow(dtype):
    generator = torch.Generator().manual_seed(0)
    student = 4 * torch.randn(1, 64, 50, 76, generator=generator)
    teacher = 4 * torch.randn(1, 64, 50, 76, generator=generator)
    mask = torch.rand(1, 1, 50, 76, generator=generator) < 0.3
    exact = fgfi_loss(student=student, teacher=teacher, mask=mask)
    half = fgfi_loss(student=student.to(dtype), teacher=teacher.to(dtype), mask=mask)
    assert half.dtype == torch.float32
    assert_close(half, exact, rtol=1e-2, atol=0)
    full = hint_loss(student=student.to(dtype), teacher=teacher.to(dtype))
    assert_close(full, hint_loss(student=student, teacher=teacher), rtol=1e-2, atol=0)
