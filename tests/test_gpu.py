"""What only a GPU can show; skipped without one."""

import pytest
import torch
from torch.testing import assert_close

from kdviz.engine.history import read_history
from kdviz.methods.fgfi import imitation_mask
from kdviz.methods.gkd import select_prototypes
from kdviz.runs.run import run
from kdviz.runs.spec import parse_spec

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_run(precision, tiny, workplace):
    tiny["train"] |= {"accelerator": "gpu", "precision": precision}
    folder = run(parse_spec(tiny))
    assert (folder / "result.json").exists()
    losses = [record["loss"] for record in read_history(folder / "metrics.jsonl")]
    assert torch.tensor(losses).isfinite().all()


def test_masks_and_prototypes_are_those_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(20, 30, 3, 2, generator=generator) * 300
    anchors = torch.cat([corners, corners + 40], dim=-1)
    boxes = anchors[::7, ::9, 0].reshape(-1, 4) + 3
    assert torch.equal(
        imitation_mask(anchors, boxes), imitation_mask(anchors.cuda(), boxes.cuda()).cpu()
    )
    student, teacher = torch.randn(2, 200, 16, generator=generator, dtype=torch.float64)
    chosen = select_prototypes(student, teacher, 5)
    assert_close(chosen, select_prototypes(student.cuda(), teacher.cuda(), 5).cpu())
