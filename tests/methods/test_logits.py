"""Logit distillation against MMRazor's numbers, by hand, and on real heads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import Pass
from kdviz.methods.logits import LogitKD, sigmoid_divergence, softmax_divergence


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "mmrazor.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


class TestSoftmax:
    @pytest.mark.parametrize("temperature", [1, 4])
    def test_mmrazor(self, reference, temperature):
        divergence = softmax_divergence(
            student=reference["logits_s"], teacher=reference["logits_t"], temperature=temperature
        )
        assert_close(divergence.mean(), reference[f"KL_tau{temperature}"], rtol=1e-9, atol=0)

    def test_offset_does_not_count(self, reference):
        logits = reference["logits_t"]
        divergence = softmax_divergence(student=logits + 3, teacher=logits)
        assert_close(divergence, torch.zeros(5).double())


class TestSigmoid:
    def test_by_hand(self):
        student = torch.zeros(1, 1).double()
        teacher = torch.tensor([[np.log(9)]])  # score 0.9
        expected = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
        assert_close(sigmoid_divergence(student=student, teacher=teacher).item(), expected)

    def test_is_the_softmax_of_two_classes(self, reference):
        student, teacher = (reference[x][:, :1] for x in ("logits_s", "logits_t"))
        pairs = [torch.cat([x, torch.zeros_like(x)], dim=1) for x in (student, teacher)]
        for temperature in (1.0, 3.0):
            assert_close(
                sigmoid_divergence(student=student, teacher=teacher, temperature=temperature),
                softmax_divergence(student=pairs[0], teacher=pairs[1], temperature=temperature),
            )

    def test_extreme_logits_stay_finite(self):
        student = torch.tensor([[100.0, -100.0]], requires_grad=True)
        loss = sigmoid_divergence(student=student, teacher=-student.detach()).sum()
        loss.backward()
        assert_close(loss.item(), 200.0)
        assert_close(student.grad, torch.tensor([[1.0, -1.0]]))


@pytest.mark.parametrize("divergence", [softmax_divergence, sigmoid_divergence])
class TestBoth:
    def test_equal_logits(self, reference, divergence):
        logits = reference["logits_t"]
        assert_close(divergence(student=logits, teacher=logits), torch.zeros(5).double())

    def test_never_negative(self, reference, divergence):
        values = divergence(student=reference["logits_s"], teacher=reference["logits_t"])
        assert (values > 0).all()

    def test_gradient(self, reference, divergence):
        student = reference["logits_s"].clone().requires_grad_()
        teacher = reference["logits_t"]
        assert torch.autograd.gradcheck(
            lambda x: divergence(student=x, teacher=teacher, temperature=2.0), (student,)
        )

    def test_shapes(self, divergence):
        with pytest.raises(ValueError, match="must have the same shape"):
            divergence(student=torch.zeros(2, 3), teacher=torch.zeros(2, 4))


class TestMethod:
    @pytest.mark.parametrize("family", ["fcos", "fasterrcnn"])
    def test_a_copy_of_the_teacher_has_nothing_to_learn(self, pair, batch_for, family):
        teacher = pair(family)[1]
        batch = batch_for(teacher)
        method = LogitKD(teacher, teacher)
        loss = method(Pass(teacher, batch), Pass(teacher, batch), batch).losses["logitkd"]
        assert_close(loss.item(), 0.0, rtol=0, atol=1e-6)

    def test_two_stages_score_the_same_proposals(self, pair, batch_for):
        student, teacher = pair("fasterrcnn")
        batch = batch_for(student)
        seen = Pass(student, batch)
        told = LogitKD(student, teacher, temperature=1.0)(seen, Pass(teacher, batch), batch)
        proposals = seen.output.extras["proposals"]
        taught = teacher.head(Pass(teacher, batch).features, batch, proposals=proposals)
        expected = softmax_divergence(
            student=seen.output.extras["class_logits"], teacher=taught.extras["class_logits"]
        )
        assert_close(told.losses["logitkd"], expected.mean())
        assert not told.maps

    def test_refusals(self, pair, monkeypatch):
        student, teacher = pair("fcos")
        with pytest.raises(ValueError, match=r"student is FCOS .* and the teacher RetinaNet"):
            LogitKD(student, pair("retinanet")[1])
        with pytest.raises(ValueError, match="above 0, not 0"):
            LogitKD(student, teacher, temperature=0)
        monkeypatch.setattr(teacher, "num_classes", 91)
        with pytest.raises(ValueError, match="4 classes and the teacher 91"):
            LogitKD(student, teacher)
