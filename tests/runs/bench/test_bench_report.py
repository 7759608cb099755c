"""Parts are merged, kept and told with what they were measured with."""

import json

import pytest

from kdviz.files import read_json
from kdviz.runs.bench import report as bench
from kdviz.runs.bench.compare import BEFORE, compare, comparison
from kdviz.runs.bench.evaluation import kdviz_costs, pycocotools_stats, synthetic_results
from kdviz.runs.bench.figures import part_figure, read_report
from kdviz.runs.bench.scaling import scaling
from kdviz.runs.bench.tables import part_table, tables
from kdviz.runs.bench.workload import workload
from kdviz.runs.environment import environment

MASKS = {
    "boxes": 100,
    "seconds": 0.02,
    "seconds_one_by_one": 0.1,
    "times_as_fast": 5.0,
    "extra_megabytes": 3.0,
    "ratios": {"one box at a time over all at once": 5.0},
}


@pytest.fixture
def parts(monkeypatch):
    """Two parts that take no time; each call counts."""
    calls = {"masks": 0, "scaling": 0}

    def masks(where, limit):
        calls["masks"] += 1
        return {**MASKS, "seconds": calls["masks"]}

    def scaling(where, limit):
        calls["scaling"] += 1
        rows = [{"processes": n, "images_per_second": 10.0 * n} for n in (1, 2)]
        told = {"speed_up": 2.0, "largest_difference": 0.0, "largest_gradient": 1.0}
        return {"rows": rows, **told, "ratios": {"two processes over one": 2.0}}

    monkeypatch.setattr(bench, "PARTS", {"masks": (masks, 1), "scaling": (scaling, 1)})
    return calls


def test_parts_are_measured_anew_or_kept(parts, tmp_path, capsys):
    bench.measure(out=tmp_path)
    bench.measure(["masks"], out=tmp_path)
    assert parts == {"masks": 2, "scaling": 1}
    report = read_json(tmp_path / "bench.json")
    assert report["masks"]["seconds"] == 2
    assert report["scaling"]["speed_up"] == 2.0
    assert "Two are 2.00 times as fast" in (tmp_path / "bench.md").read_text()
    assert "masks: 0 s" in capsys.readouterr().out


def test_repaints_in_a_sentence():
    controls = [
        {"notebook": "10_a", "control": "psi", "figures": 1, "median": 0.03, "slowest": 0.05},
        {"notebook": "10_a", "control": "image", "figures": 1, "median": 0.04, "slowest": 0.1},
        {"notebook": "20_b", "control": "level", "figures": 2, "median": 0.09, "slowest": 0.151},
    ]
    part = {"controls": controls, "environment": environment(), "command": "", "seed": 0}
    told = part_table({"repaints": {**part, "ratios": {}}}, "repaints")
    assert "in 40 ms" in told
    assert "median of 3 controls); 2 of them always within 100 ms" in told
    assert "Slowest: `level` in 20_b, 151 ms." in told


def test_each_part_says_what_it_was_measured_with(parts, tmp_path):
    report = bench.measure(out=tmp_path)
    for name, part in report.items():
        assert part["command"] == f"python -m kdviz.runs.bench {name}"
        assert part["seed"] == 0
        assert {"torch", "torchvision", "cpu", "gpu", "commit"} <= set(part["environment"])
        assert {"device", "network_size"} <= set(part["workload"])
        assert part["took"] >= 0


def test_what_does_not_fit_into_the_time_says_so(parts, tmp_path):
    report = bench.measure(out=tmp_path, all_in=-1)
    assert parts == {"masks": 0, "scaling": 0}
    assert "python -m kdviz.runs.bench masks measures it alone" in report["masks"]["skipped"]
    assert part_table(report, "masks").startswith("Not measured: ")
    assert compare(report, report) == []
    bench.measure(["masks"], out=tmp_path, all_in=-1)  # what is named is measured in any case
    assert parts["masks"] == 1


def test_what_was_measured_is_not_lost_to_a_lack_of_time(parts, tmp_path):
    bench.measure(out=tmp_path)
    report = bench.measure(out=tmp_path, all_in=-1)
    assert report["masks"]["seconds"] == 1


def test_an_unknown_part_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no part 'mask'; there are overhead"):
        bench.measure(["mask"], out=tmp_path)
    assert not (tmp_path / "bench.json").exists()


def test_comparison_finds_the_ratio_that_moved_most():
    old = {"a": {"ratios": {"x": 2.0, "y": 1.0, "gone": 3.0}}, "b": {"ratios": {"z": 4.0}}}
    new = {"a": {"ratios": {"x": 2.1, "y": 0.8}}, "b": {"ratios": {"z": 4.0}}, "c": {"ratios": {}}}
    changes = compare(old, new)
    assert [(change.part, change.ratio) for change in changes] == [
        ("a", "y"),
        ("a", "x"),
        ("b", "z"),
    ]
    assert changes[0].relative == pytest.approx(-0.2)
    told = comparison(changes)
    assert "| a | y | 1 | 0.8 | -20.0% |" in told
    assert "| b | z | 4 | 4 | +0.0% |" in told
    assert told.endswith("1 of 3 ratios changed by more than 10%.")


class TestCommittedReport:
    """``data/bench.json``, which README and notebook 80 show."""

    def test_every_part_has_a_table_with_machine_and_command(self):
        report = read_report()
        for name in report:
            assert f"python -m kdviz.runs.bench {name}" in part_table(report, name)
            assert report[name]["environment"]["torch"] in part_table(report, name)
        assert set(report) >= set(bench.PARTS) - {"levers_ap"}
        assert tables(report).count("## ") == len(report)

    def test_ratios_are_positive_numbers(self):
        for part in read_report().values():
            assert all(value > 0 for value in part["ratios"].values())

    def test_the_one_before_is_of_the_same_machine_and_has_the_same_ratios(self):
        first, second = read_report(), read_report(BEFORE)
        changes = compare(second, first)
        for name, part in first.items():
            found = {change.ratio for change in changes if change.part == name}
            assert found == set(part["ratios"])
            for key in ("cpu", "gpu", "torch", "torchvision", "threads"):
                assert not found or part["environment"][key] == second[name]["environment"][key]
        assert all(part["processes"] > 1 for part in second.values() if part["ratios"])
        assert any(change.relative for change in changes)

    @pytest.mark.parametrize("name", ["training", "teacher", "roofline", "kinds", "sweeps"])
    def test_figures(self, name):
        figure = part_figure(read_report(), name)
        assert isinstance(figure, str) or figure.axes


def test_a_part_that_is_missing_says_how_to_measure_it():
    assert "python -m kdviz.runs.bench levers_ap" in part_table({}, "levers_ap")
    assert "python -m kdviz.runs.bench roofline" in part_figure({}, "kinds")
    with pytest.raises(ValueError, match="no picture of 'masks'"):
        part_figure({}, "masks")


def test_synthetic_detections_score_the_same_in_pycocotools():
    pytest.importorskip("pycocotools")
    from kdviz.engine.coco_eval import evaluate_coco

    record, results = synthetic_results(12)
    json.dumps([record, results])
    ours, theirs = evaluate_coco(record, results).stats, pycocotools_stats(record, results)
    assert list(ours) == list(theirs)
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert 0.02 < ours["AP"] < 0.5
    costs = kdviz_costs(record, results)
    assert costs["class"] > 0.01
    assert synthetic_results(12) == (record, results)


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one():
    found = scaling(workload("cpu"), limit=0)
    assert found["largest_gradient"] > 1e-3
    assert found["largest_difference"] <= 1e-5 * found["largest_gradient"]
    assert [row["processes"] for row in found["rows"]] == [1, 2]
