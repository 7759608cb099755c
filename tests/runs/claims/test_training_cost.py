"""Estimated hours: operations counted by hand, and speeds carried from one pair to another."""

import pytest
from torch import nn

from kdviz.detectors import build
from kdviz.files import read_json
from kdviz.runs.claims.cost import (
    ASSUMED,
    COCO_CLASSES,
    Cost,
    Rate,
    forward_operations,
    rate_of,
    recorded_rate,
    training_cost,
)
from kdviz.runs.embedded import FOLDER

SMALL, LARGE = "fcos-shufflenetv2x0.5-c64", "fcos-resnet18-c64"
SIZE = (64, 96)
SECOND = Rate(1e9, "by hand", True)


def test_operations_grow_with_the_image():
    whole, quarter = forward_operations(LARGE, (128, 128)), forward_operations(LARGE, (64, 64))
    assert whole == pytest.approx(4 * quarter, rel=0.05)  # the coarsest levels are a cell anyhow


def test_operations_of_a_known_network():
    """ResNet-50's RetinaNet is known to take about 240 G multiplications at 800 x 1333."""
    assert forward_operations("retinanet-resnet50", (800, 1333)) == pytest.approx(4.8e11, rel=0.06)


def test_the_second_stage_counts():
    """Each of 512 proposals passes every linear layer once."""
    heads = build("fasterrcnn-resnet18-c64", COCO_CLASSES + 1).model.roi_heads
    weights = sum(x.weight.numel() for x in heads.modules() if isinstance(x, nn.Linear))
    two, one = (forward_operations(f"{x}-resnet18-c64", SIZE) for x in ("fasterrcnn", "fcos"))
    assert two > 512 * 2 * weights > 0.5 * one


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match="unknown detector"):
        forward_operations("gfl-resnet50", SIZE)


def test_hours_by_hand():
    small, large = forward_operations(SMALL, SIZE), forward_operations(LARGE, SIZE)
    cost = training_cost(student=SMALL, teacher=LARGE, images=1000, size=SIZE, rate=SECOND)
    assert cost.hours == pytest.approx(1000 * (3 * small + large) / 1e9 / 3600)
    alone = training_cost(student=SMALL, teacher=None, images=1000, size=SIZE, rate=SECOND)
    assert alone.hours == pytest.approx(1000 * 3 * small / 1e9 / 3600)


def test_a_measured_speed_comes_back():
    """The pair that was measured takes the time that was measured."""
    where = {"student": SMALL, "teacher": LARGE, "size": SIZE}
    rate = rate_of(50.0, **where, classes=COCO_CLASSES, device="a GPU")
    cost = training_cost(**where, images=50 * 3600, rate=rate)
    assert cost.hours == pytest.approx(1.0)
    assert rate.is_measured
    assert "50 images/s" in cost.told
    assert "a GPU" in cost.told


class TestRecorded:
    def report(self, device, *speeds):
        rows = [{"detector": "FCOS", "variant": str(x), "images_per_second": x} for x in speeds]
        return {
            "overhead": {"rows": []},
            "training": {
                "environment": {"gpu": "Some GPU" if device == "cuda" else None},
                "workload": {
                    "device": device,
                    "trained": "resnet18-c64",
                    "network_size": list(SIZE),
                },
                "rows": [*rows, {"detector": "FCOS", "variant": "compile", "skipped": "why"}],
            },
        }

    def test_the_fastest_on_a_gpu_counts(self):
        reports = [self.report("cpu", 1e6), self.report("cuda", 10.0, 30.0, 20.0)]
        rate = recorded_rate(reports)
        assert rate.operations == pytest.approx(3 * forward_operations(LARGE, SIZE, 8) * 30)
        assert "Some GPU" in rate.source

    def test_the_recorded_benchmark_can_be_read(self):
        report = read_json(FOLDER / "bench.json")
        report["training"]["workload"]["device"] = "cuda"
        report["training"]["environment"]["gpu"] = "none in truth"
        assert recorded_rate([report]).operations > 0

    def test_without_a_gpu_there_is_none(self):
        assert recorded_rate([self.report("cpu", 5.0), {"overhead": {}}]) is None

    def test_then_it_is_said_to_be_assumed(self):
        assert not ASSUMED.is_measured
        assert "assumed" in ASSUMED.source


def test_hours_in_words():
    assert str(Cost(12.34, "so")) == "about 12 h: so"
    assert str(Cost(0.256, "so")) == "about 0.26 h: so"
    assert str(Cost(None, "so")) == "unknown hours: so"
