"""The embedded detectors: what is in ``data/`` is what its manifest says, and damage is named."""

import hashlib

import pytest
import torch
import yaml

from kdviz.detectors import build
from kdviz.runs import embedded
from kdviz.runs.checkpoints import read_metadata, save_student
from kdviz.runs.spec import parse_spec


@pytest.fixture
def folder(tmp_path, monkeypatch, tiny):
    """A folder with one untrained detector, in half precision as the zoo writes them."""
    parts = build(tiny["student"]["name"], 3, min_size=64, max_size=64)
    save_student(
        tmp_path / "s.safetensors", parse_spec(tiny), parts, ["a", "b"], 0.25, torch.float16
    )
    digest = hashlib.sha256((tmp_path / "s.safetensors").read_bytes()).hexdigest()
    entry = {
        "file": "s.safetensors",
        "sha256": digest,
        "model": tiny["student"]["name"],
        "ap": 0.25,
        "command": "kdviz run student.yaml",
    }
    (tmp_path / "checkpoints.yaml").write_text(yaml.safe_dump({"student": entry}))
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    return tmp_path


def test_loads_in_eval_mode_and_full_precision(folder):
    parts, classes = embedded.load("student")
    assert classes == ["a", "b"]
    assert not parts.model.training
    assert all(p.dtype == torch.float32 for p in parts.model.parameters())
    assert embedded.names() == ["student"]


def test_unknown_name(folder):
    with pytest.raises(ValueError, match="no embedded detector 'teacher'; there are student"):
        embedded.load("teacher")


def test_one_flipped_bit(folder):
    path = folder / "s.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert not embedded.is_intact("student")
    with pytest.raises(ValueError, match=r"s.safetensors is damaged or missing: its checksum"):
        embedded.load("student")


def test_missing_file(folder):
    (folder / "s.safetensors").unlink()
    assert not embedded.is_intact("student")
    with pytest.raises(ValueError, match="damaged or missing"):
        embedded.load("student")


def test_installed_without_the_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "FOLDER", tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="clone it, and install with"):
        embedded.names()


@pytest.mark.parametrize("content", ["a: [", "- a", "student: 3", "student: {file: x}", ""])
def test_damaged_manifest(content, folder):
    (folder / "checkpoints.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"checkpoints.yaml is damaged; restore it"):
        embedded.manifest()


class TestShipped:
    """What the repository carries."""

    @pytest.fixture(params=["teacher", "student"])
    def name(self, request):
        return request.param

    def test_every_file_has_its_checksum_and_is_small(self):
        entries = embedded.manifest()
        assert {"teacher", "student"} <= set(entries)
        for name, entry in entries.items():
            assert embedded.is_intact(name), entry["file"]
            assert 0 < entry["ap"] < 1
            assert entry["command"].startswith("kdviz run notebooks/recipes/")
        listed = {x[key] for x in entries.values() for key in ("file", "adapters") if key in x}
        assert {x.name for x in embedded.FOLDER.glob("*.safetensors")} == listed
        assert sum((embedded.FOLDER / x).stat().st_size for x in listed) < 50e6

    def test_manifest_agrees_with_the_file_and_its_recipe(self, name):
        entry = embedded.manifest()[name]
        metadata = read_metadata(embedded.FOLDER / entry["file"])
        assert metadata["model"] == entry["model"]
        recipe = embedded.FOLDER.parent / entry["command"].split()[2]
        spec = parse_spec(yaml.safe_load(recipe.read_text()))
        assert spec.student.name == entry["model"]

    def test_loads(self, name):
        parts, classes = embedded.load(name)
        assert len(classes) == 8
        with torch.no_grad():
            (found,) = parts.model([torch.rand(3, 128, 128)])
        assert torch.isfinite(found["boxes"]).all()

    def test_the_teacher_is_the_better_one(self):
        entries = embedded.manifest()
        assert entries["teacher"]["ap"] > entries["student"]["ap"]
