"""What the repository carries in a generated form is what its generators would write now."""

import pytest
import torch
from safetensors.torch import load_file

from kdviz.methods import METHODS, CrossKD
from kdviz.runs import embedded
from kdviz.runs.combinations import works
from kdviz.runs.lessons import batch_of, detections_of, open_detector, open_lesson
from kdviz.runs.readme import README, embedded_sentence, filled
from kdviz.runs.spec import load_spec
from kdviz.runs.zoo import RECIPE_OF, RECIPES


def test_the_tables_of_the_readme_are_up_to_date():
    """Among them that of what works, for which every pair takes two steps."""
    text = README.read_text()
    assert filled(text) == text, "run python -m kdviz.runs.readme"
    assert text.count("](kdviz/methods/") == len(METHODS)
    refused = [line for line in text.splitlines() if line.endswith("| no |")]
    assert [line.split("`")[1] for line in refused] == ["GID", "CrossKD"]


def test_every_embedded_detector_is_named_with_its_score():
    told = embedded_sentence()
    assert all(f"{entry['test_ap']:.3f}" in told for entry in embedded.manifest().values())


def test_a_refusal_says_what_to_use_instead():
    assert "Use FCOS or RetinaNet" in works(CrossKD, "SSDlite")


def test_marks_must_be_there():
    with pytest.raises(ValueError, match="notebooks: begin"):
        filled("# no marks")


class TestEmbedded:
    @pytest.fixture(params=RECIPE_OF)
    def name(self, request):
        return request.param

    def test_comes_from_its_recipe(self, name):
        entry = embedded.manifest()[name]
        spec = load_spec(RECIPE_OF[name])
        assert entry["model"] == spec.student.name
        assert entry["methods"] == [method.name for method in spec.methods]
        assert entry["command"].endswith(RECIPE_OF[name].relative_to(RECIPES).as_posix())

    def test_is_intact_and_in_half_precision(self, name):
        assert embedded.is_intact(name)
        state = load_file(embedded.FOLDER / embedded.manifest()[name]["file"])
        kinds = {values.dtype for values in state.values()}
        assert kinds == {torch.float16, torch.int64}

    def test_sees_something(self, name):
        parts, classes = open_detector(name)
        lesson = open_lesson(count=2)
        assert classes == lesson.names
        assert not any(parameter.requires_grad for parameter in parts.model.parameters())
        best = detections_of(parts, lesson)[0].scores.max()
        assert best > 0.3


def test_all_files_are_a_few_megabytes():
    total = sum(path.stat().st_size for path in embedded.FOLDER.glob("**/*.safetensors"))
    assert total < 40e6


def test_unknown_name():
    with pytest.raises(ValueError, match="no embedded detector 'techer'; there are teacher, "):
        open_detector("techer")


def test_a_lesson_of_ones_own(tmp_path):
    from kdviz.datasets.scenes import SceneConfig, write_scenes

    write_scenes(tmp_path / "mine", SceneConfig(size=96, classes=("disc", "star")), 0, 3, seed=4)
    lesson = open_lesson(str(tmp_path / "mine"), "val", count=2)
    assert [image.shape for image in lesson.images] == [(3, 96, 96)] * 2
    assert lesson.names == ["disc", "star"]
    parts, _ = open_detector("student")
    batch = batch_of(parts, lesson, [1, 0])
    assert batch.images.shape == (2, 3, 128, 128)
    assert batch.targets[0]["boxes"].max() <= 128
