"""The command line: exit codes, pure JSON, and one message for bad input."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

import kdviz
from kdviz.cli import FAILED, OK, TRY_AGAIN, USAGE, main
from kdviz.detectors import build
from kdviz.engine.coco_eval import evaluate_coco
from kdviz.engine.train import Interrupted

TWELVE = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


@pytest.fixture
def annotations():
    boxes = [[4, 4, 20, 20], [40, 40, 50, 50], [10, 60, 30, 30]]
    return {
        "images": [{"id": i, "width": 128, "height": 128, "file_name": f"{i}.png"} for i in (1, 2)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
        "annotations": [
            {
                "id": i + 1,
                "image_id": 1 + i % 2,
                "category_id": (3, 7)[i % 2],
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for i, box in enumerate(boxes)
        ],
    }


@pytest.fixture
def files(tmp_path, annotations):
    """An annotations file and a results file with one right box, one shifted, one absent."""
    results = [
        {"image_id": 1, "category_id": 3, "bbox": [4, 4, 20, 20], "score": 0.9},
        {"image_id": 2, "category_id": 7, "bbox": [45, 45, 50, 50], "score": 0.8},
    ]
    for name, content in (("a.json", annotations), ("d.json", results)):
        (tmp_path / name).write_text(json.dumps(content))
    return str(tmp_path / "a.json"), str(tmp_path / "d.json")


@pytest.fixture
def coco(tmp_path, annotations):
    """A COCO folder with the splits train and val."""
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    for split in ("train", "val"):
        record = json.loads(json.dumps(annotations))
        for image in record["images"]:
            image["file_name"] = f"{split}_{image['file_name']}"
            Image.new("RGB", (128, 128), "grey").save(folder / "images" / image["file_name"])
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def spec_file(tiny, coco, workplace):
    tiny["data"] = {"path": str(coco), "min_size": 64, "max_size": 64}
    tiny["train"] |= {"steps": 2, "warmup_steps": 0}
    (workplace / "spec.yaml").write_text(yaml.safe_dump(tiny))
    return "spec.yaml"


def refused(capsys, arguments, *words):
    """The command fails with one message that has these words, prints nothing else."""
    capsys.readouterr()
    assert main(arguments) == FAILED
    told = capsys.readouterr()
    assert told.out == ""
    message = [line for line in told.err.splitlines() if line.startswith("kdviz: ")]
    assert len(message) == 1, told.err
    assert "Traceback" not in told.err
    for word in words:
        assert word in told.err
    return told.err


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["train"],
            ["run"],
            ["data"],
            ["data", "check"],
            ["run", "spec.yaml", "--nope"],
            ["doctor", "runs/a", "left over"],
            ["evaluate", "--annotations", "a.json"],
            ["data", "scenes", "out", "--train", "many"],
        ],
    )
    def test_what_is_not_understood_exits_with_2(self, arguments, capsys):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == USAGE
        assert "usage: kdviz" in capsys.readouterr().err

    def test_help_and_version_do_not_wait_for_pytorch(self):
        code = (
            "import sys, kdviz.cli as c\n"
            "try: c.main(sys.argv[1:])\n"
            "finally: assert 'torch' not in sys.modules"
        )
        for flag, word in (("--help", "notebooks"), ("--version", f"kdviz {kdviz.__version__}")):
            told = subprocess.run(
                [sys.executable, "-c", code, flag], capture_output=True, text=True, check=True
            )
            assert word in told.stdout

    def test_one_verb_trains(self, capsys):
        with pytest.raises(SystemExit):
            main(["--help"])
        told = capsys.readouterr().out
        assert told.count("train") == 1
        assert "run" in told


class TestEvaluate:
    def test_prints_the_twelve_numbers_and_nothing_else(self, files, capsys):
        annotations, detections = files
        arguments = ["evaluate", "--annotations", annotations, "--detections", detections, "--json"]
        assert main(arguments) == OK
        numbers = json.loads(capsys.readouterr().out)
        assert list(numbers) == TWELVE
        assert numbers == evaluate_coco(annotations, detections).stats
        # Cat: one of two found, at every threshold: precision 1 up to recall .5, 51 of 101 points.
        # Dog: IoU 45^2 / (2 * 50^2 - 45^2) = .68, right at four of ten thresholds.
        assert numbers["AP"] == pytest.approx((51 / 101 + 0.4) / 2)
        assert numbers["AR1"] == pytest.approx((0.5 + 0.4) / 2)

    def test_stdout_is_pure_down_to_the_file_descriptor(self, files):
        """The evaluator below is compiled; what it prints would go past Python's own stream."""
        annotations, detections = files
        command = [sys.executable, "-m", "kdviz.cli", "evaluate", "--json"]
        told = subprocess.run(
            [*command, "--annotations", annotations, "--detections", detections],
            capture_output=True,
            text=True,
            check=True,
        )
        assert list(json.loads(told.stdout)) == TWELVE

    def test_tables_for_people(self, files, capsys):
        annotations, detections = files
        arguments = ["evaluate", "--annotations", annotations, "--detections", detections]
        assert main(arguments) == OK
        assert "2 images, 3 objects, 2 detections" in capsys.readouterr().out
        assert main([*arguments, "--full"]) == OK
        assert "dog" in capsys.readouterr().out
        assert main([*arguments, "--full", "--json"]) == OK
        assert set(json.loads(capsys.readouterr().out)["per_class"]) == {"cat", "dog"}

    def test_bad_files(self, files, tmp_path, capsys):
        annotations, _ = files
        broken = tmp_path / "broken.json"
        broken.write_text('[{"image_id": 1,\n ]')
        given = ["evaluate", "--json", "--annotations", annotations, "--detections"]
        refused(capsys, [*given, str(broken)], "broken.json, line 2, column 2: not JSON")
        refused(capsys, [*given, str(tmp_path / "none.json")], "there is no file", "none.json")
        refused(capsys, [*given, annotations], "are these the annotations?")
        refused(capsys, [*given, str(tmp_path)], "is a folder; name a file in it")
        (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
        refused(capsys, [*given, str(tmp_path / "binary.json")], "is not UTF-8 text")


class TestData:
    def test_check_lists_problems(self, coco, capsys):
        assert main(["data", "check", str(coco), "--json"]) == OK
        assert json.loads(capsys.readouterr().out) == []
        (coco / "images" / "val_2.png").unlink()
        (coco / "images" / "train_1.png").write_bytes(b"\x89PNG and then nothing")
        assert main(["data", "check", str(coco), "--json"]) == FAILED
        problems = json.loads(capsys.readouterr().out)
        found = {(x["kind"], x["split"], x["image_id"]) for x in problems}
        assert found == {("missing-file", "val", 2), ("unreadable-file", "train", 1)}
        assert main(["data", "check", str(coco)]) == FAILED
        assert capsys.readouterr().out.rstrip().endswith("2 errors, 0 warnings")
        assert main(["data", "check", str(coco), "--split", "val", "--json"]) == FAILED
        assert len(json.loads(capsys.readouterr().out)) == 1

    def test_check_of_nothing(self, tmp_path, capsys):
        refused(capsys, ["data", "check", str(tmp_path / "gone")], "gone")
        (tmp_path / "empty").mkdir()
        refused(capsys, ["data", "check", str(tmp_path / "empty"), "--json"], "empty")

    def test_scenes_are_a_sound_data_set(self, tmp_path, capsys):
        folder = tmp_path / "scenes"
        counts = ["--train", "3", "--val", "2", "--size", "64"]
        assert main(["data", "scenes", str(folder), *counts, "--json"]) == OK
        told = json.loads(capsys.readouterr().out)
        assert told["folder"] == str(folder)
        assert told["images"] == {"train": 3, "val": 2, "test": 0}
        assert len(list((folder / "images").iterdir())) == 5
        assert main(["data", "check", str(folder), "--decode"]) == OK
        refused(capsys, ["data", "scenes", str(folder)], "is not empty")

    @pytest.mark.parametrize(
        ("wrong", "word"), [(["--size", "5"], "size"), (["--train", "-1"], "at least 0")]
    )
    def test_scenes_refuse(self, wrong, word, tmp_path, capsys):
        refused(capsys, ["data", "scenes", str(tmp_path / "x"), *wrong], word)
        assert list(tmp_path.iterdir()) == []

    def test_full_disk_leaves_nothing(self, tmp_path, capsys, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(Image.Image, "save", full)
        arguments = ["data", "scenes", str(tmp_path / "x"), "--train", "1", "--val", "1"]
        refused(capsys, arguments, "No space left on device; free some space")
        assert list(tmp_path.iterdir()) == []


class TestRun:
    def test_json_is_all_that_stdout_gets(self, spec_file, capsys):
        assert main(["run", spec_file, "--json", "train.seed=4", "--out", "here"]) == OK
        told = capsys.readouterr()
        result = json.loads(told.out)
        assert result["folder"].startswith("here/tiny-")
        assert list(result["metrics"]) == TWELVE
        assert "methods: none" in told.err
        # An override after an option counts: the run of seed 4 is there, and found again.
        assert main(["run", spec_file, "--out", "here", "train.seed=4"]) == OK
        assert capsys.readouterr().out.splitlines()[-1] == result["folder"]

    def test_interrupted_asks_for_the_same_command(self, spec_file, capsys, monkeypatch):
        def stop(*_):
            raise Interrupted("stopped after step 1 of 2")

        monkeypatch.setattr("kdviz.runs.run.run", stop)
        assert main(["run", spec_file, "--json"]) == TRY_AGAIN
        told = capsys.readouterr()
        assert "stopped after step 1 of 2; the same command goes on" in told.err
        assert "interrupted" in json.loads(told.out)

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("kdviz.runs.run.run", interrupt)
        assert main(["run", spec_file]) == TRY_AGAIN
        assert "interrupted" in capsys.readouterr().err

    def test_only_one_of_several_processes_reports(self, spec_file, capsys, monkeypatch):
        monkeypatch.setattr("kdviz.runs.run.run", lambda *_: Path("folder"))
        monkeypatch.setattr("kdviz.files.read_json", lambda _: {})
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert main(["run", spec_file]) == OK
        assert capsys.readouterr().out == ""

    def test_missing_image(self, spec_file, coco, capsys):
        (coco / "images" / "train_1.png").unlink()
        refused(capsys, ["run", spec_file, "--json"], "train_1.png")

    def test_broken_image_in_a_loader_process(self, spec_file, coco, capsys):
        """PyTorch hands over what failed there with its traceback; the reason is its last line."""
        (coco / "images" / "train_1.png").write_bytes(b"\x89PNG and then nothing")
        refused(capsys, ["run", spec_file, "--json", "train.workers=1"], "train_1.png")

    def test_malformed_annotations(self, spec_file, coco, capsys):
        (coco / "annotations" / "instances_train.json").write_text('{"images": [}')
        refused(capsys, ["run", spec_file], "instances_train.json", "line 1, column 13")

    def test_empty_data_set(self, spec_file, coco, annotations, capsys):
        empty = {"images": [], "annotations": [], "categories": annotations["categories"]}
        (coco / "annotations" / "instances_train.json").write_text(json.dumps(empty))
        told = refused(capsys, ["run", spec_file], "instances_train.json")
        assert "no images" in told

    def test_checkpoint_of_another_architecture(self, spec_file, capsys):
        torch.save(build("fcos-mobilenetv2-c64", 3).model.state_dict(), "other.pth")
        arguments = ["run", spec_file, "student.weights=other.pth"]
        refused(capsys, arguments, "other.pth", "another architecture")

    def test_unknown_key(self, spec_file, capsys):
        refused(capsys, ["run", spec_file, "train.stepz=3"], "train.stepz: unknown key; known are")

    def test_no_gpu(self, spec_file, capsys, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        refused(capsys, ["run", spec_file, "train.accelerator=gpu"], "no CUDA device")

    def test_trace_on_demand(self, spec_file, monkeypatch):
        monkeypatch.setenv("KDVIZ_TRACE", "1")
        with pytest.raises(ValueError, match="unknown key"):
            main(["run", spec_file, "train.stepz=3"])


def test_a_missing_extra_is_one_message(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "papermill", None)
    monkeypatch.delitem(sys.modules, "kdviz.runs.notebooks", raising=False)
    refused(capsys, ["notebooks", "run"], "papermill", "pip install 'kdviz[notebooks]'")


def test_a_closed_pipe_is_no_error():
    """As in ``kdviz data check FOLDER | head -1``."""
    code = (
        "import sys, kdviz.cli as cli\n"
        "cli.parser.commands.doctor = lambda _: cli.Answer([], 'much to say\\n' * 10_000)\n"
        "sys.exit(cli.main(['doctor']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    told = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (told.returncode, told.stderr) == (FAILED, "")
