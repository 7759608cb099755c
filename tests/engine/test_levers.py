"""The levers change the speed of a training and nothing else."""

import pytest
import torch
from torch._dynamo.utils import counters
from torch.testing import assert_close
from torch.utils.data import DataLoader

from kdviz.detectors import build, freeze
from kdviz.detectors.assembly import as_float
from kdviz.detectors.parts import Pass
from kdviz.engine import levers as module
from kdviz.engine.config import LEVERS, TrainConfig
from kdviz.engine.history import read_history
from kdviz.engine.levers import Levers, lay_out, pulled
from kdviz.engine.train import make_fabric, train
from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, TermWeight

# Dynamo asks tensors inside a graph for a gradient, under a filter of its own that "error" outdoes.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute")

OFF = Levers()
ALL = dict.fromkeys(LEVERS, True)


def pair(seed=0):
    torch.manual_seed(seed)
    sizes = {"min_size": 64, "max_size": 64}
    student = build("fcos-shufflenetv2x0.5-c64", 4, **sizes)
    teacher = freeze(build("fcos-shufflenetv2x0.5-c64", 4, **sizes))
    return student, teacher


def trainee(seed=0):
    student, teacher = pair(seed)
    return Trainee(student, teacher, [FGFI(student, teacher)])


def bytes_of(seed, count=2):
    generator = torch.Generator().manual_seed(seed)
    images = [
        torch.randint(256, (3, 64, 64), generator=generator, dtype=torch.uint8)
        for _ in range(count)
    ]
    boxes = torch.tensor([[8.0, 8.0, 40.0, 48.0], [20.0, 4.0, 60.0, 30.0]])
    targets = [
        {"boxes": boxes[n:], "labels": 1 + torch.arange(2 - n), "image_id": torch.tensor(n)}
        for n in range(count)
    ]
    return images, targets


def fit(learner, folder, batches, **changed):
    folder.mkdir(exist_ok=True)
    config = TrainConfig(
        **{"steps": len(batches), "warmup_steps": 0, "log_every": 1, "checkpoint_every": 2}
        | {"accelerator": "cpu", "lr": 1e-3}
        | changed
    )
    train(
        learner,
        lambda start: DataLoader(batches[start:], batch_size=None),
        [],
        config,
        weights={"fgfi": TermWeight(0.01)},
        folder=folder,
        spec_hash="test",
        fabric=make_fabric(config),
    )
    return [record["loss"] for record in read_history(folder / "metrics.jsonl")]


@pytest.fixture(autouse=True)
def _eager(monkeypatch):
    """Trace as for compiling, but leave the arithmetic to PyTorch: to compile takes a minute."""
    monkeypatch.setattr(module, "BACKEND", "eager")


def test_what_is_left_open_is_decided_by_the_device():
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    long = {"steps": 5000}
    assert Levers.of(TrainConfig(**long), cpu) == OFF
    on = Levers.of(TrainConfig(**long), gpu)
    triton = on.compile  # which is not on every machine
    assert on == Levers(**ALL | {"compile": triton})
    assert not Levers.of(TrainConfig(steps=200), gpu).compile
    assert Levers.of(TrainConfig(steps=200, compile=True), gpu).compile
    half = TrainConfig(precision="16-mixed", **long)
    assert not Levers.of(half, gpu).fused
    assert Levers.of(TrainConfig(precision="16-mixed", clip_norm=None, **long), gpu).fused
    assert Levers.of(TrainConfig(**ALL), cpu) == Levers(**ALL)
    assert Levers.of(TrainConfig(**dict.fromkeys(LEVERS, False), **long), gpu) == OFF
    with pytest.raises(ValueError, match="fused=True undoes the scaling"):
        TrainConfig(precision="16-mixed", fused=True)


@pytest.mark.parametrize("lever", [*(each for each in LEVERS if each != "compile"), "all"])
def test_each_lever_trains_the_same_student(lever, tmp_path):
    batches = [bytes_of(seed) for seed in range(3)]
    floats = [([as_float(x) for x in images], targets) for images, targets in batches]
    plain = trainee()
    keys = list(plain.state_dict())
    # Adam would blow differences in the last bits up to whole steps.
    rule = "adamw" if lever == "fused" else "sgd"
    losses = fit(plain, tmp_path / "plain", floats, optimizer=rule)
    learner = trainee()
    counters.clear()
    pulled_ones = ALL if lever == "all" else {lever: True}
    found = fit(learner, tmp_path / "lever", batches, optimizer=rule, **pulled_ones)
    assert list(learner.state_dict()) == keys
    if lever == "all":  # three parts of the student, two of the teacher, whose head nobody asks
        assert counters["stats"]["unique_graphs"] == 5
    assert_close(found, losses, rtol=2e-4, atol=0)
    start = trainee()
    apart, way = (
        sum((a - b).square().sum() for a, b in zip(x.parameters(), plain.parameters(), strict=True))
        for x in (learner, start)
    )
    assert apart < 0.01 * way
    if lever == "device_preprocessing":
        same = zip(learner.state_dict().values(), plain.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in same)
    # And nothing of it is left.
    left = [*learner.model.modules(), *learner.teacher.model.modules()]
    assert all(each._compiled_call_impl is None for each in left)
    assert learner.losses == learner.student.losses
    assert "losses" not in vars(learner.teacher)
    assert learner.preprocess == learner.student.preprocess
    assert all(p.is_contiguous() for p in learner.parameters())


def test_a_resumed_run_with_levers_has_the_same_bits(tmp_path):
    levers = ALL | {"compile": False}  # which is slow to begin, twice
    batches = [bytes_of(seed) for seed in range(4)]
    whole = trainee()
    fit(whole, tmp_path / "whole", batches, ema_decay=0.9, **levers)
    with pytest.raises(ZeroDivisionError):
        fit(trainee(), tmp_path / "halves", Breaking(batches), ema_decay=0.9, **levers)
    resumed = trainee(seed=5)  # all that matters comes from the checkpoint
    resumed.teacher.model.load_state_dict(whole.teacher.model.state_dict())
    fit(resumed, tmp_path / "halves", batches, ema_decay=0.9, **levers)
    for key, values in whole.state_dict().items():
        assert torch.equal(values, resumed.state_dict()[key]), key


class Breaking:
    """Batches of which the fourth cannot be had."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, place):
        if isinstance(place, slice):
            return Breaking(self.batches[place])
        if place == 3:
            raise ZeroDivisionError
        return self.batches[place]


def test_large_parts_are_compiled_in_place():
    learner = trainee()
    keys = list(learner.state_dict()), list(learner.teacher.model.state_dict())
    with pulled(Levers(compile=True), learner):
        for model in (learner.model, learner.teacher.model):
            for part in (model.backbone.body, model.backbone.fpn, model.head):
                assert part._compiled_call_impl is not None
        assert (list(learner.state_dict()), list(learner.teacher.model.state_dict())) == keys
    assert learner.model.head._compiled_call_impl is None


def test_layout_goes_through_both_detectors_and_the_adapters():
    learner = trainee()
    seen = []
    learner.model.backbone.body.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    lay_out(learner, torch.channels_last)
    learner.teacher.model.backbone.body.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with pulled(Levers(channels_last=True), learner):
        learner(*bytes_of(0))
    for model in (learner, learner.teacher.model):
        for values in (p for p in model.parameters() if p.ndim == 4):
            assert values.is_contiguous(memory_format=torch.channels_last)
    assert len(seen) == 2  # one batch, seen by the student and by the teacher
    assert seen[0] is seen[1]
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_targets_are_checked_before_they_travel(tmp_path):
    images, targets = bytes_of(0)
    targets[1]["labels"] = torch.tensor([4])
    with pytest.raises(ValueError, match="labels run from 1 to 3, but target 1 has 4"):
        fit(trainee(), tmp_path, [(images, targets)], device_preprocessing=True)


def test_the_teacher_runs_in_bfloat16_and_keeps_no_graph():
    learner = trainee()
    with torch.autocast("cpu", torch.bfloat16):
        seen = Pass(learner.teacher, learner.preprocess(*bytes_of(0)))
        assert seen.features.maps[0].dtype == torch.bfloat16
        assert not seen.output.logits.requires_grad
        # What is compared and decoded is in float32: bfloat16 has eight significant bits.
        assert seen.output.logits.dtype == seen.output.boxes.dtype == torch.float32
        assert seen.output.extras["anchors"][0].dtype == torch.float32
        ours = Pass(learner.student, seen.batch)
        crossed = learner.teacher.head(ours.features, seen.batch)
        crossed.logits.float().sum().backward()
    assert all(p.grad is None for p in learner.teacher.model.parameters())
    assert any(p.grad is not None for p in learner.student.model.parameters())


def test_batches_travel_as_bytes_where_a_spec_says_so(tiny, workplace):
    from kdviz.runs.prepare import prepare, training_batches
    from kdviz.runs.spec import parse_spec

    pixels = {}
    for lever in (None, True):
        tiny["train"]["device_preprocessing"] = lever
        spec = parse_spec(tiny)
        images, _ = next(iter(training_batches(spec, prepare(spec))))
        pixels[lever] = images
    assert pixels[True][0].dtype == torch.uint8
    assert pixels[None][0].dtype == torch.float32
    for one, other in zip(pixels[True], pixels[None], strict=True):
        assert torch.equal(as_float(one), other)
