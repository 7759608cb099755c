"""A student that is kept at a few early steps, and the embedded ones of that kind."""

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kdviz.runs import embedded, snapshots
from kdviz.runs.checkpoints import load_detector, read_metadata
from kdviz.runs.lessons import open_detector, recorded_ap
from kdviz.runs.run import run
from kdviz.runs.spec import parse_spec


class TestKeepSteps:
    def test_the_student_is_kept_as_it_is_then(self, tiny, workplace):
        tiny["train"] |= {"augmentation": "flip-jitter", "ema_decay": 0.5}
        quiet = run(parse_spec(tiny))
        tiny["train"]["keep_steps"] = [2, 7]
        kept = run(parse_spec(tiny))
        files = sorted((kept / "snapshots").iterdir())
        assert [file.name for file in files] == [
            "step-000002.safetensors",
            "step-000007.safetensors",
        ]
        exported = load_file(quiet / "student.safetensors")
        same = load_file(kept / "student.safetensors")
        assert all(torch.equal(exported[key], same[key]) for key in exported)
        early, last = (load_file(file) for file in files)
        assert all(torch.equal(exported[key], last[key]) for key in exported)
        key = "head.classification_head.cls_logits.weight"
        assert not torch.equal(early[key], last[key])
        assert read_metadata(files[0])["step"] == 2
        assert len(load_detector(files[0])[1]) == 8

    def test_it_is_what_a_run_of_so_many_steps_ends_with(self, tiny, workplace):
        tiny["train"] |= {"keep_steps": [3], "schedule": "constant"}
        whole = run(parse_spec(tiny)) / "snapshots" / "step-000003.safetensors"
        tiny["train"] |= {"steps": 3, "keep_steps": []}
        short = run(parse_spec(tiny)) / "student.safetensors"
        first, second = load_file(whole), load_file(short)
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_a_spec_without_it_has_the_hash_of_before(self, tiny):
        before = parse_spec(tiny).hash8
        tiny["train"]["keep_steps"] = []
        assert parse_spec(tiny).hash8 == before
        tiny["train"]["keep_steps"] = [3]
        assert parse_spec(tiny).hash8 != before

    @pytest.mark.parametrize("steps", [[0], [8]])
    def test_steps_that_never_come(self, steps, tiny):
        tiny["train"]["keep_steps"] = steps
        with pytest.raises(ValueError, match=r"lie outside 1 to steps=7"):
            parse_spec(tiny)


@pytest.fixture
def early(tiny, workplace, monkeypatch):
    """A folder with one embedded snapshot of a tiny run."""
    tiny["train"]["keep_steps"] = [2]
    spec = parse_spec(tiny)
    data = workplace / "data"
    data.mkdir()
    (data / "checkpoints.yaml").write_text("{}")
    monkeypatch.setattr(embedded, "FOLDER", data)
    target = data / "snapshots" / "student-000002.safetensors"
    entry = snapshots.embed(run(spec), spec, 2, target)
    (target.parent / "checkpoints.yaml").write_text(yaml.safe_dump({"student@2": entry}))
    return target


class TestEmbedded:
    def test_opens_by_its_step_and_tells_its_score(self, early):
        parts, classes = open_detector("student@2")
        assert len(classes) == 8
        assert not parts.model.training
        kept = load_file(next((early.parents[2] / "runs").glob("*/snapshots/*")))
        key = "head.classification_head.cls_logits.weight"
        assert torch.equal(parts.model.state_dict()[key], kept[key].half().float())
        assert recorded_ap("student@2") == embedded.snapshots()["student@2"]["ap"]
        assert early.stat().st_size < 1.5e6

    def test_it_is_no_trained_detector(self, early):
        assert embedded.names() == []
        assert list(embedded.entries()) == ["student@2"]
        with pytest.raises(ValueError, match=r"no embedded detector 'student@3'.*student@2"):
            open_detector("student@3")

    def test_damage_is_named(self, early):
        early.write_bytes(early.read_bytes()[:-1])
        with pytest.raises(ValueError, match=r"student-000002.safetensors is damaged or missing"):
            open_detector("student@2")


def test_what_is_shipped_is_whole_and_learns():
    entries = embedded.snapshots()
    assert all(embedded.is_intact(name) for name in entries)
    scores = [entry["ap"] for entry in entries.values()]
    assert scores == sorted(scores)


def test_the_steps_are_kept_by_the_run():
    spec = snapshots.early_student()
    assert set(snapshots.EMBEDDED) <= set(spec.train.keep_steps)
    assert spec.methods == ()
