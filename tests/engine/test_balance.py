"""The proposed weight does what it says, on terms whose gradients are known."""

import pytest
import torch
from test_train import batch, detector, frozen_teacher

from kdviz.engine.balance import balance, table
from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, Distillation, Method, TermWeight


class Pulls(Method):
    """A loss with gradient ``strength`` everywhere on the first level of neck or trunk."""

    def __init__(self, strength, part="features"):
        super().__init__()
        self.weights = {"pulls": TermWeight(2.0)}
        self.strength, self.part = strength, part

    def forward(self, student, teacher, batch):
        first = getattr(student, self.part).maps[0]
        return Distillation({"pulls/p3": self.strength * first.sum()})


def measure(method, share=0.5):
    trainee = Trainee(detector(), frozen_teacher(), [method])
    report = balance(trainee, [batch(seed=i) for i in range(4)], method.weights, share=share)
    return {row.term: row for row in report}


def test_known_gradient():
    report = measure(Pulls(3.0))
    own, term = report["detection"], report["pulls"]
    assert term.gradient == pytest.approx({"p3": 3.0 * (2 * 64 * 8 * 8) ** 0.5})
    assert term.ratio == pytest.approx(term.gradient["p3"] / own.gradient["p3"], rel=0.05)
    assert (own.ratio, own.cosine) == (pytest.approx(1.0), pytest.approx(1.0))
    assert own.proposed is None
    assert term.weight == 2.0


def test_proposal_scales_inversely_and_with_the_share():
    strong, weak = measure(Pulls(3.0))["pulls"], measure(Pulls(0.3), share=0.25)["pulls"]
    assert weak.proposed == pytest.approx(5 * strong.proposed, rel=1e-4)
    assert strong.proposed * strong.ratio == pytest.approx(0.5)


def test_a_term_that_passes_the_neck_by_is_measured_on_the_trunk():
    assert list(measure(Pulls(1.0, part="trunk"))["pulls"].gradient) == ["c3"]


def test_a_real_method_leaves_the_student_alone():
    student, teacher = detector(), frozen_teacher()
    trainee = Trainee(student, teacher, [FGFI(student, teacher)])
    before = [p.clone() for p in student.model.parameters()]
    report = balance(trainee, [batch(seed=i) for i in range(4)], FGFI.weights)
    assert all(torch.equal(a, b) for a, b in zip(before, student.model.parameters(), strict=True))
    assert [row.term for row in report] == ["detection", "fgfi"]
    assert report[1].proposed > 0
    text = table(report)
    assert text.splitlines()[0].split() == [
        "value", "ratio", "cosine", "weight", "proposed", "p3", "p4", "p5", "p6", "p7",
    ]  # fmt: skip


def test_needs_batches():
    with pytest.raises(ValueError, match="at least two batches"):
        balance(Trainee(detector()), [batch()], {})
