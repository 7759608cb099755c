"""A run from its spec to its folder, its refusals, and what survives a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.testing import assert_close

from kdviz.detectors import build
from kdviz.engine.history import read_history
from kdviz.runs import prepare
from kdviz.runs.checkpoints import load_detector, read_metadata
from kdviz.runs.run import run
from kdviz.runs.spec import parse_spec

KD = {"name": "fgfi", "weights": {"fgfi": {"value": 0.05, "start": 2}}}


def distilled(tiny, teacher):
    return {
        **tiny,
        "name": "distilled",
        "teacher": {
            "name": "fcos-mobilenetv2-c64",
            "weights": str(teacher),
            "min_ap": 0.0,
        },
        "methods": [KD],
    }


@pytest.fixture
def teacher(tiny, workplace):
    """An exported detector; seven steps make no good one, so its AP floor is lowered to 0."""
    tiny = {**tiny, "name": "teacher", "student": {"name": "fcos-mobilenetv2-c64"}}
    return run(parse_spec(tiny)) / "student.safetensors"


class TestFolder:
    @pytest.fixture
    def folder(self, tiny, workplace):
        return run(parse_spec(tiny))

    def test_is_complete(self, folder, tiny):
        assert {path.name for path in folder.iterdir()} == {
            "README.md",
            "detections.json",
            "last.ckpt",
            "metrics.jsonl",
            "report.html",
            "result.json",
            "spec.yaml",
            "student.safetensors",
        }
        result = json.loads((folder / "result.json").read_text())
        assert list(result["metrics"])[:3] == ["AP", "AP50", "AP75"]
        assert result["data"]["train"]["images"] == 8
        assert result["speed"]["images_per_second"] > 0
        assert result["per_factor"]
        assert folder.name == parse_spec(tiny).folder_name
        assert yaml.safe_load((folder / "spec.yaml").read_text())["train"]["clip_norm"] == 10.0

    def test_history_has_each_term_of_each_step(self, folder):
        history = read_history(folder / "metrics.jsonl")
        assert [record["step"] for record in history] == list(range(7))
        assert set(history[0]["terms"]) == {"classification", "bbox_regression", "bbox_ctrness"}
        assert history[0]["loss"] == pytest.approx(sum(history[0]["weighted"].values()), rel=1e-5)

    def test_student_loads_into_plain_torchvision(self, folder):
        model = build("fcos-shufflenetv2x0.5-c64", 9, min_size=64, max_size=64).model
        model.load_state_dict(load_file(folder / "student.safetensors"))
        parts, classes = load_detector(folder / "student.safetensors")
        assert len(classes) == 8
        image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
        for mine, theirs in zip(
            model.eval()([image])[0].values(), parts.model([image])[0].values(), strict=True
        ):
            assert torch.equal(mine, theirs)

    def test_a_finished_run_is_left_alone(self, folder, tiny, capsys):
        before = (folder / "result.json").stat().st_mtime_ns
        assert run(parse_spec(tiny)) == folder
        assert (folder / "result.json").stat().st_mtime_ns == before
        assert "finished already" in capsys.readouterr().out

    def test_report_opens_offline_and_shows_losses_and_detections(self, folder):
        page = (folder / "report.html").read_text()
        assert page.count('src="data:image/png;base64,') == 4
        assert "http" not in page.split("<h2>The spec</h2>")[0]
        assert folder.name in page

    def test_card_tells_score_and_origin(self, folder):
        card = (folder / "README.md").read_text()
        front = yaml.safe_load(card.split("---")[1])
        assert front["pipeline_tag"] == "object-detection"
        assert "ground truth alone" in card
        assert "| AP |" in card


class TestDistillation:
    def test_terms_weights_and_teacher_are_recorded(self, tiny, teacher, capsys):
        folder = run(parse_spec(distilled(tiny, teacher)))
        history = read_history(folder / "metrics.jsonl")
        first, last = history[0], history[-1]
        assert first["terms"]["fgfi/p3"] > 0
        assert first["weighted"]["fgfi/p3"] == 0  # not before step 2
        assert last["weighted"]["fgfi/p3"] == pytest.approx(0.05 * last["terms"]["fgfi/p3"])
        result = json.loads((folder / "result.json").read_text())
        assert len(result["teacher"]["sha256"]) == 64
        assert result["teacher"]["sample_images"] == 4
        assert "tensors from " in capsys.readouterr().out
        # Adapters stay in the checkpoint, out of the student.
        assert not any("adapter" in key for key in load_file(folder / "student.safetensors"))
        assert read_metadata(folder / "student.safetensors")["methods"] == ["fgfi"]

    def test_same_seed_same_weights(self, tiny, teacher, workplace):
        spec = parse_spec(distilled(tiny, teacher))
        first = load_file(run(spec, workplace / "a") / "student.safetensors")
        second = load_file(run(spec, workplace / "b") / "student.safetensors")
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_averaged_weights_are_exported(self, tiny, workplace):
        plain = load_file(run(parse_spec(tiny)) / "student.safetensors")
        tiny["train"]["ema_decay"] = 0.5
        averaged = load_file(run(parse_spec(tiny)) / "student.safetensors")
        key = "head.classification_head.cls_logits.weight"
        assert not torch.equal(plain[key], averaged[key])
        assert_close(plain[key], averaged[key], atol=0.05, rtol=0)


GKD = {"name": "gkd", "options": {"refresh_every": 4}}  # keeps prototypes between steps


@pytest.mark.parametrize(
    ("number", "method"), [(signal.SIGKILL, KD), (signal.SIGTERM, KD), (signal.SIGKILL, GKD)]
)
def test_killed_anywhere_and_resumed_gives_the_same_bits(number, method, tiny, teacher, workplace):
    """The kill comes when a drawn number of steps is in the history; then the run goes on."""
    tiny["train"] |= {"steps": 12, "augmentation": "flip-jitter", "ema_decay": 0.9}
    tiny["train"]["eval_every"] = 5
    spec = parse_spec({**distilled(tiny, teacher), "methods": [method]})
    whole = load_file(run(spec, workplace / "whole") / "student.safetensors")
    (workplace / "spec.yaml").write_text(spec.to_yaml())
    code = "import kdviz.runs.prepare as p, kdviz.cli as c, sys, pathlib\n"
    code += f"p.CACHE = pathlib.Path({str(prepare.CACHE)!r})\n"
    code += "sys.exit(c.main(['run', 'spec.yaml', '--out', 'cut']))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=workplace)
    metrics = workplace / "cut" / spec.folder_name / "metrics.jsonl"
    # Any step may be the last one; where the checkpoint then lies is not ours to choose.
    last = int(torch.randint(1, 10, (), generator=torch.Generator().manual_seed(os.getpid())))
    deadline = time.monotonic() + 120
    while len(read_history(metrics)) < last and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    code = process.wait(timeout=60)
    folder = workplace / "cut" / spec.folder_name
    if number == signal.SIGTERM and code == 75:
        assert (folder / "last.ckpt").exists()
    assert code in (-signal.SIGKILL, 75, 0)
    if code != 0:
        assert not (folder / "result.json").exists()
    resumed = load_file(run(spec, workplace / "cut") / "student.safetensors")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole), f"killed at step {last}"
    history = read_history(metrics)
    assert [r["step"] for r in history if "terms" in r] == list(range(12))
    assert [r["step"] for r in history if "metrics" in r] == [4, 9]


class TestScoresOnTheWay:
    def test_they_are_in_the_history_and_change_nothing_else(self, tiny, workplace):
        tiny["train"] |= {"augmentation": "flip-jitter", "ema_decay": 0.5}
        quiet = run(parse_spec(tiny))
        tiny["train"]["eval_every"] = 2
        spoken = run(parse_spec(tiny))
        before, after = (read_history(folder / "metrics.jsonl") for folder in (quiet, spoken))
        told = [record for record in after if "metrics" in record]
        assert [record["step"] for record in told] == [1, 3, 5]
        assert all(list(record["metrics"]) == ["AP", "AP50", "AP75"] for record in told)
        losses = [[r["terms"] for r in history if "terms" in r] for history in (before, after)]
        assert losses[0] == losses[1]
        weights = [load_file(folder / "student.safetensors") for folder in (quiet, spoken)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])

    def test_the_last_step_is_scored_once(self, tiny, workplace):
        tiny["train"] |= {"steps": 4, "eval_every": 4}
        history = read_history(run(parse_spec(tiny)) / "metrics.jsonl")
        assert not any("metrics" in record for record in history)


def test_a_second_process_stays_out(tiny, workplace):
    fcntl = pytest.importorskip("fcntl")
    spec = parse_spec(tiny)
    folder = workplace / "runs" / spec.folder_name
    folder.mkdir(parents=True)
    other = os.open(folder, os.O_RDONLY)  # locks belong to what was opened, not to the process
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(RuntimeError, match=r"another process is at work on .*tiny-"):
        run(spec)
    assert not any(folder.iterdir())
    os.close(other)
    assert (run(spec) / "result.json").exists()


class TestRefusals:
    """Bad input ends in one message and leaves no folder behind."""

    def refused(self, spec, error, message, workplace):
        before = set((workplace / "runs").glob("*"))
        with pytest.raises(error, match=message):
            run(parse_spec(spec))
        assert set((workplace / "runs").glob("*")) == before

    def test_missing_data(self, tiny, workplace):
        tiny["data"] = {"path": "nowhere"}
        self.refused(tiny, FileNotFoundError, "nowhere", workplace)

    def test_no_gpu(self, tiny, workplace, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        tiny["train"]["accelerator"] = "gpu"
        self.refused(tiny, RuntimeError, "'gpu' but PyTorch sees no CUDA device", workplace)

    def test_a_teacher_that_sees_nothing(self, tiny, teacher, workplace):
        spec = distilled(tiny, teacher)
        spec["teacher"]["min_ap"] = 0.99
        self.refused(spec, ValueError, r"under teacher.min_ap=0.99", workplace)

    def test_a_checkpoint_of_another_architecture(self, tiny, teacher, workplace):
        spec = distilled(tiny, teacher)
        spec["teacher"]["name"] = "fcos-resnet18-c64"
        self.refused(spec, ValueError, "another architecture", workplace)

    def test_a_missing_checkpoint(self, tiny, workplace):
        self.refused(distilled(tiny, "gone.safetensors"), FileNotFoundError, "gone", workplace)

    def test_class_count(self, tiny, workplace):
        model = build("fcos-mobilenetv2-c64", 4).model
        torch.save(model.state_dict(), "four.pth")
        self.refused(distilled(tiny, "four.pth"), ValueError, "another architecture", workplace)

    def test_an_option_the_method_does_not_have(self, tiny, teacher, workplace):
        spec = distilled(tiny, teacher)
        spec["methods"] = [{"name": "fgfi", "options": {"phi": 1}}]
        self.refused(spec, ValueError, "methods.fgfi.options: .*phi", workplace)

    def test_full_disk(self, tiny, workplace, monkeypatch):
        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        self.refused(tiny, OSError, "No space left", workplace)

    def test_a_damaged_checkpoint_is_not_trained_over(self, tiny, workplace):
        spec = parse_spec(tiny)
        folder = workplace / "runs" / spec.folder_name
        folder.mkdir(parents=True)
        (folder / "last.ckpt").write_bytes(b"half a checkpo")
        with pytest.raises(ValueError, match=r"is not a readable checkpoint .* delete it"):
            run(spec)
        assert (folder / "last.ckpt").read_bytes() == b"half a checkpo"

    def test_a_checkpoint_of_another_run(self, tiny, workplace):
        first = run(parse_spec(tiny))
        tiny["train"]["seed"] = 1
        other = workplace / "runs" / parse_spec(tiny).folder_name
        other.mkdir()
        (first / "last.ckpt").rename(other / "last.ckpt")
        with pytest.raises(ValueError, match="written by a run with spec hash"):
            run(parse_spec(tiny))
