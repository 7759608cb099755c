"""PKD against the numbers of two releases, and against Pearson's correlation.

``reference/crosskd.npz`` comes from the repository of CrossKD, ``reference/mmrazor.npz`` from
MMRazor.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.methods.pkd import PKD, pattern_error, pkd_loss


def reference(name):
    with np.load(Path(__file__).parent / "reference" / name) as arrays:
        return {key: torch.tensor(values) for key, values in arrays.items()}


@pytest.mark.parametrize(("file", "name"), [("crosskd.npz", "pkd"), ("mmrazor.npz", "PKDLoss")])
def test_releases(file, name):
    known = reference(file)
    loss = pkd_loss(student=known["student"], teacher=known["teacher"])
    assert_close(loss, known[name], rtol=1e-9, atol=0)


class TestPattern:
    teacher = torch.randn(
        2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )

    def test_magnitude_and_offset_of_a_channel_do_not_count(self):
        scale = torch.tensor([0.1, 3.0, 70.0], dtype=torch.float64).view(1, 3, 1, 1)
        loss = pkd_loss(student=scale * self.teacher - 5 * scale, teacher=self.teacher)
        assert_close(loss.item(), 0.0, rtol=0, atol=1e-9)

    def test_opposite_pattern(self):
        n = self.teacher.numel() // 3
        loss = pkd_loss(student=-self.teacher, teacher=self.teacher, eps=1e-12)
        assert_close(loss.item(), 2 * (n - 1) / n)

    def test_is_one_less_the_correlation(self):
        student = self.teacher.roll(1, dims=3)
        n = student.numel() // 3
        pairs = [
            torch.stack([student[:, c].flatten(), self.teacher[:, c].flatten()]) for c in range(3)
        ]
        correlation = torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs]).mean()
        loss = pkd_loss(student=student, teacher=self.teacher, eps=1e-12)
        assert_close(loss, (1 - correlation) * (n - 1) / n)

    def test_is_the_mean_of_the_map_shown(self):
        student = self.teacher.roll(1, dims=3)
        error = pattern_error(student=student, teacher=self.teacher)
        assert error.shape == (2, 1, 4, 5)
        assert_close(error.mean(), pkd_loss(student=student, teacher=self.teacher))

    def test_gradient(self):
        student = self.teacher.roll(1, dims=3).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda x: pkd_loss(student=x, teacher=self.teacher), (student,)
        )


class TestSpecialMaps:
    @pytest.mark.parametrize("shape", [(1, 2, 1, 1), (2, 2, 1, 1), (2, 2, 3, 3)])
    def test_constant_channels_and_single_cells_stay_finite(self, shape):
        student = torch.ones(shape, requires_grad=True)
        loss = pkd_loss(student=student, teacher=torch.zeros(shape))
        loss.backward()
        assert loss == 0
        assert student.grad.isfinite().all()

    def test_half_precision(self):
        student, teacher = 300 * torch.randn(2, 1, 8, 20, 20)
        half = pkd_loss(student=student.half(), teacher=teacher.half())
        assert half.dtype == torch.float32
        assert_close(half, pkd_loss(student=student, teacher=teacher), rtol=1e-2, atol=0)

    def test_shapes(self):
        with pytest.raises(ValueError, match="must have the same shape"):
            pkd_loss(student=torch.zeros(1, 2, 3, 3), teacher=torch.zeros(1, 3, 3, 3))


def test_adapter_only_where_channels_differ(pair):
    student, teacher = pair("fcos")
    assert len(list(PKD(student, teacher).parameters())) == 10
    assert not list(PKD(teacher, teacher).parameters())
