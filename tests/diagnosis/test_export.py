import csv
import json

import numpy as np
import pytest
from made_sets import coco, drawn, results

import kdviz.diagnosis.export as export
from kdviz.diagnosis.causes import find_causes
from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.export import check_names, write_exports
from kdviz.diagnosis.factors import with_estimates
from kdviz.diagnosis.groups import grouped_boxes
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.tables import box_table, object_table

ROLES = ("student", "teacher", "distilled")
WHOLE = {"box", "image_id", "category_id", "object_id", "student_box", "distilled_box"}


def found_in(names=ROLES, seed=0):
    truth, sets = drawn(names=names, seed=seed)
    return diagnose(read_inputs(truth, **sets), draws=5)


def read_csv(path):
    """Columns by name; empty cells are None, the others as a reader guesses by their look."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: [guess(row[key]) for row in rows] for key in rows[0]}


def guess(text):
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def test_every_file_is_there_and_agrees_with_the_tables(tmp_path):
    found = found_in((*ROLES, "second method"))
    factors = with_estimates(found.inputs.truth).factors
    summary = write_exports(found, tmp_path / "new" / "folder", factors=factors)
    folder = tmp_path / "new" / "folder"
    assert {path.name for path in folder.iterdir()} == {
        "boxes.csv", "objects.csv", "objects.json", "diagnosis.json", "student.json",
        "teacher.json", "distilled.json", "second method.json",
    }  # fmt: skip
    assert json.loads((folder / "diagnosis.json").read_text()) == summary
    assert read_csv(folder / "objects.csv") == object_table(found, factors)
    expected = [
        box_table(found, name, grouped_boxes(one.verdicts)) for name, one in found.sets.items()
    ]
    told = read_csv(folder / "boxes.csv")
    assert list(told) == list(expected[0])
    for key, values in told.items():
        assert values == [value for table in expected for value in table[key]]


def test_whole_numbers_stay_whole_and_others_keep_their_point(tmp_path):
    write_exports(found_in(), tmp_path)
    for name in ("boxes.csv", "objects.csv"):
        for key, values in read_csv(tmp_path / name).items():
            kinds = {type(value) for value in values} - {type(None)}
            assert len(kinds) == 1 or kinds == set()
            if key in WHOLE:
                assert kinds == {int}
            elif key in ("x", "y", "width", "height", "area", "score", "object_iou", "gain"):
                assert kinds == {float}


def test_names_of_any_kind_survive(tmp_path):
    truth = coco([(1, 1, (10, 10, 40, 20))])
    names = ['a, "b"', "two\nlines\r", "grün"]
    for category, name in zip(truth["categories"], names, strict=True):
        category["name"] = name
    truth["images"][0]["file_name"] = "ordner/ä, 1.png"
    boxes = results([(1, k, 0.5, (0, 0, 9, 9)) for k in (1, 2, 3)])
    write_exports(diagnose(read_inputs(truth, student=boxes), draws=2), tmp_path)
    told = read_csv(tmp_path / "boxes.csv")
    assert told["category"] == names
    assert told["file_name"] == ["ordner/ä, 1.png"] * 3
    record = json.loads((tmp_path / "student.json").read_text(encoding="utf-8"))
    assert [category["name"] for category in record["categories"]] == names


def test_equal_diagnoses_give_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        write_exports(found_in(), tmp_path / folder, made_with={"command": "kdviz diagnose"})
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_failure_leaves_the_older_files_alone(tmp_path, monkeypatch):
    write_exports(found_in(("student",)), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(export, "coco_boxes", full)
    with pytest.raises(OSError, match="No space"):
        write_exports(found_in(seed=1), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_the_caller_knows_is_passed_on(tmp_path):
    found = found_in()
    judged = {name: one.verdicts for name, one in found.sets.items()}
    causes = find_causes({"size": found.inputs.truth.area}, judged, found.resamples)
    groups = {name: grouped_boxes(one) for name, one in judged.items()}
    made_with = {"command": "kdviz diagnose", "sha256": {"student": "0a"}}
    summary = write_exports(found, tmp_path, causes=causes, groups=groups, made_with=made_with)
    assert summary["made_with"] == made_with
    assert [finding["factor"] for finding in summary["causes"]] == ["size"]
    assert summary == write_exports(found, tmp_path, causes=causes, made_with=made_with)


@pytest.mark.parametrize(
    "name", ["", "a/b", "../up", ".hidden", "objects", "Diagnosis", "a.b", "_a", "a:b", " a"]
)
def test_names_that_files_cannot_have_are_refused(tmp_path, name):
    truth, sets = drawn(names=("student",))
    found = diagnose(read_inputs(truth, **{name: sets["student"]}), draws=2)
    with pytest.raises(ValueError, match=f"a set named {name!r} cannot be exported"):
        write_exports(found, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_of_factors_are_checked_too():
    check_names(["student", "second method", "größer-2", "boxes"], ["blur", "objects"])
    with pytest.raises(ValueError, match=r"a factor named 'a\.b' cannot"):
        check_names([], ["a.b"])
    with pytest.raises(ValueError, match="factor named 'x/y'"):
        write_exports(found_in(), "nowhere", factors={"x/y": np.ones(180)})
