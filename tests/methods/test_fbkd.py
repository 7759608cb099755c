"""FBKD against MMRazor's numbers, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.methods.fbkd import NonLocal, distance, fbkd_loss
from kdviz.methods.fgd import channel_attention, spatial_attention


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "fbkd.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


class TestAgainstMMRazor:
    def test_mask(self, reference):
        looks = [spatial_attention(reference[x]) for x in ("student", "teacher")]
        assert_close(sum(looks) / 2, reference["spatial_mask"], rtol=1e-9, atol=0)

    def test_masked_distance(self, reference):
        loss = fbkd_loss(
            student=reference["student"],
            teacher=reference["teacher"],
            mask=reference["spatial_mask"],
        )
        assert_close(loss, reference["masked_l2"], rtol=1e-9, atol=0)

    def test_with_both_masks(self, reference):
        channels = sum(channel_attention(reference[x]) for x in ("student", "teacher")) / 2
        loss = fbkd_loss(
            student=reference["student"] * channels.sqrt(),
            teacher=reference["teacher"] * channels.sqrt(),
            mask=reference["spatial_mask"],
        )
        assert_close(loss, reference["masked_l2_both"], rtol=1e-9, atol=0)


def test_by_hand():
    student = torch.tensor([3.0, 0.0]).view(1, 1, 1, 2)
    teacher = torch.tensor([0.0, 2.0]).view(1, 1, 1, 2)
    mask = torch.tensor([1.0, 4.0]).view(1, 1, 1, 2)
    assert fbkd_loss(student=student, teacher=teacher, mask=mask) == 5  # sqrt(9 + 4 * 4)


def test_equal_maps_have_gradient_zero():
    student = torch.ones(1, 2, 2, 2, requires_grad=True)
    loss = distance(student=student, teacher=torch.ones(1, 2, 2, 2))
    loss.backward()
    assert loss == 0
    assert not student.grad.any()


class TestNonLocal:
    def test_starts_as_the_identity(self):
        values = torch.randn(2, 8, 5, 6)
        assert torch.equal(NonLocal(8, 2, 2)(values), values)

    def test_loops_agree(self):
        block = NonLocal(4, 2, 2).double()
        torch.nn.init.normal_(block.out.weight)
        values = torch.randn(1, 4, 4, 6).double()
        query, key, value = (part(values) for part in (block.query, block.key, block.value))
        key, value = block.pool(key), block.pool(value)
        expected = torch.zeros(1, 2, 4, 6).double()
        for y in range(4):
            for x in range(6):
                for v in range(2):
                    for u in range(3):
                        weight = (query[0, :, y, x] * key[0, :, v, u]).sum() / 6
                        expected[0, :, y, x] += weight * value[0, :, v, u]
        assert_close(block(values), values + block.out(expected))

    def test_one_cell(self):
        assert NonLocal(4, 2, 8)(torch.randn(1, 4, 1, 1)).shape == (1, 4, 1, 1)


def test_shapes():
    maps = {"student": torch.zeros(1, 2, 3, 3), "teacher": torch.zeros(1, 2, 3, 3)}
    with pytest.raises(ValueError, match=r"mask must have shape \(1, 1, 3, 3\)"):
        fbkd_loss(**maps, mask=torch.ones(1, 2, 3, 3))
    with pytest.raises(ValueError, match="must have the same shape"):
        distance(student=torch.zeros(2, 3), teacher=torch.zeros(2, 4))
