"""The doctor on a sound installation, and on ones with something broken."""

import json
import sys
from types import SimpleNamespace

import pytest

from kdviz.cli import FAILED, OK, main
from kdviz.runs import doctor, embedded
from kdviz.runs.doctor import examine

LOOKED_AT = ["python", "torch", "device", "evaluator", "notebooks", "checkpoints", "disk"]


@pytest.fixture
def sound(tmp_path, monkeypatch):
    """Everything fine, whatever this machine has: one intact checkpoint, all extras."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedded, "names", lambda: ["teacher"])
    monkeypatch.setattr(embedded, "is_intact", lambda _: True)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: object())


def broken():
    return {x.name: x.told for x in examine() if not x.fine}


def test_sound(sound, capsys):
    assert broken() == {}
    assert main(["doctor", "--json"]) == OK
    told = json.loads(capsys.readouterr().out)
    assert [x["name"] for x in told] == LOOKED_AT
    assert main(["doctor"]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(LOOKED_AT)
    assert all(line.startswith("ok ") for line in lines)


def test_failure_has_an_exit_code(sound, monkeypatch, capsys):
    monkeypatch.setattr(embedded, "names", list)
    assert main(["doctor"]) == FAILED
    assert "FAIL  checkpoints" in capsys.readouterr().out


def test_damaged_checkpoint(sound, monkeypatch):
    monkeypatch.setattr(embedded, "is_intact", lambda _: False)
    assert broken()["checkpoints"].startswith("damaged: teacher; restore")


def test_no_checkpoints_at_all(sound, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    assert "checkpoints.yaml; the embedded checkpoints come with" in broken()["checkpoints"]


def test_missing_extra(sound, monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert "papermill missing: pip install 'kdviz[notebooks]'" in broken()["notebooks"]


def test_torchvision_of_another_torch(sound, monkeypatch):
    """It imports, and then has no operators."""

    def no_operator(*_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("torchvision.ops.nms", no_operator)
    assert broken() == {"torch": "RuntimeError: operator torchvision::nms does not exist"}


def test_a_part_that_does_not_import_ends_nothing(sound, monkeypatch):
    monkeypatch.setitem(sys.modules, "kdviz.engine.coco_eval", None)
    assert list(broken()) == ["evaluator"]


def test_evaluator_that_counts_wrong(sound, monkeypatch):
    half = SimpleNamespace(stats={"AP": 0.5})
    monkeypatch.setattr("kdviz.engine.coco_eval.evaluate_coco", lambda *_: half)
    assert broken() == {"evaluator": "a perfect detection has AP 0.500"}


def test_closed_folder(sound, monkeypatch):
    def closed(**_):
        raise PermissionError(13, "Permission denied", "here")

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", closed)
    assert "Permission denied" in broken()["disk"]
