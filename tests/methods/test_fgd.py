"""FGD against the release's numbers, and by hand.

The release takes the areas of the boxes in float32, hence the tolerance of 1e-7.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import Pass
from kdviz.methods.fgd import (
    FGD,
    GlobalContext,
    attention_loss,
    background_weights,
    channel_attention,
    fgd_loss,
    foreground_weights,
    global_loss,
    spatial_attention,
)

NAMES = {"conv_mask": "mask", "channel_add_conv": "transform"}


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "fgd.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


def context_of(reference, side):
    block = GlobalContext(8).double()
    block.load_state_dict(
        {
            key.replace(f"{theirs}_{side}", ours): value
            for theirs, ours in NAMES.items()
            for key, value in reference.items()
            if key.startswith(f"{theirs}_{side}.")
        }
    )
    return block


class TestAgainstTheRelease:
    def test_attentions(self, reference):
        teacher = reference["teacher"]
        spatial, channel = spatial_attention(teacher), channel_attention(teacher)
        assert_close(spatial[:, 0], reference["spatial_att_t"], rtol=1e-9, atol=0)
        assert_close(channel[:, :, 0, 0], reference["channel_att_t"], rtol=1e-9, atol=0)

    def test_global_term(self, reference):
        loss = global_loss(
            student=context_of(reference, "s")(reference["student"]),
            teacher=context_of(reference, "t")(reference["teacher"]),
        )
        assert_close(loss, reference["rela"], rtol=1e-9, atol=0)

    def test_total(self, reference):
        maps = {"student": reference["student"], "teacher": reference["teacher"]}
        masks = [foreground_weights((6, 7), reference[f"gt{i}"] / 8) for i in range(2)]
        foreground = torch.stack(masks).unsqueeze(1)
        background = torch.stack([background_weights(mask) for mask in masks]).unsqueeze(1)
        total = (
            1e-3 * fgd_loss(**maps, mask=foreground)
            + 5e-4 * fgd_loss(**maps, mask=background)
            + 1e-3 * attention_loss(**maps)
            + 5e-6 * reference["rela"]
        )
        assert_close(total, reference["loss"], rtol=1e-7, atol=0)


class TestMasks:
    def test_a_box_weighs_one_over_its_cells_ends_included(self):
        weights = foreground_weights((4, 5), torch.tensor([[1.2, 0.0, 2.5, 1.0]]))
        expected = torch.zeros(4, 5)
        expected[0:2, 1:4] = 1 / 6
        assert_close(weights, expected)

    def test_the_smaller_box_wins_in_any_order(self):
        boxes = torch.tensor([[0.0, 0.0, 3.0, 3.0], [1.0, 1.0, 2.0, 2.0]])
        weights = foreground_weights((4, 4), boxes)
        assert_close(weights[0, 0].item(), 1 / 16)
        assert_close(weights[1, 1].item(), 1 / 4)
        assert torch.equal(weights, foreground_weights((4, 4), boxes.flip(0)))

    def test_naive_loops_agree(self):
        generator = torch.Generator().manual_seed(5)
        corners = torch.rand(12, 2, generator=generator) * 8
        boxes = torch.cat([corners, corners + torch.rand(12, 2, generator=generator) * 6], dim=1)
        expected = torch.zeros(9, 11)
        for x1, y1, x2, y2 in boxes.tolist():
            x, y = range(int(x1), -int(-x2 // 1) + 1), range(int(y1), -int(-y2 // 1) + 1)
            for i in y:
                for j in x:
                    if i < 9 and j < 11:
                        expected[i, j] = max(expected[i, j], 1 / (len(x) * len(y)))
        assert_close(foreground_weights((9, 11), boxes), expected)

    def test_background_is_what_is_left(self):
        foreground = foreground_weights((4, 4), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        background = background_weights(foreground)
        assert_close(background.sum().item(), 1.0)
        assert not (background * foreground).any()
        assert not background_weights(torch.ones(3, 3)).any()

    def test_no_boxes(self):
        foreground = foreground_weights((4, 4), torch.zeros(0, 4))
        assert not foreground.any()
        assert_close(background_weights(foreground), torch.full((4, 4), 1 / 16))


class TestTerms:
    maps = torch.randn(
        2, 2, 4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )

    def test_uniform_attention_leaves_a_plain_sum(self):
        student, teacher = self.maps[0], torch.ones_like(self.maps[1])
        mask = torch.ones(2, 1, 3, 5).double()
        loss = fgd_loss(student=student, teacher=teacher, mask=mask)
        assert_close(loss, (student - teacher).square().sum() / 2)

    def test_attentions_average_one(self):
        assert_close(spatial_attention(self.maps[0]).mean(), torch.tensor(1.0).double())
        assert_close(channel_attention(self.maps[0]).mean(), torch.tensor(1.0).double())

    def test_equal_maps(self):
        teacher = self.maps[0]
        assert attention_loss(student=teacher, teacher=teacher) == 0
        assert fgd_loss(student=teacher, teacher=teacher, mask=torch.ones(2, 1, 3, 5)) == 0

    def test_gradients(self):
        student, teacher = self.maps[0][:1].clone().requires_grad_(), self.maps[1][:1]
        mask = torch.rand(1, 1, 3, 5).double()
        for loss in (
            lambda x: fgd_loss(student=x, teacher=teacher, mask=mask),
            lambda x: attention_loss(student=x, teacher=teacher),
        ):
            assert torch.autograd.gradcheck(loss, (student,))

    def test_shapes(self):
        student, teacher = self.maps
        with pytest.raises(ValueError, match=r"mask must have shape \(2, 1, 3, 5\)"):
            fgd_loss(student=student, teacher=teacher, mask=torch.ones(2, 1, 5, 3))
        for loss in (attention_loss, global_loss):
            with pytest.raises(ValueError, match="must have the same shape"):
                loss(student=student, teacher=teacher[:, :2])


def test_published_weights_of_the_family(pair):
    values = {
        family: [w.value for w in FGD(*pair(family)).weights.values()]
        for family in ("fcos", "retinanet", "fasterrcnn")
    }
    assert values["fcos"] == [1.6e-3, 8e-4, 8e-4, 8e-6]
    assert values["retinanet"] == [1e-3, 5e-4, 5e-4, 5e-6]
    assert values["fasterrcnn"] == [5e-5, 2.5e-5, 5e-5, 5e-7]
    assert FGD(*pair("fcos")).temperature == 0.8
    assert FGD(*pair("fcos"), temperature=0.3).temperature == 0.3
    assert FGD(*pair("retinanet")).temperature == 0.5


def test_context_starts_as_the_identity():
    values = torch.randn(2, 8, 3, 3)
    assert torch.equal(GlobalContext(8)(values), values)


def test_both_context_blocks_learn(pair, batch_for):
    student, teacher = pair("fcos")
    method = FGD(student, teacher)
    batch = batch_for(student)
    losses = method(Pass(student, batch), Pass(teacher, batch), batch).losses
    losses["fgd_global/p3"].backward()
    for context in (method.student_context, method.teacher_context):
        assert context["p3"].transform[3].weight.grad.any()
