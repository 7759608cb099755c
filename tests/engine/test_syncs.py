"""Inside a step the host waits for nothing on the GPU: see kdviz/runs/bench/waits.py."""

import pytest
import torch

from kdviz.engine.levers import Levers
from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, GID, METHODS
from kdviz.runs.bench import waits
from kdviz.runs.bench.tables import part_table
from kdviz.runs.bench.waits import small_detector, taught_by, waits_of
from kdviz.runs.bench.workload import workload

WAITING = {
    "GID": "boxes that overlap dropped (NMS)",
}
"""Methods that still make a GPU wait in a step, and for what."""

ENVIRONMENT = ("gpu", "cpu", "threads", "torch", "torchvision", "python", "commit")


@pytest.mark.parametrize("name", ["fcos-shufflenetv2x0.5-c64", "retinanet-shufflenetv2x0.5-c16"])
def test_a_student_alone_waits_for_nothing(name):
    assert not waits_of(Trainee(small_detector(name)))
    # torchvision's way does: we can see it
    assert waits_of(Trainee(small_detector(name)), Levers())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_methods_wait_where_we_say_so_and_nowhere_else(method):
    assert bool(waits_of(taught_by(method))) == (method.__name__ in WAITING)


def test_a_copy_that_waits_is_told_with_its_file(monkeypatch):
    trainee = Trainee(small_detector("fcos-shufflenetv2x0.5-c64"))
    asked = trainee.forward

    def forward(images, targets):
        torch.zeros(1).to("cuda")
        return asked(images, targets)

    monkeypatch.setattr(trainee, "forward", forward)
    assert list(waits_of(trainee).values()) == [1]


def test_the_table_names_what_waits(monkeypatch):
    monkeypatch.setattr(waits, "METHODS", (FGFI, GID))
    measured = waits.waits(workload("cpu"), 0)
    found = {row["step"]: row["waits"] for row in measured["rows"]}
    assert found["FCOS, alone"] == found["RetinaNet, alone"] == found["FCOS with FGFI"] == {}
    assert found["FCOS, torchvision's way"]
    told = {"command": "", "seed": 0, "environment": dict.fromkeys(ENVIRONMENT, 1)}
    table = part_table({"waits": {**measured, **told}}, "waits")
    assert "| FCOS with FGFI | - |" in table
    assert "| FCOS with GID | aten.nonzero.default (1) |" in table
