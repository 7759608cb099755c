"""CWD against MMRazor's numbers, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.methods.cwd import cwd_loss, log_attention


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "mmrazor.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


@pytest.mark.parametrize(("temperature", "name"), [(1, "ChannelWiseDivergence"), (4, "CWD_tau4")])
def test_mmrazor(reference, temperature, name):
    loss = cwd_loss(
        student=reference["student"], teacher=reference["teacher"], temperature=temperature
    )
    assert_close(loss, reference[name], rtol=1e-9, atol=0)


def test_two_cells_by_hand():
    student = torch.tensor([0.0, np.log(3)], dtype=torch.float64).view(1, 1, 1, 2)
    loss = cwd_loss(student=student, teacher=torch.zeros_like(student))
    assert_close(loss.item(), 0.5 * np.log(2) + 0.5 * np.log(2 / 3))


def test_offset_of_a_channel_does_not_count(reference):
    teacher = reference["teacher"]
    offset = torch.arange(4.0).double().view(1, 4, 1, 1)
    assert_close(cwd_loss(student=teacher + offset, teacher=teacher).item(), 0.0)


def test_attention_is_a_distribution(reference):
    attention = log_attention(reference["teacher"], 0.1).exp()
    assert attention.shape == (2, 4, 30)
    assert_close(attention.sum(dim=2), torch.ones(2, 4).double())


def test_gradient(reference):
    student = reference["student"][:1, :2].clone().requires_grad_()
    teacher = reference["teacher"][:1, :2]
    assert torch.autograd.gradcheck(lambda x: cwd_loss(student=x, teacher=teacher), (student,))


def test_extreme_maps_stay_finite():
    student, teacher = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    student[..., 0, 0], teacher[..., 3, 3] = 1e4, 1e4
    loss = cwd_loss(student=student.requires_grad_(), teacher=teacher)
    loss.backward()
    assert_close(loss.item(), 1e4)
    assert student.grad.isfinite().all()


def test_half_precision():
    student, teacher = 30 * torch.randn(2, 1, 8, 20, 20)
    half = cwd_loss(student=student.half(), teacher=teacher.half())
    assert half.dtype == torch.float32
    assert_close(half, cwd_loss(student=student, teacher=teacher), rtol=1e-2, atol=0)


def test_shapes():
    with pytest.raises(ValueError, match="must have the same shape"):
        cwd_loss(student=torch.zeros(1, 2, 3, 3), teacher=torch.zeros(1, 3, 3, 3))
