"""Which runs are looked at, once, and what is left beside them; the looking itself is replaced."""

import sys

import numpy as np
import pytest

from kdviz.diagnosis.bootstrap import Estimate
from kdviz.runs.claims import __main__ as command
from kdviz.runs.claims import measure as module
from kdviz.runs.claims.records import FILE, read_measured
from kdviz.runs.matrix.spec import cells, load_matrix

MATRIX = """\
name: small
data: {d: {path: somewhere}}
pairs:
  p:
    student: {name: fcos-shufflenetv2x0.5-c64}
    teacher: {name: fcos-resnet18-c64, weights: t.safetensors}
methods: [none, fitnets, fgfi]
seeds: [0, 1]
train: {steps: 20, warmup_steps: 2}
"""


class Data:
    def first(self, limit):
        self.limit = limit
        return self


@pytest.fixture
def looks(monkeypatch):
    """The groups of runs that were looked at; each method's number is its seed plus a tenth."""
    seen = []

    def open_(group, folder):
        seen.append([(cell.method, cell.seed) for cell in group])
        return group

    def look_at(group, data):
        return {
            (cell.method, "near"): Estimate(cell.seed + 0.1 * i, np.full(3, 0.1 * i))
            for i, cell in enumerate(group)
        }

    monkeypatch.setattr(module, "_images", lambda spec: Data())
    monkeypatch.setattr(module, "_open", open_)
    monkeypatch.setattr(module, "look_at", look_at)
    return seen


@pytest.fixture
def matrix(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(MATRIX)
    return load_matrix(file)


def finish(matrix, root, *places):
    for cell in cells(matrix):
        if (cell.method, cell.seed) in places:
            folder = root / matrix.name / cell.spec.folder_name
            folder.mkdir(parents=True)
            (folder / "result.json").write_text("{}")


def test_a_seed_counts_with_the_student_alone_and_another(matrix, tmp_path, looks):
    finish(matrix, tmp_path, ("student", 0), ("fgfi", 0), ("fgfi", 1), ("fitnets", 1))
    found = module.measure(matrix, tmp_path)
    assert looks == [[("student", 0), ("fgfi", 0)]]
    assert read_measured(tmp_path / "small" / FILE) == found
    assert {one.seeds for one in found} == {(0,)}


def test_looks_again_only_where_runs_were_added(matrix, tmp_path, looks):
    finish(matrix, tmp_path, *((name, s) for name in ("student", "fitnets") for s in (0, 1)))
    first = module.measure(matrix, tmp_path)
    assert module.measure(matrix, tmp_path) == first
    assert len(looks) == 2
    finish(matrix, tmp_path, ("fgfi", 1))
    again = module.measure(matrix, tmp_path)
    assert looks[2:] == [[("student", 1), ("fitnets", 1), ("fgfi", 1)]]
    more = {one.place[2:]: one for one in again}["fgfi", "near, beyond fitnets"]
    assert more.seeds == (1,)
    assert more.values == pytest.approx((0.1,))


def test_other_images_are_looked_at_anew(matrix, tmp_path, looks):
    finish(matrix, tmp_path, ("student", 0), ("fgfi", 0))
    for limit in (None, 5, 5):
        module.measure(matrix, tmp_path, limit=limit)
    assert len(looks) == 2


def test_without_a_finished_run_there_is_nothing(matrix, tmp_path, looks):
    assert module.measure(matrix, tmp_path) == []
    assert looks == []


def test_the_command_measures(matrix, tmp_path, looks, monkeypatch, capsys):
    file = tmp_path / "small.yaml"
    # The path of the data is part of a run, so it must reach the matrix that is measured.
    finish(load_matrix(file, ["data.d.path=here"]), tmp_path, ("student", 0), ("fgfi", 0))
    asked = ["claims", "--root", str(tmp_path), "measure", str(file)]
    for given, told in (([], "0 numbers of 0"), (["data.d.path=here"], "2 numbers of 2")):
        monkeypatch.setattr(sys, "argv", [*asked, *given])
        command.main()
        assert told in capsys.readouterr().out
