import json
import shutil
from pathlib import Path

import pytest

from kdviz.runs.matrix.outcomes import Outcome
from kdviz.runs.matrix.spec import MatrixSpec
from kdviz.runs.prepare import CACHE, open_splits
from kdviz.runs.spec import DataSpec


@pytest.fixture
def tiny_matrix(tmp_path, monkeypatch, tiny, scenes_cache):
    """Makes a matrix of two tiny runs in an empty folder; the scenes are rendered already."""

    def make(steps):
        monkeypatch.chdir(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr("kdviz.runs.prepare.CACHE", scenes_cache)
            open_splits(DataSpec(**tiny["data"]))
        shutil.copytree(scenes_cache, CACHE)
        student = tiny["student"]
        content = {
            "name": "tiny",
            "data": {"scenes": tiny["data"]},
            "pairs": {"fcos": {"student": student, "teacher": {**student, "weights": "none.pt"}}},
            "methods": ["none"],
            "seeds": [0, 1],
            "train": {**tiny["train"], "steps": steps, "checkpoint_every": 1},
        }
        Path("matrix.yaml").write_text(json.dumps(content))
        return MatrixSpec.model_validate(content)

    return make


@pytest.fixture
def told():
    """What a finished run says of its student: checksum and numbers."""

    def read(folder):
        result = json.loads((folder / "result.json").read_text())
        return result["student"]["sha256"], result["metrics"]

    return read


def _done(method, seed, score, **place):
    place = {"data": "scenes", "pair": "fcos", "images": "same", **place}
    return Outcome(
        method=method,
        seed=seed,
        status="done",
        folder=f"{method}-{seed}",
        steps=10,
        AP=score - 0.1,
        AP50=score,
        AP75=score,
        seconds=60.0,
        **{"test_AP": score, **place},
    )


@pytest.fixture
def done():
    """A record of a run with this score on the test split, and .1 less on the validation split."""
    return _done


@pytest.fixture
def waiting():
    """A record of a run that is not done."""

    def record(method, seed):
        return Outcome("scenes", "fcos", method, seed, "waiting", f"{method}-{seed}", 10)

    return record
