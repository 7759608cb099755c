"""The page of the verdicts: nothing of it is lost, mixed or loaded from elsewhere."""

import json
import re
from html.parser import HTMLParser

import pytest

from kdviz.runs.claims.claim import Claim
from kdviz.runs.claims.judge import judge
from kdviz.runs.claims.page import summary, verdict_markdown, verdict_page, verdict_section
from kdviz.runs.claims.write import matrix_rulings, write_verdicts

ASK = {"kind": "gain", "matrix": "m", "data": "d", "pair": "p"}


def claim(name, says, asks=(), **more):
    asks = [{**ASK, "method": method} for method in asks]
    return Claim(id=name, paper="FRS", where="table <2>", says=says, asks=asks, **more)


def row(method, seed, ap):
    place = {"data": "d", "pair": "p", "method": method, "seed": seed, "status": "done"}
    return {**place, "AP": ap, "seconds": 60.0}


@pytest.fixture
def rulings():
    claims = [
        claim("a", "helps & how", ["frs"], reported={"student": 37.4, "distilled": 39.7}),
        claim("b", "hurts", ["fitnets"]),
        claim("c", "is far", ["gkd"]),
        claim("d", "is big", setting={"data": "COCO", "student": "GFL", "teacher": "GFL"}),
    ]
    rows = [row("student", s, 0.2) for s in range(3)]
    rows += [row("frs", s, 0.3 + s / 100) for s in range(3)]
    rows += [row("fitnets", s, 0.1 - s / 100) for s in range(3)]
    return judge(claims, {"m": rows})


class Text(HTMLParser):
    """Words of a page, and whether its tags close in order."""

    VOID = ("meta", "br", "img", "link")

    def __init__(self, page):
        super().__init__()
        self.words, self.open, self.rows = "", [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words += data
            if "tr" in self.open:
                self.rows[-1] += f"{data} "


class TestPage:
    def test_is_whole_and_loads_nothing(self, rulings):
        page = verdict_page(rulings)
        Text(page)
        assert not re.search(r"https?://|<script|src=", page)

    def test_tells_every_claim_its_verdict(self, rulings):
        rows = Text(verdict_section(rulings)).rows
        told = {says: next(row for row in rows if says in row) for says in ("helps", "hurts")}
        assert " confirmed " in told["helps"]
        assert "not confirmed" not in told["helps"]
        assert "not confirmed" in told["hurts"]
        assert "not run" in next(row for row in rows if "is far" in row)

    def test_the_papers_numbers_stand_with_the_claim_and_ours_with_the_question(self, rulings):
        page = verdict_section(rulings)
        claim_cell = re.search(r'<td class="claim".*?</td>', page, re.DOTALL)[0]
        assert "student 37.4, distilled 39.7" in claim_cell
        assert "+0.110" not in claim_cell
        assert "+0.110" in page

    def test_counts_both_sizes_apart(self, rulings):
        words = Text(verdict_section(rulings)).words
        assert "1 questions at the paper's own size: 0 confirmed" in words
        assert "3 questions at ours: 1 confirmed, 1 not confirmed, 0 undecided, 1 not run" in words
        assert summary(rulings) == "1 confirmed, 1 not confirmed, 0 undecided, 2 not run"

    def test_what_only_a_paper_trained_is_listed_apart(self, rulings):
        page = verdict_section(rulings)
        hidden = page[page.index("<details>") :]
        assert "is big" in hidden
        assert "hurts" not in hidden

    def test_escapes_what_it_is_given(self, rulings):
        page = verdict_section(rulings)
        assert "table &lt;2&gt;" in page
        assert "helps &amp; how" in page

    def test_without_rulings_says_so(self):
        assert "No claim" in verdict_section([])


def test_markdown_has_the_counts_and_a_line_for_each_question(rulings):
    lines = [line for line in verdict_markdown(rulings).splitlines() if line.startswith("|")]
    assert lines[0] == "| paper | confirmed | not confirmed | undecided | not run |"
    assert lines[2] == "| FRS | 1 | 1 | 0 | 2 |"
    table = lines[3:]
    assert len(table) == 2 + len(rulings)
    assert {line.count("|") for line in table} == {7}
    assert "**not confirmed**" in table[3]


class TestFolders:
    @pytest.fixture
    def claims(self, tmp_path):
        folder = tmp_path / "claims"
        folder.mkdir()
        for name in ("m", "n"):
            (folder / f"{name}.yaml").write_text(
                "paper: FRS\nwhere: t\nsays: it helps\n"
                f"asks: [{{kind: gain, matrix: {name}, data: d, pair: p, method: frs}}]\n"
            )
        return folder

    def test_a_matrix_rules_on_its_own_questions(self, tmp_path, claims):
        rows = [row(name, s, ap + s / 100) for name, ap in (("student", 0.2), ("frs", 0.31))
                for s in range(3)]  # fmt: skip
        rulings = matrix_rulings("m", rows, tmp_path, claims)
        assert [ruling.claim.id for ruling in rulings] == ["m"]
        assert rulings[0].verdict == "confirmed"

    def test_all_matrices_with_results_make_one_page(self, tmp_path, claims):
        for name, gain in (("m", 0.1), ("n", -0.1)):
            rows = [row("student", s, 0.2) for s in range(3)]
            rows += [row("frs", s, 0.2 + gain + s / 1000) for s in range(3)]
            (tmp_path / name).mkdir()
            (tmp_path / name / "results.json").write_text(json.dumps({"rows": rows}))
        page, rulings = write_verdicts(["m", "n", "none"], tmp_path, claims)
        assert [str(ruling.verdict) for ruling in rulings] == ["confirmed", "not confirmed"]
        assert "not confirmed" in page.read_text()
        assert "**confirmed**" in page.with_suffix(".md").read_text()
