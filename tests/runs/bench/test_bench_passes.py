"""Several processes measure, and each number is their median."""

import subprocess
from pathlib import Path

import pytest

from kdviz.files import read_json, write_json_atomically
from kdviz.runs.bench import passes
from kdviz.runs.bench.__main__ import main
from kdviz.runs.bench.passes import measure_in_passes, merged, middle
from kdviz.runs.bench.tables import measured_with

ENVIRONMENT = {
    "threads": 1, "gpu": None, "cpu": "a CPU", "torch": "2", "torchvision": "0", "python": "3",
    "commit": "abc",
}  # fmt: skip


def part(name, value):
    return {
        "environment": ENVIRONMENT,
        "command": f"python -m kdviz.runs.bench {name}",
        "seed": 0,
        "workload": {"pair_batch": 8},
        "images_per_second": value,
        "ratios": {} if name == "waits" else {"one over two": value},
        "took": 2.0,
    }


@pytest.fixture
def processes(monkeypatch):
    """Each process writes its number as every value; returns what they were asked to measure."""
    asked = []

    def run(command, check):
        start = command.index("kdviz.runs.bench")
        once, folder, *names = command[start + 1 :]
        assert once == "once"
        assert check
        asked.append(names)
        if len(asked) == 5:
            raise subprocess.CalledProcessError(1, command)
        value = [3.0, 1.0, 1.5, 9.0][len(asked) - 1]
        found = {name: part(name, value) for name in names or ["masks", "waits"]}
        Path(folder).mkdir(parents=True)
        write_json_atomically(Path(folder) / "bench.json", found)

    monkeypatch.setattr(passes.subprocess, "run", run)
    monkeypatch.setattr(passes, "tables", lambda report: "a table")
    return asked


def test_the_middle_of_everything_that_a_report_holds():
    found = [
        {"rows": [{"name": "a", "n": n, "bound": bound, "none": None}], "good": True}
        for n, bound in ((4.0, "memory"), (1.0, "arithmetic"), (2.0, "memory"))
    ]
    assert middle(found) == {
        "rows": [{"name": "a", "n": 2.0, "bound": "memory", "none": None}],
        "good": True,
    }


def test_a_part_says_how_well_its_processes_agree():
    one = merged([part("masks", value) for value in (3.0, 2.0, 2.5)])
    assert one["images_per_second"] == one["ratios"]["one over two"] == 2.5
    assert one["processes"] == 3
    assert one["took"] == 6.0
    assert one["spread"]["one over two"] == pytest.approx(0.5)
    assert "The median of 3 processes; their ratios lie at most 50% apart (one over two)." in (
        measured_with(one)
    )
    alone = merged([part("masks", 3.0)])
    assert measured_with(alone).endswith("commit abc.")


def test_each_process_measures_all_but_what_needs_no_second_time(processes, tmp_path):
    report = measure_in_passes(out=tmp_path, passes=3)
    repeated = [name for name in passes.PARTS if name not in passes.ONCE]
    assert processes == [[], repeated, repeated]
    assert report == read_json(tmp_path / "bench.json")
    assert report["masks"]["images_per_second"] == 1.5
    assert report["masks"]["processes"] == 3
    assert report["waits"]["processes"] == 1
    each = [read_json(tmp_path / "passes" / str(n) / "bench.json") for n in (1, 2, 3)]
    assert [found["masks"]["images_per_second"] for found in each] == [3.0, 1.0, 1.5]
    assert (tmp_path / "bench.md").read_text() == "a table"


def test_other_parts_are_kept_and_what_is_done_outlives_a_failure(processes, tmp_path):
    write_json_atomically(tmp_path / "bench.json", {"masks": part("masks", 7.0)})
    report = measure_in_passes(["scaling"], out=tmp_path, passes=3)
    assert processes == [["scaling"]] * 3
    assert report["masks"]["images_per_second"] == 7.0
    assert report["scaling"]["images_per_second"] == 1.5
    with pytest.raises(subprocess.CalledProcessError):
        measure_in_passes(["loading"], out=tmp_path, passes=3)
    kept = read_json(tmp_path / "bench.json")
    assert kept["loading"]["images_per_second"] == 9.0
    assert kept["scaling"]["images_per_second"] == 1.5


def test_what_is_measured_once_takes_one_process(processes, tmp_path):
    measure_in_passes(["waits"], out=tmp_path, passes=3)
    assert processes == [["waits"]]


def test_an_unknown_part_starts_nothing(processes, tmp_path):
    with pytest.raises(ValueError, match="no part 'mask'; there are overhead"):
        measure_in_passes(["mask"], out=tmp_path)
    assert processes == []


def test_one_of_the_processes(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "kdviz.runs.bench.__main__.measure", lambda names, out: asked.append((names, out))
    )
    main(["once", str(tmp_path), "masks"])
    assert asked == [(["masks"], tmp_path)]
    assert capsys.readouterr().out == ""
