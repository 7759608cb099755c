"""What is measured on, and the plain recipe."""

from dataclasses import replace

import pytest
import torch

from kdviz.datasets import DetectionDataset, open_data
from kdviz.datasets.transforms import train_preset
from kdviz.detectors import build
from kdviz.runs.bench.plain import PlainImages, train_plainly
from kdviz.runs.bench.training import (
    OFF,
    WARM_UP,
    _Clock,
    _spec,
    _turn,
    settings_of,
    steps_of_turn,
)
from kdviz.runs.bench.workload import CLASSES, workload, write_folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "images", 6, (72, 120))


def test_a_gpu_gets_the_papers_size_and_a_cpu_a_small_one():
    small, large = workload("cpu"), workload("cuda")
    assert (large.network_size, large.trained, large.on_gpu) == ((800, 1333), "resnet50", True)
    height, width = large.file_size
    assert width * 800 // height == 1333
    assert max(small.network_size) < 200
    assert not small.on_gpu


def test_the_folder_is_a_data_set_with_boxes_inside_its_images(folder):
    data = open_data(folder, "train")
    assert len(data.record["images"]) == 6
    assert {(x["width"], x["height"]) for x in data.record["images"]} == {(120, 72)}
    for annotation in data.record["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert 0 <= x < x + width <= 120
        assert 0 <= y < y + height <= 72
    assert open_data(folder, "val").record == data.record


def test_images_in_memory_are_those_of_the_folder(folder):
    where = replace(workload("cpu"), file_size=(72, 120))
    images, targets = where.images(6)
    dataset = DetectionDataset(open_data(folder, "train"), train_preset("none"))
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        stored, told = dataset[index]
        assert (image - stored).abs().mean() < 0.03  # JPEG
        torch.testing.assert_close(target["boxes"], told["boxes"])
        assert target["labels"].tolist() == told["labels"].tolist()


def test_plain_images_mirror_their_boxes(folder):
    plain = PlainImages(folder)
    still = DetectionDataset(open_data(folder, "train"), train_preset("none"))
    mirrored = 0
    torch.manual_seed(0)
    for index in [*range(6)] * 3:
        (image, target), (expected, told) = plain[index], still[index]
        boxes = told["boxes"]
        if not torch.equal(image, expected):
            mirrored += 1
            expected = expected.flip(-1)
            boxes = torch.stack([120 - boxes[:, 2], boxes[:, 1], 120 - boxes[:, 0], boxes[:, 3]], 1)
        assert torch.equal(image, expected)
        torch.testing.assert_close(torch.as_tensor(target["boxes"]).float(), boxes)
    assert 3 < mirrored < 15


def test_the_plain_recipe_trains(folder):
    torch.manual_seed(0)
    model = build("fcos-shufflenetv2x0.5-c64", len(CLASSES) + 1, min_size=96, max_size=160).model
    before = [p.clone() for p in model.parameters()]
    steps = []
    train_plainly(model, folder, batch=3, steps=2, lr=1e-3, on_step=lambda: steps.append(1))
    assert len(steps) == 2
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)


def test_each_lever_changes_one_thing_and_all_change_every():
    settings, skipped = settings_of(workload("cpu"))
    assert settings["none"] == {}
    assert set(skipped) == {"compile"}
    alone = [changed for name, changed in settings.items() if name not in ("none", "all")]
    assert all(len(changed) == 1 for changed in alone)
    assert settings["all"] == {key: value for each in alone for key, value in each.items()}
    assert all(OFF[key] != value for key, value in settings["all"].items())
    on_gpu, skipped = settings_of(workload("cuda"))
    assert not skipped
    assert set(on_gpu["all"]) == set(OFF)


def test_a_turn_times_the_loop(tmp_path):
    where = replace(workload("cpu"), batch=2)
    folder = write_folder(tmp_path / "images", 8, where.file_size)
    spec = _spec(where, "fcos-shufflenetv2x0.5-c64", folder, {"fused": True}, steps_of_turn(1, 1))
    assert spec.train.fused is True
    assert spec.train.steps == WARM_UP + 1 + 1
    turn = _turn(spec, tmp_path, 1, 1)
    assert 0 < turn() < 60
    assert list(tmp_path.iterdir()) == [folder]  # nothing of a turn stays


def test_the_clock_counts_whole_steps(monkeypatch):
    now = iter([10.0, 16.0])
    monkeypatch.setattr("kdviz.runs.bench.training.time.perf_counter", lambda: next(now))
    clock = _Clock(laps=1, steps=3)
    for _ in range(WARM_UP + 3 + 1):
        clock()
    assert clock.seconds == 2.0


def test_the_fastest_lap_counts(monkeypatch):
    now = iter([10.0, 16.0, 20.0, 25.0])
    monkeypatch.setattr("kdviz.runs.bench.training.time.perf_counter", lambda: next(now))
    clock = _Clock(laps=3, steps=2)
    for _ in range(steps_of_turn(3, 2)):
        clock()
    assert clock.seconds == 2.0  # a lap of 4 seconds, two steps
