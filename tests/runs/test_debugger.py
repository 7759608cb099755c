"""Each usual bug is named where it is, with a picture, and nowhere else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdviz.cli import FAILED, OK, main
from kdviz.engine.guards import moved_tensors
from kdviz.runs import debugger, probes, symptoms
from kdviz.runs.lessons import open_detector, open_lesson
from kdviz.runs.run import run
from kdviz.runs.spec import parse_spec
from kdviz.runs.symptoms import RULES, Record

STEPS = 40


def logged(**changes):
    """The history of a healthy run; each change is a term with its values over the steps."""
    rng = np.random.default_rng(0)
    fall = np.linspace(1.0, 0.5, STEPS)
    terms = {
        "classification": fall,
        "bbox_regression": 0.7 * fall,
        "frs_feature/p3": 3.0 * fall,
        "frs_feature/p4": 1.5 * fall,
    }
    terms |= {key.replace("__", "/"): np.asarray(values) for key, values in changes.items()}
    terms = {key: values * rng.uniform(0.98, 1.02, STEPS) for key, values in terms.items()}
    rows = []
    for step in range(STEPS):
        values = {key: float(series[step]) for key, series in terms.items()}
        rows.append({"step": step * 10, "terms": values, "weighted": dict(values)})
    return rows


@pytest.fixture
def record(tiny):
    result = {
        "metrics": {"AP": 0.4},
        "teacher": {"weights": "t.safetensors", "sample_ap": 0.6, "sample_images": 9, "moved": {}},
    }
    return Record(Path("run"), parse_spec(tiny), logged(), result)


def found(record):
    """Names of the bugs that show."""
    told = [rule(record) for rule in RULES]
    assert all(symptom.figure is not None for symptom in told if not symptom.fine)
    return [symptom.name for symptom in told if not symptom.fine]


def with_teacher(record, **changes):
    return replace(
        record, result={**record.result, "teacher": {**record.result["teacher"], **changes}}
    )


def with_train(record, **changes):
    train = record.spec.train.model_copy(update=changes)
    return replace(record, spec=record.spec.model_copy(update={"train": train}))


class TestRecord:
    def test_a_healthy_run_shows_none(self, record):
        assert found(record) == []

    def test_a_run_that_just_began_shows_none(self, record):
        assert found(replace(record, history=[], result=None)) == []

    def test_teacher_not_loaded(self, record):
        assert found(with_teacher(record, sample_ap=0.0)) == ["teacher not loaded"]
        assert found(with_teacher(record, sample_ap=0.3)) == ["teacher not loaded"]

    def test_teacher_in_train_mode(self, record):
        moved = {"backbone.body.bn1.running_mean": 0.02, "backbone.body.bn1.running_var": 0.31}
        told = symptoms.teacher_moved(with_teacher(record, moved=moved))
        assert "2 tensors" in told.told
        assert "running_var by 31" in told.told
        assert found(with_teacher(record, moved=moved)) == ["teacher in train mode"]

    def test_term_zero_on_every_level(self, record):
        silent = logged(fgfi__p3=np.zeros(STEPS), fgfi__p4=np.zeros(STEPS))
        assert found(replace(record, history=silent)) == ["term zero"]

    def test_a_level_that_is_zero_is_no_silent_term(self, record):
        assert found(replace(record, history=logged(frs_feature__p5=np.zeros(STEPS)))) == []

    @pytest.mark.parametrize("last", [200.0, np.inf])
    def test_term_exploding(self, record, last):
        values = np.geomspace(1.0, 200.0, STEPS) * 1e-3
        values[-1] = last
        assert "term exploding" in found(replace(record, history=logged(cwd=values)))

    def test_one_level_dominates(self, record):
        heavy = logged(frs_feature__p3=np.full(STEPS, 2.0), frs_feature__p4=np.full(STEPS, 0.1))
        assert found(replace(record, history=heavy)) == ["one level dominates"]

    def test_distillation_drowns_the_detection_loss(self, record):
        loud = logged(cwd=np.linspace(900.0, 500.0, STEPS))
        assert found(replace(record, history=loud)) == ["distillation drowns"]

    @pytest.mark.parametrize("kind", ["float16", "bfloat16"])
    def test_loss_in_half_precision(self, record, kind):
        history = record.history
        for row in history:
            row["terms"] = {
                key: torch.tensor(value, dtype=getattr(torch, kind)).float().item()
                for key, value in row["terms"].items()
            }
        told = symptoms.half_precision(replace(record, history=history))
        assert not told.fine
        assert kind in told.told
        assert found(record) == ["loss in half precision"]

    def test_learning_rate_against_batch_size(self, record):
        name = ["learning rate, batch"]
        assert found(with_train(record, optimizer="sgd", lr=0.02, batch_size=16)) == []
        assert found(with_train(record, optimizer="sgd", lr=0.02, batch_size=4)) == []
        assert found(with_train(record, optimizer="sgd", lr=0.02, batch_size=2)) == name
        assert found(with_train(record, optimizer="adamw", lr=0.05, batch_size=16)) == name
        assert found(with_train(record, optimizer="adamw", lr=1e-6, batch_size=16)) == name


@pytest.fixture(scope="module")
def lesson():
    return open_lesson(count=16)


class TestTeacher:
    """The embedded teacher with one thing broken in it."""

    def teacher(self):
        return open_detector("teacher")[0]

    def test_sound(self, lesson):
        teacher = self.teacher()
        for probe in (probes.wrong_normalisation, probes.label_shift):
            told = probe(teacher, lesson)
            assert told.fine, told.told
            assert told.figure is not None

    def test_trained_on_blue_green_red(self, lesson):
        teacher = self.teacher()
        first = next(x for x in teacher.model.modules() if isinstance(x, torch.nn.Conv2d))
        # The means of the channels move with the channels: only their order is wrong.
        teacher.model.transform.image_mean = teacher.model.transform.image_mean[::-1]
        teacher.model.transform.image_std = teacher.model.transform.image_std[::-1]
        first.weight.data = first.weight.data.flip(1)
        told = probes.wrong_normalisation(teacher, lesson)
        assert not told.fine
        assert "blue, green, red" in told.told

    def test_trained_without_normalisation(self, lesson):
        teacher = self.teacher()
        mean = torch.tensor(teacher.input_format.mean)
        std = torch.tensor(teacher.input_format.std)
        body = teacher.model.backbone.body
        # A network that undoes the missing normalisation itself is one trained without it.
        body.register_forward_pre_hook(
            lambda _, args: ((args[0] - mean.view(3, 1, 1)) / std.view(3, 1, 1),)
        )
        told = probes.wrong_normalisation(teacher, lesson)
        assert not told.fine
        assert "no normalisation" in told.told

    def test_labels_from_another_number(self, lesson):
        teacher = self.teacher()
        logits = teacher.model.head.classification_head.cls_logits
        background, classes = 1, logits.weight.shape[0]
        order = torch.cat([torch.zeros(1, dtype=torch.long),
                           torch.arange(background, classes).roll(1)])  # fmt: skip
        logits.weight.data, logits.bias.data = logits.weight.data[order], logits.bias.data[order]
        told = probes.label_shift(teacher, lesson)
        assert not told.fine
        assert "plus 1 " in told.told


class TestRun:
    def test_a_teacher_left_in_train_mode_is_caught(self, tiny, workplace, monkeypatch):
        weights = run(parse_spec({**tiny, "name": "teacher"})) / "student.safetensors"
        monkeypatch.setattr(
            "kdviz.runs.prepare.freeze", lambda parts: (parts.model.train(), parts)[1]
        )
        spec = {
            **tiny,
            "teacher": {"name": tiny["student"]["name"], "weights": str(weights), "min_ap": 0.0},
            "methods": [{"name": "fitnets"}],
        }
        folder = run(parse_spec(spec))
        told = {symptom.name: symptom for symptom in debugger.examine_run(folder)}
        assert not told["teacher in train mode"].fine
        assert "running" in told["teacher in train mode"].told

    def test_the_command(self, tiny, workplace, capsys):
        folder = run(parse_spec(tiny))
        capsys.readouterr()
        assert main(["doctor", str(folder), "--json"]) in (OK, FAILED)
        told = json.loads(capsys.readouterr().out)
        assert len(told["symptoms"]) == len(RULES)
        page = Path(told["page"]).read_text()
        assert page.count("data:image/png;base64,") >= 1
        assert "http" not in page

    def test_no_run(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="not a folder"):
            debugger.examine_run(tmp_path / "none")
        with pytest.raises(FileNotFoundError, match=r"no spec\.yaml"):
            debugger.examine_run(tmp_path)


def test_moved_tensors():
    before, after = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    assert moved_tensors(before, after) == {}
    after.running_var[1] = 1.5
    assert moved_tensors(before, after) == {"running_var": 0.5}
