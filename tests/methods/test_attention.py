"""Attention transfer against MMRazor's number, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.methods.attention import at_loss, attention_map


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "mmrazor.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


def test_mmrazor(reference):
    loss = at_loss(student=reference["student"], teacher=reference["teacher"])
    assert_close(loss, reference["ATLoss"], rtol=1e-9, atol=0)


def test_by_hand():
    values = torch.tensor([[3.0, 1.0], [1.0, -3.0]]).view(1, 2, 1, 2)  # energies 5 and 5
    flat = torch.full((1, 1, 1, 2), 0.5**0.5)
    assert_close(attention_map(values), flat)
    peak = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    loss = at_loss(student=values, teacher=peak)
    assert_close(loss.item(), ((1 - 0.5**0.5) ** 2 + 0.5) / 2)


@pytest.mark.parametrize("factor", [2.0, -0.1])
def test_a_multiple_of_the_teacher_has_its_attention(reference, factor):
    teacher = reference["teacher"]
    assert_close(at_loss(student=factor * teacher, teacher=teacher).item(), 0.0)


def test_channels_may_differ(reference):
    wide = reference["teacher"].repeat(1, 3, 1, 1)
    assert_close(at_loss(student=reference["teacher"], teacher=wide).item(), 0.0)


def test_gradient(reference):
    student = reference["student"][:1].clone().requires_grad_()
    teacher = reference["teacher"][:1]
    assert torch.autograd.gradcheck(lambda x: at_loss(student=x, teacher=teacher), (student,))


def test_a_dead_map_stays_finite():
    student = torch.zeros(1, 2, 3, 3, requires_grad=True)
    at_loss(student=student, teacher=torch.ones(1, 2, 3, 3)).backward()
    assert student.grad.isfinite().all()


def test_half_precision():
    student, teacher = 300 * torch.randn(2, 1, 8, 20, 20)
    half = at_loss(student=student.half(), teacher=teacher.half())
    assert half.dtype == torch.float32
    assert_close(half, at_loss(student=student, teacher=teacher), rtol=1e-2, atol=0)


def test_shapes():
    with pytest.raises(ValueError, match="must have the same shape"):
        at_loss(student=torch.zeros(1, 2, 3, 3), teacher=torch.zeros(1, 2, 3, 4))
