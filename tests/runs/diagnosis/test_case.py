"""Detectors instead of results: what they must know, see and have at hand."""

import json

import pytest

from kdviz.datasets.scenes import SceneConfig, write_scenes
from kdviz.diagnosis.misses import Cause
from kdviz.runs.diagnosis.case import open_case


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "scenes"
    return write_scenes(folder, SceneConfig(), train=0, val=6, seed=0)


@pytest.fixture
def annotations(scenes):
    return scenes / "annotations" / "instances_val.json"


ROLES = {"student": "student", "teacher": "teacher", "distilled": "fgfi"}


@pytest.fixture(scope="module")
def case(scenes):
    return open_case(scenes / "annotations" / "instances_val.json", ROLES, draws=20)


def test_embedded_detectors_are_run_and_followed_inside(case):
    assert list(case.diagnosis.sets) == ["student", "teacher", "distilled"]
    assert case.inside is not None
    assert list(case.lost) == ["student", "distilled"]
    for lost in case.lost.values():
        assert sum(lost.counts().values()) == lost.verdicts.wrong.sum()
        assert set(lost.counts()) == set(Cause)


def test_known_factors_are_kept_and_the_others_estimated(case):
    told = case.diagnosis.inputs.truth.factors
    assert "border" not in told
    assert case.factors["occlusion"].tolist() == told["occlusion"].tolist()
    assert {"occlusion", "cue", "blur", "border", "frequency"} <= set(case.factors)
    assert len(case.factors["blur"]) == len(case.diagnosis.inputs.truth.image)


def test_results_and_detectors_mix_and_say_the_same(case, annotations, tmp_path):
    results = tmp_path / "student.json"
    results.write_text(json.dumps(case.inside.results["student"]))
    mixed = open_case(annotations, {"student": results, "distilled": "fgfi"}, draws=20)
    assert mixed.inside is None
    assert mixed.lost == {}
    for name in ("student", "distilled"):
        ours, theirs = (each.diagnosis.sets[name].verdicts for each in (mixed, case))
        assert ours.counts() == theirs.counts()


def test_detectors_need_the_images(annotations, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"student, teacher cannot detect: 6 of 6 image"):
        open_case(annotations, {"student": "student", "teacher": "teacher"}, tmp_path)


def test_detectors_need_the_same_classes(annotations, case):
    record = json.loads(annotations.read_text())
    record["categories"][0]["name"] = "dog"
    with pytest.raises(ValueError, match=r"teacher \(teacher\) was trained for .*disc"):
        open_case(record, {"teacher": "teacher"}, case.images.folder)
    record["categories"] = record["categories"][:3]
    kept = {entry["id"] for entry in record["categories"]}
    record["annotations"] = [x for x in record["annotations"] if x["category_id"] in kept]
    with pytest.raises(ValueError, match="8 classes, the data 3"):
        open_case(record, {"teacher": "teacher"}, case.images.folder)


def test_nothing_of_such_a_name(annotations):
    with pytest.raises(ValueError, match="'nobody' is neither a run's folder"):
        open_case(annotations, {"student": "nobody"})
