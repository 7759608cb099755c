"""The teacher's maps from disk are those that it computes, of the view that the student sees."""

import shutil
from collections import namedtuple

import pytest
import torch
from lightning.fabric import Fabric

from kdviz.datasets import open_data
from kdviz.datasets.coco import DetectionDataset
from kdviz.datasets.loader import collate
from kdviz.datasets.scenes import SceneConfig, cached_scenes
from kdviz.datasets.transforms import mirror, train_preset
from kdviz.detectors import build, freeze
from kdviz.detectors.parts import Pass
from kdviz.engine import teacher_cache
from kdviz.engine.teacher_cache import TeacherCache
from kdviz.engine.trainee import Trainee
from kdviz.methods import FGFI, FRS

FABRIC = Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def data(scenes_cache):
    return open_data(cached_scenes(scenes_cache, SceneConfig(size=64), 8, 4, seed=5), "train")


@pytest.fixture(scope="module")
def detectors():
    torch.manual_seed(0)
    student = build("fcos-shufflenetv2x0.5-c64", 9, min_size=64, max_size=64)
    return student, freeze(build("fcos-mobilenetv2-c64", 9, min_size=64, max_size=64))


@pytest.fixture
def cache(data, detectors, tmp_path):
    return TeacherCache.open(tmp_path, detectors[1], data, "flip", fabric=FABRIC)


def batch_of(student, samples):
    return student.preprocess(*collate(samples))


def test_both_views_of_an_image_are_read_as_the_teacher_computes_them(cache, data, detectors):
    student, teacher = detectors
    plain, flipped = DetectionDataset(data, train_preset("none")), DetectionDataset(data, mirror)
    batch = batch_of(student, [plain[3], flipped[3], flipped[5]])
    read, computed = cache.pass_of(batch).features, Pass(teacher, batch).features
    assert read.strides == computed.strides
    for ours, theirs in zip(read.maps, computed.maps, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=1e-5)  # bfloat16 has eight bits
    assert not torch.allclose(read.maps[0][0], read.maps[0][1], rtol=0.1)


def test_the_second_opening_computes_nothing(cache, data, detectors, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher_cache, "_fill", lambda *_: pytest.fail("computed again"))
    again = TeacherCache.open(tmp_path, detectors[1], data, "flip", fabric=FABRIC)
    sample = DetectionDataset(data, mirror)[0]
    batch = batch_of(detectors[0], [sample])
    torch.testing.assert_close(
        again.pass_of(batch).features.maps, cache.pass_of(batch).features.maps, rtol=0, atol=0
    )
    assert len(list(tmp_path.iterdir())) == 1  # nothing unfinished beside it


def test_another_teacher_has_another_cache(cache, data, detectors, tmp_path):
    torch.manual_seed(1)
    other = freeze(build("fcos-mobilenetv2-c64", 9, min_size=64, max_size=64))
    TeacherCache.open(tmp_path, other, data, "flip", fabric=FABRIC)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("method", [FGFI, FRS])
def test_losses_agree_with_those_of_a_teacher_that_computes(cache, data, detectors, method):
    student, teacher = detectors
    distill = method(student, teacher)
    samples = [DetectionDataset(data, mirror)[k] for k in (1, 2)]
    computed = Trainee(student, teacher, [distill])(*collate(samples))
    read = Trainee(student, teacher, [distill], cache)(*collate(samples))
    assert computed.keys() == read.keys()
    for key, value in computed.items():
        torch.testing.assert_close(read[key], value, rtol=2e-2, atol=1e-4)


def test_images_it_does_not_know_are_computed(cache, data, detectors):
    sample = DetectionDataset(data, train_preset("none"))[0]
    sample[1]["image_id"] = torch.tensor(10_000)
    batch = batch_of(detectors[0], [sample])
    assert type(cache.pass_of(batch)) is Pass


def test_a_canvas_of_another_size_is_computed(cache, data):
    sample = DetectionDataset(data, train_preset("none"))[0]
    larger = build("fcos-shufflenetv2x0.5-c64", 9, min_size=96, max_size=96)
    assert type(cache.pass_of(batch_of(larger, [sample]))) is Pass


def test_augmentations_without_end_are_refused(data, detectors, tmp_path):
    with pytest.raises(ValueError, match=r"few outcomes .none, flip., not 'ssd'"):
        TeacherCache.open(tmp_path, detectors[1], data, "ssd", fabric=FABRIC)
    assert not list(tmp_path.iterdir())


def test_images_of_several_sizes_are_refused(data, detectors, tmp_path):
    record = {**data.record, "images": [dict(image) for image in data.record["images"]]}
    record["images"][0]["width"] = 48
    mixed = type(data)(record, data.images_dir)
    with pytest.raises(ValueError, match=r"2 sizes, such as .*teacher_cache=false"):
        TeacherCache.open(tmp_path, detectors[1], mixed, "flip", fabric=FABRIC)


def test_a_full_disk_is_told_before_anything_is_written(data, detectors, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 0, 1000))
    with pytest.raises(OSError, match=r"16 views take 0.2 MB.*teacher_cache=false"):
        TeacherCache.open(tmp_path, detectors[1], data, "flip", fabric=FABRIC)
    assert not list(tmp_path.iterdir())
