"""MGD against the release's numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import Pass
from kdviz.methods.mgd import MGD, generator, keep_mask, mgd_loss


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parent / "reference" / "mgd.npz") as arrays:
        return {name: torch.tensor(values) for name, values in arrays.items()}


def test_release(reference):
    block = generator(4).double()
    block.load_state_dict(
        {k.removeprefix("generation."): v for k, v in reference.items() if "generation" in k}
    )
    generated = block(reference["student"] * reference["keep_mask"])
    loss = mgd_loss(student=generated, teacher=reference["teacher"])
    assert_close(2e-5 * loss, reference["loss"], rtol=1e-9, atol=0)


def test_by_hand():
    student = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(2, 1, 1, 2)
    assert mgd_loss(student=student, teacher=torch.zeros_like(student)) == 15  # (1+4+9+16) / 2


class TestMask:
    values = torch.zeros(2, 3, 100, 100)

    def test_hides_the_share_asked_for(self):
        torch.manual_seed(0)
        visible = keep_mask(self.values, 0.65)
        assert visible.shape == (2, 1, 100, 100)
        assert abs(visible.float().mean().item() - 0.35) < 0.02

    def test_ends(self):
        assert keep_mask(self.values, 0.0).all()
        assert not keep_mask(self.values, 1.0).any()

    def test_comes_from_the_seed(self):
        masks = [torch.manual_seed(seed) and keep_mask(self.values, 0.5) for seed in (1, 1, 2)]
        assert torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[0], masks[2])


def test_what_is_hidden_gets_no_gradient(pair, batch_for):
    student, teacher = pair("retinanet")
    method = MGD(student, teacher)
    batch = batch_for(student)
    seen = Pass(student, batch)
    adapted = method.adapter(seen.features).apply(lambda x: x.detach().requires_grad_())
    visible = adapted.apply(lambda x: keep_mask(x, 0.65))
    generated = method.generate(adapted, visible)
    mgd_loss(student=generated.maps[0], teacher=torch.zeros_like(generated.maps[0])).backward()
    reached = adapted.maps[0].grad.abs().sum(dim=1, keepdim=True) > 0
    assert torch.equal(reached, visible.maps[0])


def test_published_settings_of_the_family(pair):
    one, two = MGD(*pair("fcos")), MGD(*pair("fasterrcnn"))
    assert (one.ratio, one.weights["mgd"].value) == (0.65, 2e-5)
    assert (two.ratio, two.weights["mgd"].value) == (0.45, 5e-7)
    assert MGD(*pair("fcos"), ratio=0.0).ratio == 0.0


def test_refuses_a_ratio_outside(pair):
    with pytest.raises(ValueError, match=r"in \[0, 1\], but is 65"):
        MGD(*pair("fcos"), ratio=65)


def test_half_precision():
    student, teacher = 30 * torch.randn(2, 1, 8, 20, 20)
    half = mgd_loss(student=student.half(), teacher=teacher.half())
    assert half.dtype == torch.float32
    assert_close(half, mgd_loss(student=student, teacher=teacher), rtol=1e-2, atol=0)
