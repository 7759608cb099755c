"""What only a GPU can show; skipped without one."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close
from torch.utils.data import DataLoader

from kdviz.detectors import build, freeze
from kdviz.detectors.batched_losses import batched_losses
from kdviz.detectors.batched_preprocessing import batched_preprocess
from kdviz.engine.config import LEVERS, TrainConfig
from kdviz.engine.history import read_history
from kdviz.engine.levers import Levers, lay_out, pulled
from kdviz.engine.train import make_fabric, train
from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, FRS, GKD, Dist2, FitNets
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


def learner(family="fcos", method=None):
    torch.manual_seed(0)
    name = {"fcos": "fcos-resnet18-c64", "retinanet": "retinanet-resnet18h-c64-p2"}[family]
    student, teacher = (build(name, 4, min_size=128, max_size=128) for _ in range(2))
    if method is None:
        return Trainee(student)
    return Trainee(student, freeze(teacher), [method(student, teacher)])


def scenes(seed, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    images = [
        torch.randint(256, (3, 128, width), generator=generator, dtype=torch.uint8)
        for width in (128, 120)
    ]
    boxes = torch.tensor([[8.0, 8.0, 40.0, 48.0], [20.0, 4.0, 60.0, 90.0]])
    targets = [
        {"boxes": boxes[n:].to(device), "labels": (1 + torch.arange(2 - n)).to(device)}
        | {"image_id": torch.tensor(n)}
        for n in range(2)
    ]
    return [image.to(device) for image in images], targets


def losses_of(folder, **levers):
    folder.mkdir()
    config = TrainConfig(
        **{"steps": 4, "warmup_steps": 0, "log_every": 1, "optimizer": "sgd", "lr": 1e-3}
        | {"accelerator": "gpu"}
        | dict.fromkeys(LEVERS, False)
        | levers
    )
    batches = [scenes(seed) for seed in range(4)]
    outcome = train(
        learner("retinanet", FitNets),
        lambda start: DataLoader(batches[start:], batch_size=None, pin_memory=True),
        [],
        config,
        weights={},
        folder=folder,
        spec_hash="test",
        fabric=make_fabric(config),
    )
    assert outcome.peak_memory > 0
    return torch.tensor([record["loss"] for record in read_history(folder / "metrics.jsonl")])


@pytest.mark.parametrize("lever", [*LEVERS, "all"])
@pytest.mark.filterwarnings("ignore")  # of a compiler that is not ours
def test_each_lever_trains_the_same_student(lever, tmp_path):
    plain = losses_of(tmp_path / "plain")
    pulled_ones = dict.fromkeys(LEVERS, True) if lever == "all" else {lever: True}
    # Convolutions round to TF32 in another order.
    assert_close(losses_of(tmp_path / "lever", **pulled_ones), plain, rtol=0.02, atol=0)


@pytest.mark.parametrize("family", ["fcos", "retinanet"])
@pytest.mark.parametrize("method", [None, FitNets, FGFI, FRS, GKD, Dist2])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_no_step_waits(family, method, precision):
    """Whatever makes the host wait for the GPU is an error here; see tests/engine/test_syncs.py."""
    trainee = learner(family, method)
    trainee.to("cuda")
    if trainee.teacher is not None:
        trainee.teacher.model.to("cuda")
    levers = Levers(channels_last=True, fused=True, batched_losses=True, device_preprocessing=True)
    lay_out(trainee, levers.memory_format)
    optimizer = torch.optim.AdamW(trainee.parameters(), fused=True)
    images, targets = scenes(0, "cuda")
    trainee.refresh(0, [(images, targets)])

    def step():
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            loss = torch.stack(list(trainee(images, targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 10.0)
        optimizer.step()

    with pulled(levers, trainee.train()):
        for _ in range(2):
            step()
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode(before)


@pytest.mark.parametrize("family", ["fcos", "retinanet"])
def test_batched_losses_and_pixels_are_those_of_the_cpu(family):
    told, pixels = [], []
    for device in ("cpu", "cuda"):
        parts = learner(family).student
        parts.model.to(device).double()
        images, targets = scenes(0, device)
        batch = batched_preprocess(parts)(images, targets)
        pixels.append(batch.images.cpu())
        batch = replace(
            batch,
            images=batch.images.double(),
            targets=tuple({**x, "boxes": x["boxes"].double()} for x in batch.targets),
        )
        output = parts.head(parts.features(batch), batch)
        losses = batched_losses(parts)(output, batch)
        told.append({name: loss.cpu() for name, loss in losses.items()})
    assert_close(pixels[0], pixels[1], rtol=0, atol=1e-5)
    assert_close(told[0], told[1], rtol=1e-5, atol=1e-7)


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
