"""Pairwise affinity by hand and against loops."""

import pytest
import torch
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from kdviz.methods.affinity import affinity, affinity_loss, pooled

MAPS = torch.randn(2, 2, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_by_hand():
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)  # orthogonal cells
    teacher = torch.tensor([[2.0, 3.0]]).view(1, 1, 1, 2)  # parallel cells
    assert affinity(student)[0].tolist() == [[1, 0], [0, 1]]
    assert affinity_loss(student=student, teacher=teacher) == 0.5  # (0 + 1 + 1 + 0) / 4


def test_loops_agree():
    values = affinity(MAPS[0])
    flat = MAPS[0].flatten(2)
    for n in range(2):
        for i in range(8):
            for j in range(8):
                expected = cosine_similarity(flat[n, :, i], flat[n, :, j], dim=0)
                assert_close(values[n, i, j], expected)


def test_length_of_a_cell_does_not_count():
    scale = torch.rand(2, 1, 2, 4).double() + 0.1
    assert_close(affinity_loss(student=scale * MAPS[0], teacher=MAPS[0]).item(), 0.0)


def test_pooling_only_shrinks():
    assert pooled(torch.zeros(1, 3, 40, 9), 16).shape == (1, 3, 16, 9)
    assert torch.equal(pooled(MAPS[0], 16), MAPS[0])


def test_gradient():
    student = MAPS[0][:1].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: affinity_loss(student=x, teacher=MAPS[1][:1]), (student,)
    )


def test_dead_cells_stay_finite():
    student = torch.zeros(1, 2, 2, 2, requires_grad=True)
    affinity_loss(student=student, teacher=torch.ones(1, 2, 2, 2)).backward()
    assert student.grad.isfinite().all()


def test_full_precision_inside_autocast():
    exact = affinity(MAPS[0].float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = affinity(MAPS[0].float())
    assert torch.equal(exact, inside)


def test_shapes():
    with pytest.raises(ValueError, match="must have the same shape"):
        affinity_loss(student=torch.zeros(1, 2, 3, 3), teacher=torch.zeros(1, 2, 3, 4))
