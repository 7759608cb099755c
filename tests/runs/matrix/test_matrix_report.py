"""The page of a matrix from hand-made folders: partial, failed, of one seed, of none."""

import csv
import html
import json
import re
from html.parser import HTMLParser

import pytest

from kdviz.cli import main
from kdviz.runs.matrix.attempts import attempt, end_attempt
from kdviz.runs.matrix.findings import chance, findings, missing, unpaired
from kdviz.runs.matrix.gains import by_class, by_factor, mean_gains, round_up
from kdviz.runs.matrix.places import failed_notebook
from kdviz.runs.matrix.report import report_table, write_report
from kdviz.runs.matrix.spec import MatrixSpec, cells, to_yaml
from kdviz.runs.matrix.standings import groups
from kdviz.runs.matrix.tables import results_table

MATRIX = MatrixSpec.model_validate(
    {
        "name": "small",
        "data": {"scenes": {"scenes": {"train": 8, "val": 4, "test": 4}}},
        "pairs": {
            name: {
                "student": {"name": f"{name}-shufflenetv2x0.5-c64"},
                "teacher": {"name": f"{name}-resnet18h-c64", "weights": "data/teacher.safetensors"},
            }
            for name in ("fcos", "retinanet")
        },
        "methods": ["none", "fgfi", "gkd"],
        "seeds": [0, 1, 2],
        "train": {"steps": 20, "warmup_steps": 2},
    }
)
GAIN = {"student": 0.0, "fgfi": 0.05, "gkd": 0.01}


def result_of(cell, **changes):
    ap = 0.3 + 0.01 * cell.seed + GAIN[cell.method] * (1 + 0.1 * cell.seed * (cell.method == "gkd"))
    ap += 0.02 * (cell.method == "gkd" and cell.seed == 2)
    stats = {"AP": ap, "AP50": ap + 0.2, "AP75": ap, "APs": ap, "APm": ap + 0.1, "APl": -1.0}
    return {
        "metrics": stats,
        "test": {**stats, "AP": ap - 0.01},
        "per_class": {"ring": {"stats": stats}, "star": {"stats": {**stats, "AP": ap / 2}}},
        "per_factor": {
            "blur": [
                {"slice": {"name": "zero", "low": None, "high": 0.0}, "stats": stats},
                {"slice": {"name": "high", "low": 0.0, "high": None}, "stats": stats},
            ]
        },
        "teacher": None if cell.method == "student" else {"sample_ap": 0.6, "sample_images": 4},
        "data": {"train": {"hash": "a", "images": 8}, "val": {"hash": "b", "images": 4}},
        "speed": {"seconds": 90.0 + cell.seed, "images_per_second": 20.0, "peak_memory": None},
        "environment": {"torch": "2.15", "commit": "abc", "gpu": None},
        **changes,
    }


def history_of(cell):
    for step in range(0, 20, 2):
        weighted = {} if cell.method == "student" else {f"{cell.method}/p3": 0.5 / (1 + step)}
        terms = {"classification": 2 / (1 + step), "bbox_regression": 1.0, **weighted}
        record = {"step": step, "terms": terms, "weighted": weighted, "loss": 1.0, "seconds": step}
        yield record | ({"metrics": {"AP": 0.01 * step}} if step in (10, 18) else {})


def make(root, wanted=lambda cell: True, **changes):
    """Folders as done runs leave them; returns the home of the matrix."""
    home = root / MATRIX.name
    for cell in filter(wanted, cells(MATRIX)):
        folder = home / cell.spec.folder_name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result_of(cell, **changes)))
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, history_of(cell))))
        for name in ("notebook.ipynb", "report.html", "spec.yaml"):
            (folder / name).write_text("{}")
    return home


def fail(home, cell, error):
    folder = home / cell.spec.folder_name
    with attempt(folder):
        end_attempt(folder, "failed", error)
    failed_notebook(folder).write_text("{}")


class Page(HTMLParser):
    """Links, sources and text of a page, and whether its tags close."""

    def __init__(self, path):
        super().__init__()
        self.links, self.sources, self.ids, self.open, self.words = [], [], [], [], []
        self.feed(path.read_text())
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given["href"]] if tag == "a" else []
        self.sources += [given["src"]] if "src" in given else []
        self.ids += [given["id"]] if "id" in given else []
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    """All of seeds 0 and 1; of seed 2 one run failed, the others wait."""
    root = tmp_path_factory.mktemp("runs")
    home = make(root, lambda cell: cell.seed < 2 or (cell.pair, cell.method) == ("fcos", "fgfi"))
    every = {(x.pair, x.method, x.seed): x for x in cells(MATRIX)}
    fail(home, every["fcos", "gkd", 2], "cell 7: ValueError: <b>no</b> & so on")
    page = write_report(MATRIX, root)
    return root, page


class TestPage:
    def test_it_needs_nothing_but_itself(self, partial):
        page = Page(partial[1])
        assert page.sources
        assert all(source.startswith("data:image/png;base64,") for source in page.sources)
        assert "http" not in re.sub(r"data:image/png;base64,[^\"]+", "", partial[1].read_text())
        assert "<script" not in partial[1].read_text()

    def test_every_link_leads_somewhere(self, partial):
        page = Page(partial[1])
        for link in page.links:
            if link.startswith("#"):
                assert link[1:] in page.ids
            else:
                assert (partial[1].parent / link).exists(), link
        assert sum(link.endswith("notebook.ipynb") for link in page.links) == 13
        assert sum(link.endswith("failed.ipynb") for link in page.links) >= 1

    def test_it_says_what_is_missing(self, partial):
        text = Page(partial[1]).text
        assert "13 of 18 runs are done" in text
        assert "5 of 18 runs are not done (4 waiting, 1 failed)" in text
        assert "no run of the student alone with the same seed" in text
        assert "fgfi (seed 2)" in text
        assert "What failed?" in text
        assert "cell 7: ValueError: <b>no</b> & so on" in text
        assert "2 of 3" in text

    def test_a_failed_run_is_no_markup(self, partial):
        assert html.escape("<b>no</b> & so on") in partial[1].read_text()

    def test_only_pairs_are_compared(self, partial):
        told = report_table(MATRIX, partial[0], "text")
        fcos = told.split("\n\n")[0]
        fgfi = next(line for line in fcos.splitlines() if line.startswith("fgfi"))
        assert "0.350" in fgfi  # of three seeds
        assert "+0.050" in fgfi  # of two

    def test_json_and_csv_hold_every_run(self, partial):
        home = partial[1].parent
        content = json.loads((home / "results.json").read_text())
        assert content["matrix"] == "small"
        assert content["environment"]["torch"] == ["2.15"]
        assert len(content["rows"]) == 18
        assert {"data", "pair", "method", "seed", "AP", "AP50", "AP75", "test_AP", "seconds",
                "steps", "folder", "status"} <= set(content["rows"][0])  # fmt: skip
        by_place = {(r["pair"], r["method"], r["seed"]): r for r in content["rows"]}
        assert by_place["fcos", "fgfi", 1]["test_AP"] == pytest.approx(0.35)
        assert by_place["fcos", "gkd", 2]["status"] == "failed"
        assert by_place["fcos", "gkd", 2]["AP"] is None
        with (home / "results.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["folder"] for row in rows] == [row["folder"] for row in content["rows"]]
        assert results_table(home / "results.json") == report_table(MATRIX, partial[0], "text")

    def test_nothing_else_is_left(self, partial):
        files = {path.name for path in partial[1].parent.iterdir() if path.is_file()}
        expected = {"index.html", "results.json", "results.csv", "matrix.yaml"}
        assert {name for name in files if "-s2-" not in name} == expected


def test_no_run_at_all(tmp_path):
    page = Page(write_report(MATRIX, tmp_path))
    assert "0 of 18 runs are done" in page.text
    assert "No two runs are done yet" in page.text
    assert page.sources == []


def test_one_seed_has_no_interval_and_no_verdict(tmp_path):
    make(tmp_path, lambda cell: cell.seed == 0)
    text = Page(write_report(MATRIX, tmp_path)).text
    assert "one seed: no interval" in text
    assert "no more than a hint" in text
    assert "better" not in re.sub(r"(worse to the left, better|Better and worse)", "", text)


def test_other_versions_are_told(tmp_path):
    make(tmp_path, lambda cell: cell.seed == 0)
    home = make(tmp_path, lambda cell: cell.seed == 1, environment={"torch": "2.14"})
    assert "not all made with the same torch" in Page(write_report(MATRIX, tmp_path)).text
    assert json.loads((home / "results.json").read_text())["environment"]["torch"] == [
        "2.15",
        "2.14",
    ]


def test_a_teacher_of_unknown_images(tmp_path):
    make(tmp_path, lambda cell: cell.seed == 0, teacher={"sample_ap": 0.654})
    page = write_report(MATRIX, tmp_path).read_text()
    assert re.search(r'<tr class="of-teacher"><td>teacher</td><td>0.654</td>', page)


def test_other_images_are_no_pair(tmp_path):
    make(tmp_path, lambda cell: cell.seed == 0 and cell.method == "student")
    make(
        tmp_path,
        lambda cell: cell.seed == 0 and cell.method == "gkd",
        data={"train": {"hash": "a"}, "val": {"hash": "other"}},
    )
    text = Page(write_report(MATRIX, tmp_path)).text
    assert "on the same images" in text
    assert "no pair" in text


class TestSentences:
    def test_helps_harms_and_open(self, done):
        records = [
            done(method, seed, 0.3 + 0.01 * seed + gain + noise * seed)
            for method, gain, noise in (
                *(("student", 0.0, 0.0), ("gkd", 0.1, 0.0001), ("frs", -0.05, 0.0001)),
                ("pkd", -0.01, 0.01),
            )
            for seed in range(3)
        ]
        told = findings(groups(records))
        assert told[0].startswith("Of 3 comparisons with the student alone 1 is better, 1 worse")
        assert told[1].startswith("gkd helps fcos on scenes: test AP +0.100 [+0.100, +0.100]")
        assert told[2].startswith("frs harms fcos on scenes: test AP -0.050")
        assert "sure also as one of 3" in told[1]
        assert told[3] == "Undecided, since the interval holds 0: fcos on scenes (pkd +0.000)."
        assert "0.1 of these 3" in chance(groups(records)) or "0.2 of" in chance(groups(records))
        assert "2 of 3 stand out" in chance(groups(records))

    def test_one_of_many_may_be_chance(self, done):
        records = [done("student", seed, 0.3) for seed in range(3)]
        records += [done("gkd", seed, (0.35, 0.36, 0.38)[seed]) for seed in range(3)]
        alone = findings(groups(records))
        assert alone[1].startswith("gkd helps")
        for number in range(9):
            records += [done(f"m{number}", s, (0.2, 0.35, 0.36)[s]) for s in range(3)]
        among = findings(groups(records))
        assert among[1].startswith("gkd seems to help")
        assert "not sure as one of 10 comparisons" in among[1]

    def test_nothing_to_say(self, done):
        records = [done("student", 0, 0.3)]
        assert missing(records) == ""
        assert chance(groups(records)) == ""
        assert unpaired(groups(records)) == []
        assert findings(groups(records)) == ["No two runs are done yet that could be compared."]

    def test_pairs_against_the_first_one(self, done):
        records = [
            done("fgfi", seed, score + 0.0001 * seed * score, pair=pair)
            for pair, score in (("psi-0.2", 0.3), ("psi-0.5", 0.36), ("psi-0.8", 0.25))
            for seed in range(3)
        ]
        told = findings(groups(records))
        assert told[0].startswith("Of 2 comparisons with psi-0.2 1 is better, 1 worse")
        assert told[1].startswith(
            "psi-0.5 is better than psi-0.2 with fgfi on scenes: test AP +0.060"
        )
        assert told[2].startswith(
            "psi-0.8 is worse than psi-0.2 with fgfi on scenes: test AP -0.050"
        )


class TestGains:
    def test_parts_of_the_objects(self):
        cell = next(x for x in cells(MATRIX) if (x.method, x.seed) == ("fgfi", 0))
        parts = by_factor(result_of(cell))
        assert list(parts) == [
            "all",
            "COCO size: small",
            "COCO size: medium",
            "blur: 0",
            "blur: over 0",
        ]
        assert parts["COCO size: medium"] == pytest.approx(0.45)
        assert by_class(result_of(cell)) == pytest.approx({"ring": 0.35, "star": 0.175})

    def test_means_over_seeds_of_shared_parts(self):
        after = [{"all": 0.5, "small": 0.2}, {"all": 0.7, "small": 0.3, "large": 0.1}]
        before = [{"all": 0.4, "small": 0.2}, {"all": 0.4, "small": 0.2}]
        assert mean_gains(after, before) == pytest.approx({"all": 0.2, "small": 0.05})
        assert mean_gains([], []) == {}

    @pytest.mark.parametrize(("reach", "end"), [(0, 0.05), (0.05, 0.05), (0.11, 0.15), (0.9, 1)])
    def test_scales_end_at_round_numbers(self, reach, end):
        assert round_up(reach) == end


@pytest.mark.parametrize(
    ("form", "begins"),
    [(None, "{page}"), ("--markdown", "**fcos on"), ("--latex", r"\begin{tabular}")],
)
def test_the_command_prints_path_or_table(tmp_path, capsys, form, begins):
    file = tmp_path / "matrix.yaml"
    file.write_text(to_yaml(MATRIX))
    words = ["matrix", "report", str(file), "--out", str(tmp_path), *filter(None, [form])]
    assert main(words) == 0
    page = tmp_path / "small" / "index.html"
    assert page.is_file()
    assert capsys.readouterr().out.startswith(begins.format(page=page) if form is None else begins)
