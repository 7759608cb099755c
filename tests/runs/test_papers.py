"""The recipes of the papers' tables: files, tables and page say the same, and detectors fit."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from kdviz.detectors import build
from kdviz.files import write_json_atomically
from kdviz.methods import method_named
from kdviz.runs.claims.cost import forward_operations
from kdviz.runs.claims.write import gpu_rate
from kdviz.runs.compare import method_spec
from kdviz.runs.matrix.spec import load_matrix
from kdviz.runs.papers import table
from kdviz.runs.papers.recipes import recipes, row_spec
from kdviz.runs.papers.rows import FOLDER, TABLES, read_tables
from kdviz.runs.spec import load_spec

ROOT = FOLDER.parent.parent.parent
AGAIN = "run python -m kdviz.runs.papers"

# Student alone, distilled, teacher: typed a second time, from the papers and not from the tables.
PUBLISHED = {
    "retinanet-resnet50_from_retinanet-resnet101/frs": (37.4, 39.7, 38.9),
    "fcos-resnet50_from_fcos-resnet101/frs": (38.5, 40.9, 40.8),
    "fasterrcnn-resnet50_from_fasterrcnn-resnet101_1x/frs": (37.4, 39.5, 39.4),
    "retinanet-resnet50_from_retinanet-resnet101/gkd": (37.4, 39.8, 38.9),
    "fasterrcnn-resnet50_from_fasterrcnn-resnet101/gkd": (38.4, 40.6, 39.8),
    "retinanet-resnet50_from_retinanet-resnet101/fgfi": (37.4, 38.6, 38.9),
    "fasterrcnn-resnet50_from_fasterrcnn-resnet101/fgfi": (38.4, 39.3, 39.8),
    "fasterrcnn-vgg11_from_fasterrcnn-vgg16/fgfi": (59.6, 67.6, 70.4),
    "fasterrcnn-resnet50_from_fasterrcnn-resnet101_voc07/fgfi": (69.1, 72.0, 74.4),
    "fasterrcnn-resnet101h_from_fasterrcnn-resnet101_voc07/fgfi": (67.4, 71.2, 74.4),
    "fasterrcnn-resnet101h_from_fasterrcnn-resnet101/fgfi": (28.8, 31.6, 34.4),
    "fasterrcnn-resnet50h_from_fasterrcnn-resnet50/fgfi": (31.2, 34.8, 36.9),
    "fcos-mobilenetv2-c128_from_fcos-resnext101/dist2": (30.4, 36.4, 42.7),
    "fcos-mobilenetv2-c128_from_fcos-resnext101/dist2_n2n": (30.4, 34.7, 42.7),
    "retinanet-mobilenetv2-c128_from_retinanet-resnext101/dist2": (31.0, 32.5, 41.1),
    "fcos-resnet50-c128_from_fcos-resnext101/dist2_b2b": (33.4, 38.3, 42.7),
    "fcos-resnet50-c128_from_fcos-resnext101/dist2_n2b": (33.4, 37.9, 42.7),
    "retinanet-resnet50_from_retinanet-resnext101/fgd": (37.4, 40.7, 41.0),
    "retinanet-resnet50_from_retinanet-resnext101/mgd": (37.4, 41.0, 41.0),
    "retinanet-resnet50_from_fcos-resnext101/pkd": (36.5, 40.3, 42.6),
    "fcos-resnet50_from_fcos-resnet101/crosskd+pkd": (38.5, 41.3, 40.8),
}


@pytest.fixture(scope="module")
def tables():
    return read_tables()


@pytest.fixture(scope="module")
def texts(tables):
    return dict(recipes(tables))


@pytest.fixture(scope="module")
def page(tables):
    return table.page(tables)


@pytest.fixture
def copied(tmp_path):
    """The tables in a folder of their own, to be broken."""
    return shutil.copytree(TABLES, tmp_path / "tables")


def every_row(tables):
    return [(pair, row) for pair in tables.pairs for row in pair.rows]


def cells_of(page, recipe):
    """The cells of the one line of the page that links a recipe."""
    (line,) = (line for line in page.splitlines() if f"({recipe}.yaml)" in line)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


# --- files ----------------------------------------------------------------------------------------


def test_files_are_what_the_tables_say(texts):
    found = {str(path.relative_to(FOLDER)): path for path in FOLDER.glob("*_from_*/*.yaml")}
    assert set(found) == set(texts), AGAIN
    for name, path in found.items():
        assert path.read_text() == texts[name], f"{name} is not what the tables say: {AGAIN}"


def test_page_is_up_to_date(page):
    assert (FOLDER / "README.md").read_text() == page, AGAIN


def test_every_recipe_loads_and_takes_another_folder(texts):
    for name in texts:
        spec = load_spec(FOLDER / name, ["data.path=/elsewhere", "train.devices=8"])
        assert spec.data.path == Path("/elsewhere")
        assert spec.train.schedule == "step"
        assert max(spec.train.milestones) < spec.train.steps


def test_teacher_and_student_recipes_lie_beside_what_needs_them(tables, texts):
    for pair, row in every_row(tables):
        taught = load_spec(FOLDER / pair.name / f"{row.stem}.yaml")
        alone = load_spec(FOLDER / pair.name / "student.yaml")
        teacher = load_spec(FOLDER / pair.name / "teacher.yaml")
        assert taught.teacher.name == teacher.student.name
        assert (
            f"cp runs/{teacher.name}-*/student.safetensors {taught.teacher.weights}"
            in (texts[f"{pair.name}/teacher.yaml"])
        )
        assert taught.train == alone.train
        assert taught.data == alone.data == teacher.data
        if row.start == "student":
            assert (
                f"student.safetensors {taught.student.weights}"
                in texts[f"{pair.name}/student.yaml"]
            )
        else:
            assert taught.student == alone.student


def test_a_detector_of_two_pairs_is_one_run(texts):
    folders = {}
    for name in texts:
        if name.endswith(("student.yaml", "teacher.yaml")):
            spec = load_spec(FOLDER / name)
            folders.setdefault(spec.name, set()).add(spec.folder_name)
    assert len(folders) < sum(name.endswith(("student.yaml", "teacher.yaml")) for name in texts)
    assert all(len(each) == 1 for each in folders.values())


def test_published_weights_are_written_out(tables):
    pair, row = next((p, r) for p, r in every_row(tables) if (p.name, r.stem) == FRS)
    (entry,) = row_spec(pair, row, tables.common).methods
    assert {term: (x.value, x.ramp) for term, x in entry.weights.items()} == {
        "frs_feature": (0.005, 500),
        "frs_class": (0.02, 500),
    }
    faster = load_spec(FOLDER / "fasterrcnn-resnet50_from_fasterrcnn-resnet101_1x" / "frs.yaml")
    assert [x.value for x in faster.methods[0].weights.values()] == [0.002, 0.1]


FRS = ("retinanet-resnet50_from_retinanet-resnet101", "frs")


def test_twice_as_long_is_2x(tables):
    once, twice = (tables.common.schedules[name].train for name in ("1x", "2x"))
    assert twice["steps"] == 2 * once["steps"] == 180_000
    assert twice["milestones"] == [2 * step for step in once["milestones"]]


def test_a_matrix_can_take_a_folder():
    (pair, name), taught = FRS, load_spec(FOLDER / FRS[0] / "frs.yaml")
    assert method_spec(name, steps=180_000, recipes=f"papers/{pair}") == taught.methods[0]


# --- detectors ------------------------------------------------------------------------------------


def test_pairs_can_be_built_and_methods_take_them(tables):
    """On the meta device, which has shapes and no numbers, so that an X101 takes no time."""
    built = {}
    with torch.device("meta"):
        for pair, row in every_row(tables):
            for net in (pair.student, pair.teacher):
                if net.name not in built:
                    built[net.name] = build(net.name, 81)
            student, teacher = built[pair.student.name], built[pair.teacher.name]
            for entry in row.methods:
                # These look at what an RoI head says, which a device without numbers cannot.
                if student.model.__class__.__name__ == "FasterRCNN" and entry.name in (
                    "frs",
                    "gkd",
                ):
                    continue
                method = method_named(entry.name)(student, teacher, **entry.options)
                assert entry.schedule(method.weights).keys() == method.weights.keys()
    sizes = {name: sum(p.numel() for p in x.model.parameters()) for name, x in built.items()}
    for pair in tables.pairs:
        assert sizes[pair.student.name] < sizes[pair.teacher.name]


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_published_numbers(tables, page, recipe):
    alone, distilled, teacher = PUBLISHED[recipe]
    (found,) = ((p, r) for p, r in every_row(tables) if f"{p.name}/{r.stem}" == recipe)
    pair, row = found
    assert (pair.student.published, row.published, pair.teacher.published) == (
        alone,
        distilled,
        teacher,
    )
    cells = cells_of(page, recipe)
    assert cells[2:5] == [f"{alone:.1f}", f"**{distilled:.1f}**", f"{teacher:.1f}"]


def test_each_row_has_one_line_and_no_number_of_ours_unless_run(tables, page):
    for pair, row in every_row(tables):
        cells = cells_of(page, f"{pair.name}/{row.stem}")
        assert len(cells) == 8
        assert cells[5] == "not run" or re.fullmatch(r"\d+\.\d \(\d+ seeds\)", cells[5])


def test_hours_are_operations_over_the_rate(page):
    size = (800, 1333)
    each = 3 * forward_operations("retinanet-resnet50", size)
    each += forward_operations("retinanet-resnet101", size)
    hours = 180_000 * 16 * each / gpu_rate().operations / 3600
    assert float(cells_of(page, "/".join(FRS))[6]) == pytest.approx(hours, abs=0.5)


def test_our_number_is_the_mean_over_seeds(tables, monkeypatch, tmp_path):
    rows = [
        {"data": "coco", "pair": FRS[0], "method": method, "seed": seed, "status": status}
        | {"folder": f"{method}-{seed}", "steps": 9, "AP": ap, "AP50": 0.9}
        for method, seed, status, ap in [
            ("frs", 0, "done", 0.39),
            ("frs", 1, "done", 0.40),
            ("frs", 2, "failed", None),
            ("student", 0, "done", 0.37),
        ]
    ]
    write_json_atomically(tmp_path / "coco.json", {"matrix": "coco", "rows": rows})
    monkeypatch.setattr(table, "MATRICES", tmp_path)
    page = table.page(tables)
    assert cells_of(page, "/".join(FRS))[5] == "39.5 (2 seeds)"
    assert cells_of(page, f"{FRS[0]}/gkd")[5] == "not run"


def test_rows_without_a_recipe_have_a_reason_and_what_they_name_runs(tables, page):
    for row in tables.missing:
        assert row.reason
        assert f"| {row.paper} | {row.row} |" in page
        if row.nearest is None:
            assert not row.overrides
        elif row.nearest.parent.name == "matrices":
            load_matrix(ROOT / row.nearest, row.overrides)
        else:
            spec = load_spec(ROOT / row.nearest, row.overrides)
            for entry in spec.methods:
                assert method_named(entry.name)


# --- tables that cannot be ------------------------------------------------------------------------


def change(folder, name, edit):
    path = folder / name
    content = yaml.safe_load(path.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content))


def test_unknown_paper_and_schedule_are_named(copied):
    change(copied, "fcos.yaml", lambda pairs: pairs[0]["rows"][0].update(paper="FRZ"))
    with pytest.raises(ValueError, match=r"no paper .*FRZ"):
        read_tables(copied)
    change(copied, "fcos.yaml", lambda pairs: pairs[0]["rows"][0].update(paper="FRS"))
    change(copied, "fcos.yaml", lambda pairs: pairs[0]["student"].update(schedule="9x"))
    with pytest.raises(ValueError, match=r"no schedule .*9x"):
        read_tables(copied)


def test_two_rows_of_one_file_are_refused(copied):
    change(copied, "fcos.yaml", lambda pairs: pairs[0]["rows"].append(pairs[0]["rows"][0]))
    with pytest.raises(ValueError, match=r"fcos-resnet50_from_fcos-resnet101/frs.*give one"):
        read_tables(copied)


def test_unknown_keys_are_refused(copied):
    change(copied, "retinanet.yaml", lambda pairs: pairs[0]["rows"][0].update(gain=2.3))
    with pytest.raises(ValueError, match="gain"):
        read_tables(copied)
