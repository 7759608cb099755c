"""What several tests need: a tiny rendered data set and a spec that trains on it in seconds."""

import os

# Before torch is imported: the suite runs beside other work, and tiny tensors gain nothing.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

TINY = {
    "name": "tiny",
    "data": {
        "scenes": {"train": 8, "val": 4, "size": 64, "seed": 5},
        "min_size": 64,
        "max_size": 64,
    },
    "student": {"name": "fcos-shufflenetv2x0.5-c64"},
    "train": {
        "steps": 7,
        "batch_size": 2,
        "warmup_steps": 2,
        "log_every": 1,
        "checkpoint_every": 3,
        "accelerator": "cpu",
    },
}


@pytest.fixture
def tiny():
    """A run of seven steps as a mapping; change it, then `parse_spec` it."""
    import copy

    return copy.deepcopy(TINY)


@pytest.fixture
def workplace(tmp_path, monkeypatch, scenes_cache):
    """An empty folder to run in, with the scenes of the tiny spec rendered already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kdviz.runs.prepare.CACHE", scenes_cache)
    return tmp_path


@pytest.fixture(scope="session")
def scenes_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")
