import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import kdviz
from kdviz.detectors import build
from kdviz.detectors.candidates import thresholds_of
from kdviz.detectors.parts import Pass
from kdviz.methods import method_named
from kdviz.methods.fgfi import FGFI
from kdviz.plots import compare_detections, to_png
from kdviz.runs.checkpoints import ADAPTERS, save_adapters, save_student
from kdviz.runs.explore import _Look, _shelf, explore
from kdviz.runs.lessons import Lesson, batch_of, detections_of, open_detector, open_lesson
from kdviz.runs.sources import open_source, open_sources
from kdviz.runs.spec import parse_spec

SCENES = ["disc", "ring", "square", "diamond", "triangle", "arrow", "star", "cross"]


@pytest.fixture(scope="module")
def lesson():
    return open_lesson(None, count=3)


@pytest.fixture
def make_run(tmp_path, tiny):
    """Writes what a run leaves behind, without training it."""

    def make(name="tiny", methods=("fgfi",), keep=True, classes=SCENES, **changes):
        folder = tmp_path / "runs" / f"{name}-12345678"
        folder.mkdir(parents=True)
        torch.manual_seed(1)
        content = {**tiny, "name": name, **changes}
        if methods:
            # As it stands in a spec: from the folder that the command ran in.
            content["teacher"] = {"name": tiny["student"]["name"], "weights": "teacher.safetensors"}
            content["methods"] = [{"name": method} for method in methods]
        spec = parse_spec(content)
        sizes = {"min_size": spec.data.min_size, "max_size": spec.data.max_size}
        student, teacher = (build(spec.student.name, len(classes) + 1, **sizes) for _ in range(2))
        save_student(folder / "student.safetensors", spec, student, classes, 0.1)
        save_student(tmp_path / "teacher.safetensors", spec, teacher, classes, 0.2)
        (folder / "spec.yaml").write_text(spec.to_yaml())
        if methods and keep:
            built = [method_named(method)(student, teacher) for method in methods]
            save_adapters(folder / ADAPTERS, spec, built)
        return folder

    return make


def pictures(lesson, names, thresholds):
    found = {name: detections_of(open_detector(name)[0], lesson) for name in names}
    for image in range(len(lesson.images)):
        figure, _ = compare_detections(
            lesson.images[image],
            {name: found[name][image] for name in names},
            lesson.targets[image],
            lesson.names,
            score_threshold=thresholds.score,
        )
        yield to_png(figure, compression=1)


def pixels_of(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_at_their_own_thresholds_detectors_show_their_own_detections(lesson):
    names = ["student", "teacher"]
    browser = explore(names, lesson)
    figure, own = browser.detections, thresholds_of(open_detector("student")[0])
    assert figure.state["nms_threshold"] == own.nms
    figure.controls["score_threshold"].value = own.score
    figure.controls["image"].value = 2
    for image, expected in enumerate(pictures(lesson, names, own)):
        figure.controls["image"].value = image
        assert np.array_equal(pixels_of(figure.png), pixels_of(expected))
    assert figure.message.value == ""


def test_one_call_shows_a_distilled_student_its_teacher_and_its_mask(lesson):
    browser = explore("fgfi", lesson, count=2)
    assert browser.detections.state["shown"] == ("teacher", "distilled (fgfi)")
    kinds = browser.maps.controls["maps_of"].options
    assert kinds == ("energy", "fgfi: mask")
    assert browser.detections.controls["image"] is browser.maps.controls["image"]
    assert browser.detections.controls["image"].max == 1  # two images of three
    before = browser.maps.png
    browser.maps.controls["maps_of"].value = "fgfi: mask"
    assert browser.maps.png != before
    assert browser.maps.message.value == ""


def test_maps_are_those_of_the_method_and_of_the_features(lesson):
    opened = open_source("fgfi")
    look = _Look(opened)
    for image, target in zip(lesson.images, lesson.targets, strict=True):
        look.at(image, target)
    for index in range(len(lesson.images)):
        batch = batch_of(opened.parts, lesson, [index])
        with torch.no_grad():
            student, teacher = Pass(opened.parts, batch), Pass(opened.teacher, batch)
            mask = FGFI(opened.parts, opened.teacher)(student, teacher, batch).maps["mask"]
        for level, found in zip(mask.levels, look.kinds["fgfi: mask"][index].levels, strict=True):
            assert torch.equal(level.map.float(), found.map)
        for values, found in zip(
            student.features.maps, look.kinds["energy"][index].maps, strict=True
        ):
            assert found.shape == (1, 1, *values.shape[2:])
            i, j = values.shape[2] // 2, values.shape[3] - 1
            expected = sum(float(v) ** 2 for v in values[0, :, i, j]) / values.shape[1]
            assert float(found[0, 0, i, j]) == pytest.approx(expected, rel=1e-5)


class TestSources:
    def test_a_folder_brings_teacher_and_methods(self, make_run):
        folder = make_run(methods=("fgfi", "dist2"))
        named = open_sources(folder)
        assert list(named) == ["distilled (fgfi, dist2)", "teacher"]
        opened = named["distilled (fgfi, dist2)"]
        assert list(opened.methods) == ["fgfi", "dist2"]
        assert opened.kept
        assert opened.teacher is named["teacher"].parts
        assert not opened.teacher.model.training

    def test_its_file_means_the_same(self, make_run):
        folder = make_run()
        one, other = open_source(folder), open_source(folder / "student.safetensors")
        assert (
            (one.role, one.label) == (other.role, other.label) == ("distilled (fgfi)", folder.name)
        )
        assert other.teacher is not None

    def test_a_teacher_that_is_gone_is_left_out(self, make_run, tmp_path, capsys):
        folder = make_run()
        (tmp_path / "teacher.safetensors").unlink()
        assert list(open_sources(folder)) == ["distilled (fgfi)"]
        assert "teacher.safetensors" in capsys.readouterr().out

    def test_names(self, make_run):
        plain, other = make_run("plain", methods=()), make_run("scenes-teacher", methods=())
        assert list(open_sources([plain, other, "student"])) == [
            "student (plain-12345678)",
            "teacher",
            "student (student)",
        ]
        assert list(open_sources({"mine": plain})) == ["mine"]

    def test_an_unknown_name_lists_what_there_is(self):
        with pytest.raises(ValueError, match=r"'techer'.*student, fitnets, fgfi"):
            open_sources(["student", "techer"])

    def test_a_folder_of_something_else(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="the folder of a run that ended"):
            open_sources(tmp_path)
        with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*x\.safetensors"):
            open_sources(tmp_path / "x.safetensors")

    @pytest.mark.parametrize("runs", [["student"] * 5, []])
    def test_five_or_none(self, runs):
        with pytest.raises(ValueError, match=f"1 to 4 .* {len(runs)} were given"):
            open_sources(runs)

    def test_the_same_twice(self):
        with pytest.raises(ValueError, match="student is given twice"):
            open_sources(["student", "student"])


class TestMaps:
    """A map that depends on adapters is shown only with those of the run."""

    def kinds(self, folder, lesson):
        look = _Look(open_source(folder))
        look.at(lesson.images[0], lesson.targets[0])
        return set(look.kinds)

    def test_with_adapters(self, make_run, lesson):
        kinds = self.kinds(make_run(methods=("fgfi", "dist2")), lesson)
        assert kinds == {"energy", "fgfi: mask", "dist2: error/n2n", "dist2: score/n2n"}

    def test_without(self, make_run, lesson):
        kinds = self.kinds(make_run(methods=("fgfi", "dist2"), keep=False), lesson)
        assert kinds == {"energy", "fgfi: mask"}

    def test_without_prototypes_of_the_training(self, make_run, lesson):
        assert self.kinds(make_run(methods=("gkd",), keep=False), lesson) == {"energy"}

    def test_networks_of_another_size_are_left_out_and_named(self, make_run, lesson):
        looks = {
            name: _Look(open_source(source))
            for name, source in [("student", "student"), ("small", make_run(methods=()))]
        }
        for look in looks.values():
            look.at(lesson.images[0], lesson.targets[0])
        shelf = _shelf(looks)
        assert list(shelf.kinds["energy"]) == ["student"]
        assert "another size: small" in shelf.captions["energy"]
        assert shelf.images[0].shape == (3, 128, 128)


class TestData:
    def test_a_run_shows_what_it_was_validated_on(self, make_run, scenes_cache, monkeypatch):
        monkeypatch.setattr("kdviz.runs.embedded.FOLDER", scenes_cache)
        monkeypatch.setattr("kdviz.runs.embedded.names", list)
        shown = {}
        monkeypatch.setattr(
            "kdviz.runs.explore.browse_images", lambda images, *_, **__: shown.update(images=images)
        )
        explore(make_run(methods=()), count=2)
        assert [tuple(image.shape) for image in shown["images"]] == [(3, 64, 64)] * 2

    def test_no_images(self, lesson):
        empty = Lesson(lesson.data, [], [], lesson.names)
        with pytest.raises(ValueError, match="no images"):
            explore("student", empty)

    def test_class_lists_that_differ(self, make_run, lesson):
        cells = make_run("cells", methods=(), classes=["red", "white"])
        with pytest.raises(ValueError, match=r"student knows .*disc.*, but mine has red, white"):
            explore({"student": "student", "mine": cells}, lesson)
        with pytest.raises(ValueError, match=r"mine knows .*red, white, but the data has .*disc"):
            explore({"mine": cells}, lesson)


def test_importing_kdviz_is_quick():
    code = "import sys, kdviz; assert 'explore' in dir(kdviz); sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(kdviz.__file__).parents[1]).returncode
        == 0
    )


def test_explore_stands_at_the_top():
    assert kdviz.explore is explore
    with pytest.raises(AttributeError, match="explode"):
        _ = kdviz.explode
