"""The loop itself: what is trained, what is left alone, and what two processes share."""

import json
import subprocess
import sys

import pytest
import torch

from kdviz.detectors import build, freeze
from kdviz.detectors.parts import Pass
from kdviz.engine.config import LEVERS, TrainConfig
from kdviz.engine.history import History, read_history
from kdviz.engine.train import make_fabric, train
from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, Distillation, FitNets, Method, TermWeight


def detector(name="fcos-shufflenetv2x0.5-c64", seed=0, size=64):
    torch.manual_seed(seed)
    return build(name, 4, min_size=size, max_size=size)


def frozen_teacher(size=64):
    """A teacher whose maps have a realistic size: its batch statistics have seen some images."""
    teacher = detector("fcos-mobilenetv2-c64", seed=1, size=size)
    teacher.model.train()
    for seed in range(8):
        teacher.features(teacher.preprocess(batch(4, seed, size)[0]))
    return freeze(teacher)


def batch(count=2, seed=0, size=64):
    generator = torch.Generator().manual_seed(seed)
    images = [torch.rand(3, size, size, generator=generator) for _ in range(count)]
    targets = [
        {
            "boxes": torch.tensor([[8.0, 8.0, 40.0, 48.0]]),
            "labels": torch.tensor([1 + i % 3]),
            "image_id": torch.tensor(i),
        }
        for i in range(count)
    ]
    return images, targets


def fit(trainee, folder, steps=10, weights=None, batches=None, **config):
    config = TrainConfig(
        steps=steps, warmup_steps=0, log_every=1, accelerator="cpu", **{"lr": 2e-3, **config}
    )
    batches = batches or [batch()] * steps
    return train(
        trainee,
        lambda start: torch.utils.data.DataLoader(batches[start:], batch_size=None),
        batches[:1],
        config,
        weights=weights or {},
        folder=folder,
        spec_hash="test",
        fabric=make_fabric(config),
    )


def snapshot(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def test_two_images_are_learned_by_heart(tmp_path):
    fit(Trainee(detector()), tmp_path, steps=30)
    losses = [record["loss"] for record in read_history(tmp_path / "metrics.jsonl")]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("method", [FGFI, FitNets])
def test_distillation_falls_and_the_teacher_stays_as_it_was(method, tmp_path):
    student, teacher = detector(), frozen_teacher()
    before = snapshot(teacher.model)
    distill = method(student, teacher)
    adapters = snapshot(distill)
    name = method.__name__.lower()
    fit(Trainee(student, teacher, [distill]), tmp_path, weights={name: TermWeight(0.1)}, steps=12)
    history = read_history(tmp_path / "metrics.jsonl")
    terms = [sum(v for k, v in r["terms"].items() if k.startswith(name)) for r in history]
    assert terms[-1] < 0.9 * terms[0]
    assert all(torch.equal(before[k], v) for k, v in teacher.model.state_dict().items())
    assert not any(module.training for module in teacher.model.modules())
    assert any(not torch.equal(adapters[k], v) for k, v in distill.state_dict().items())


def test_only_student_and_adapters_are_in_the_state():
    student, teacher = detector(), freeze(detector("fcos-mobilenetv2-c64"))
    trainee = Trainee(student, teacher, [FGFI(student, teacher)])
    keys = trainee.state_dict().keys()
    assert {key.split(".")[0] for key in keys} == {"model", "adapters"}
    assert sum(key.startswith("model.") for key in keys) == len(student.model.state_dict())


def test_methods_need_a_teacher_and_different_names():
    student, teacher = detector(), freeze(detector("fcos-mobilenetv2-c64"))
    with pytest.raises(ValueError, match="need a teacher"):
        Trainee(student, None, [FGFI(student, teacher)])
    twice = Trainee(student, teacher, [FGFI(student, teacher), FGFI(student, teacher)])
    with pytest.raises(ValueError, match="two losses are called 'fgfi/p3'"):
        twice(*batch())


class Remembers(Method):
    """Keeps a count of its refreshes in a buffer."""

    weights = {"remembers": TermWeight(1.0)}  # noqa: RUF012
    refresh_every = 4

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.seen = []

    def refresh(self, passes):
        for student, teacher, _ in passes:
            assert isinstance(student, Pass)
            assert student.parts.model.training
            assert not student.features.maps[0].requires_grad
            assert not teacher.features.maps[0].requires_grad
        self.count += 1

    def forward(self, student, teacher, batch):
        assert student.parts.model.training
        self.seen.append(int(self.count))
        loss = student.features.maps[0].mean() * 0 + self.count
        return Distillation({"remembers": loss})


def test_methods_are_refreshed_on_schedule(tmp_path):
    student, teacher = detector(), freeze(detector("fcos-mobilenetv2-c64"))
    method = Remembers()
    fit(Trainee(student, teacher, [method]), tmp_path, steps=10)
    assert method.seen == [1] * 4 + [2] * 4 + [3] * 2


def test_a_loss_that_breaks_stops_before_the_weights_do(tmp_path):
    images, targets = batch()
    broken = ([images[0], images[1] * float("nan")], targets)
    trainee = Trainee(detector())
    with pytest.raises(FloatingPointError, match=r"step 2: .* ids \[1\]"):
        fit(trainee, tmp_path, batches=[batch(), batch(), broken, batch()], steps=4)
    weights = [p for p in trainee.model.parameters()]
    assert all(p.isfinite().all() for p in weights)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precisions(precision, tmp_path):
    # Not smaller: PyTorch's bfloat16 convolution on the CPU leaves parts of the weight gradient
    # unwritten where a kernel never meets the map, as on a P6 of one cell.
    student, teacher = detector(size=192), frozen_teacher(size=192)
    trainee = Trainee(student, teacher, [FGFI(student, teacher)])
    fit(
        trainee,
        tmp_path,
        steps=2,
        batches=[batch(size=192)] * 2,
        precision=precision,
        weights={"fgfi": TermWeight(0.01)},
    )
    record = read_history(tmp_path / "metrics.jsonl")[-1]
    assert record["terms"]["fgfi/p3"] > 0
    assert all(p.dtype == torch.float32 for p in trainee.parameters())


def test_a_gradient_that_breaks_is_named(tmp_path):
    class Breaks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            return values.sum() * 0

        @staticmethod
        def backward(ctx, gradient):
            return torch.full((2, 64, 8, 8), float("inf"))

    class Bad(FitNets):
        weights = {"bad": TermWeight(1.0)}  # noqa: RUF012

        def forward(self, student, teacher, batch):
            return Distillation({"bad": Breaks.apply(student.features.maps[0]) + 1})

    student, teacher = detector(), frozen_teacher()
    with pytest.raises(FloatingPointError, match="step 0: every loss is finite but the norm"):
        fit(Trainee(student, teacher, [Bad(student, teacher)]), tmp_path, steps=1)


def test_history_forgets_a_lost_stretch_and_a_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with History(path) as history:
        for step in range(6):
            history.write({"step": step})
    with path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [r["step"] for r in read_history(path)] == list(range(6))
    with History(path, resume_step=3) as history:
        history.write({"step": 3, "again": True})
    assert [r["step"] for r in read_history(path)] == [0, 1, 2, 3]
    assert json.loads(path.read_text().splitlines()[-1])["again"]


PAIR = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file
import kdviz.runs.prepare as prepare
from kdviz.runs.run import run
from kdviz.runs.spec import load_spec
prepare.CACHE = Path(sys.argv[1])
for spec in sys.argv[2:]:
    run(load_spec(Path(spec)))
"""


@pytest.mark.slow
def test_two_processes_train_one_student(tiny, workplace, scenes_cache):
    """Under torchrun with gloo: one folder, one history, and each rank sees its own images.

    Without the levers and with them.
    """
    from kdviz.datasets.scenes import SceneConfig, cached_scenes
    from kdviz.runs.spec import parse_spec

    tiny["train"] |= {"steps": 4, "devices": 2, "log_every": 1}
    plain = parse_spec(tiny)
    tiny["train"] |= {each: True for each in LEVERS if each != "compile"}
    fast = parse_spec(tiny)
    cached_scenes(scenes_cache, SceneConfig(size=64), 8, 4, seed=5)
    (workplace / "plain.yaml").write_text(plain.to_yaml())
    (workplace / "fast.yaml").write_text(fast.to_yaml())
    (workplace / "pair.py").write_text(PAIR)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "pair.py", str(scenes_cache), "plain.yaml", "fast.yaml"]
    told = subprocess.run(command, cwd=workplace, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stderr[-2000:]
    for spec in (plain, fast):
        folder = workplace / "runs" / spec.folder_name
        result = json.loads((folder / "result.json").read_text())
        assert result["images"] == 4  # both halves of the validation split, once
        assert [r["step"] for r in read_history(folder / "metrics.jsonl")] == [0, 1, 2, 3]
