"""Tables of a matrix, cell by cell, in each of their forms."""

import json
import math
import re

import pytest

from kdviz.runs.matrix.outcomes import as_rows
from kdviz.runs.matrix.standings import groups
from kdviz.runs.matrix.tables import (
    HEAD,
    duration,
    latex_escaped,
    readme_table,
    results_table,
    table,
)


@pytest.fixture
def records(done, waiting):
    return [
        *(done("student", seed, 0.3 + 0.01 * seed) for seed in range(3)),
        *(done("gkd", seed, 0.4 + 0.012 * seed) for seed in range(3)),
        *(done("frs", seed, 0.3 + 0.02 * (seed == 1)) for seed in range(2)),
        waiting("frs", 2),
        waiting("a_b|c", 0),
    ]


def file(path, records):
    path.write_text(json.dumps({"matrix": "m", "rows": as_rows(records)}))
    return path


class TestForms:
    def test_markdown_has_a_cell_for_each_number(self, records):
        rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in table(groups(records), "markdown").splitlines()
            if line.startswith("|")
        ]
        assert rows[0] == list(HEAD)
        assert {len(row) for row in rows} == {len(HEAD)}
        by_method = {row[0]: row for row in rows[2:]}
        assert by_method["gkd"][1:3] == ["0.412", "+0.102 [+0.097, +0.107]"]
        assert by_method["gkd"][4:] == ["3", "60 s", "better"]
        assert by_method["frs"][4] == "2 of 3"
        assert by_method["frs"][6] == "undecided"
        assert by_method[r"a_b\|c"][6] == "not run"

    def test_latex_is_a_booktabs_table(self, records):
        told = table(groups(records), "latex")
        rows = [line for line in told.splitlines() if line.endswith(r"\\") and "multi" not in line]
        assert {line.count(" & ") for line in rows} == {len(HEAD) - 1}
        for part in (r"\toprule", r"\midrule", r"\bottomrule", r"95 \%", r"a\_b|c", "$+0.102$"):
            assert part in told
        assert told.count(r"\begin{tabular}{lrrrrrl}") == told.count(r"\end{tabular}") == 1
        assert not re.search(r"(?<!\\)[%_#]", told)

    def test_text_has_columns(self, records):
        lines = table(groups(records)).splitlines()
        assert lines[0] == "fcos on scenes: AP on the test split"
        ends = {line.index(number) for line, number in ((lines[3], "0.310"), (lines[4], "0.412"))}
        assert len(ends) == 1

    def test_no_other_form(self, records):
        with pytest.raises(ValueError, match="text, markdown or latex"):
            table(groups(records), "html")


class TestReadme:
    def test_methods_by_pairs(self, tmp_path, records, done):
        others = [done("student", 0, 0.5, data="bccd"), done("gkd", 0, 0.6, data="bccd")]
        lines = readme_table([file(tmp_path / "a.json", [*records, *others])]).splitlines()
        assert lines[0] == "| method | fcos on scenes | fcos on bccd |"
        assert lines[2] == "| student alone | 0.310 | 0.500 |"
        assert lines[3] == "| `gkd` | 0.412, **+0.102** [+0.097, +0.107] | 0.600, +0.100 |"
        assert lines[4].startswith("| `frs` | 0.310, +0.005 [")
        assert lines[4].endswith("|  |")

    def test_eight_methods_take_twelve_lines(self, tmp_path, done):
        records = [done(f"m{i}" if i else "student", s, 0.3) for i in range(8) for s in range(3)]
        told = readme_table([file(tmp_path / "a.json", records)])
        assert len(told.splitlines()) <= 12
        assert "**" not in told
        assert "of 3 seeds" in told
        assert f"{0.05 * 7:.1f} of these 7" in told

    def test_nothing_run(self, tmp_path, waiting):
        assert "No matrix" in readme_table([])
        assert "No matrix" in readme_table([file(tmp_path / "a.json", [waiting("student", 0)])])


def test_a_file_gives_the_same_table_as_its_records(tmp_path, records):
    assert results_table(file(tmp_path / "r.json", records)) == table(groups(records))


def test_another_file_is_refused(tmp_path):
    (tmp_path / "r.json").write_text('{"rows": [{"data": "x"}]}')
    with pytest.raises(ValueError, match="no results of a matrix"):
        results_table(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(ValueError, match="no results of a matrix"):
        results_table(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3, "3 s"), (89, "89 s"), (90, "1.5 min"), (5400, "1.5 h"), (math.nan, "")],
)
def test_durations(seconds, told):
    assert duration(seconds) == told


def test_latex_signs():
    told = latex_escaped(r"50 % of $x_1$ & {a}\b ~^ #1 <0.01 -0.5")
    assert told == (
        r"50 \% of \$x\_1\$ \& \{a\}\textbackslash{}b \textasciitilde{}\textasciicircum{} \#1 "
        r"$<$0.01 $-0.5$"
    )
