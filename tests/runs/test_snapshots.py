"""A student that is kept at a few early steps, and the embedded ones of that kind."""

import pytest
import torch
from safetensors.torch import load_file

from kdviz.runs.checkpoints import load_detector, read_metadata
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
