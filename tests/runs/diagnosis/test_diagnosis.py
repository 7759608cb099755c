"""``kdviz diagnose``, from files to a folder: what it leaves, and what it leaves alone."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from kdviz.cli import FAILED, OK, USAGE, main
from kdviz.runs.diagnosis import write as runs_diagnosis

SETS = ("student", "teacher", "distilled")
LEFT = {"index.html", "boxes.csv", "objects.csv", "objects.json", "diagnosis.json"}


def found(objects, kept, score):
    """Right boxes on every object whose number is in ``kept``."""
    return [
        {"image_id": o["image_id"], "category_id": o["category_id"], "bbox": o["bbox"],
         "score": score}
        for o in objects if o["id"] in kept
    ]  # fmt: skip


@pytest.fixture(scope="module")
def kept_data(tmp_path_factory):
    """A COCO folder of six images with three objects each; the distilled student finds more."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("kept") / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for i in range(1, 7):
        pixels = rng.integers(0, 255, (80, 100, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
    objects = [
        {"id": 3 * i + k, "image_id": i + 1, "category_id": 5 + k % 2, "iscrowd": 0,
         "bbox": [5 + 32 * k, 10 + 5 * i, 24, 20], "area": 480}
        for i in range(6) for k in range(3)
    ]  # fmt: skip
    record = {
        "images": [
            {"id": i, "width": 100, "height": 80, "file_name": f"{i}.png"} for i in range(1, 7)
        ],
        "categories": [{"id": 5, "name": "cat <b>"}, {"id": 6, "name": "dog"}],
        "annotations": objects,
    }
    (folder / "annotations" / "instances_val.json").write_text(json.dumps(record))
    kept = {
        "student": range(0, 18, 3),
        "teacher": range(17),
        "distilled": [*range(0, 18, 2), 3, 5],
    }
    for name in SETS:
        boxes = found(objects, set(kept[name]), 0.75)
        boxes.append({"image_id": 1, "category_id": 5, "bbox": [60, 50, 20, 20], "score": 0.25})
        (folder / f"{name}.json").write_text(json.dumps(boxes))
    return folder


@pytest.fixture
def data(kept_data, tmp_path):
    """A copy to be changed."""
    return shutil.copytree(kept_data, tmp_path / "data")


def command(data, *words, sets=SETS):
    told = ["diagnose", "--annotations", str(data / "annotations" / "instances_val.json")]
    for name in sets:
        told += [f"--{name}", str(data / f"{name}.json")]
    return [*told, "--draws", "50", *words]


@pytest.fixture(scope="module")
def kept_out(kept_data):
    """The folder of one diagnosis, as a reader finds it."""
    folder = kept_data.parent / "out"
    assert main(command(kept_data, "--out", str(folder))) == OK
    return folder


@pytest.fixture
def out(kept_out, tmp_path):
    """A copy to be changed."""
    return shutil.copytree(kept_out, tmp_path / "out")


def page_of(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


class TestFolder:
    def test_holds_page_tables_and_annotations_and_nothing_else(self, out):
        assert {path.name for path in out.iterdir()} == LEFT | {f"{name}.json" for name in SETS}

    def test_the_page_needs_no_network_and_no_script(self, out):
        page = page_of(out)
        assert "<script" not in page
        assert not re.search(r"""(?:src|href)=["'](?!data:|#|[\w.]+["'])""", page)

    def test_every_framed_cell_opens_something(self, out):
        page = page_of(out)
        anchors = re.findall(r'<area [^>]*href="#([^"]+)"', page)
        assert len(anchors) == 2  # missed objects of each class; the box on nothing scores too low
        assert all(page.count(f'id="{anchor}"') == 1 for anchor in anchors)

    def test_the_page_says_what_the_tables_say(self, out):
        with (out / "objects.csv").open(encoding="utf-8") as file:
            moved = [row["transition"] for row in csv.DictReader(file)]
        assert moved.count("fixed") == 7  # all that the distilled student finds but 0, 3, 6, 12
        told = json.loads((out / "diagnosis.json").read_text())
        assert f"it fixed {moved.count('fixed')} and broke {moved.count('broken')}" in page_of(out)
        assert told["transitions"]["objects"]["fixed"] == moved.count("fixed")

    def test_names_of_classes_are_text(self, out):
        assert "cat <b>" not in page_of(out)

    def test_the_summary_says_what_it_rests_on(self, out):
        told = json.loads((out / "diagnosis.json").read_text())["made_with"]
        assert told["command"].startswith("kdviz diagnose --annotations ")
        assert set(told["sha256"]) == {"annotations", *SETS}

    def test_the_same_files_leave_the_same_page_in_its_place(self, out, data):
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        (out / "index.html").write_text("older")
        older = json.loads(before["diagnosis.json"])
        older["sets"]["frs"] = {}
        (out / "diagnosis.json").write_text(json.dumps(older))
        (out / "frs.json").write_text("a set that is no more")
        assert main(command(data, "--out", str(out))) == OK
        after = {path.name: path.read_bytes() for path in out.iterdir()}
        changed = {name for name in before if before[name] != after.get(name)}
        assert set(after) == set(before)
        assert changed <= {"diagnosis.json"}  # which tells the command


class TestSets:
    def test_one_set_has_no_transitions_but_a_page(self, data, tmp_path):
        folder = tmp_path / "one"
        assert main(command(data, "--out", str(folder), sets=["student"])) == OK
        page = page_of(folder)
        assert "Which errors does each make?" in page
        assert "hand down" not in page

    def test_a_further_set_stands_beside_the_roles(self, data, tmp_path, capsys):
        folder = tmp_path / "four"
        words = ["--out", str(folder), "--other", f"frs={data / 'student.json'}", "--json"]
        assert main(command(data, *words)) == OK
        told = json.loads(capsys.readouterr().out)  # and nothing else
        assert list(told["sets"]) == [*SETS, "frs"]
        assert told == json.loads((folder / "diagnosis.json").read_text())
        assert (folder / "frs.json").is_file()


class TestImages:
    def test_without_images_there_are_numbers_and_a_word(self, data, tmp_path):
        for path in (data / "images").iterdir():
            path.unlink()
        folder = tmp_path / "bare"
        assert main(command(data, "--out", str(folder))) == OK
        assert "6 of 6 image files are not in" in page_of(folder)
        assert "--images" in page_of(folder)

    def test_they_are_taken_from_another_folder(self, data, tmp_path):
        (data / "images").rename(tmp_path / "elsewhere")
        folder, words = tmp_path / "out", ["--images", str(tmp_path / "elsewhere")]
        assert main(command(data, "--out", str(folder), *words)) == OK
        assert "image files are not in" not in page_of(folder)


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["--images", "nowhere"], "there is no folder nowhere"),
            (["--other", "student=x.json"], "given twice as student"),
            (["--other", "a/b=x.json"], "named 'a/b'"),
            (["--threshold", "1.5"], "1.5"),
            (["--draws", "0"], "0 times"),
        ],
    )
    def test_leave_no_folder(self, data, tmp_path, capsys, words, told):
        folder = tmp_path / "out"
        assert main(command(data, "--out", str(folder), *words)) == FAILED
        assert told in capsys.readouterr().err
        assert not folder.exists()

    def test_other_is_a_name_and_a_file(self, data, tmp_path):
        with pytest.raises(SystemExit) as stop:
            main(command(data, "--out", str(tmp_path / "out"), "--other", "frs.json"))
        assert stop.value.code == USAGE

    def test_a_folder_of_something_else_is_left_alone(self, data, tmp_path, capsys):
        folder = tmp_path / "mine"
        folder.mkdir()
        (folder / "thesis.tex").write_text("")
        assert main(command(data, "--out", str(folder))) == FAILED
        assert "holds files of something else" in capsys.readouterr().err
        assert [path.name for path in folder.iterdir()] == ["thesis.tex"]

    def test_nobody_to_diagnose(self, data, tmp_path, capsys):
        assert main(command(data, "--out", str(tmp_path / "out"), sets=[])) == FAILED
        assert "1 to 4 sets" in capsys.readouterr().err

    def test_bad_detections_are_counted_and_nothing_is_written(self, data, tmp_path, capsys):
        boxes = json.loads((data / "student.json").read_text())
        boxes[0]["image_id"], boxes[1]["score"], boxes[2]["category_id"] = 99, 7, 1
        (data / "student.json").write_text(json.dumps(boxes))
        assert main(command(data, "--out", str(tmp_path / "out"))) == FAILED
        told = capsys.readouterr().err
        assert "student:" in told
        assert all(word in told for word in ("image_id", "score", "category_id"))
        assert not (tmp_path / "out").exists()

    def test_an_older_diagnosis_stays_where_a_new_one_fails(self, out, data, monkeypatch):
        before = {path.name: path.read_bytes() for path in out.iterdir()}

        def full(*_, **__):
            raise OSError("no space left on device")

        monkeypatch.setattr(runs_diagnosis, "diagnosis_page", full)
        assert main(command(data, "--out", str(out))) == FAILED
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
