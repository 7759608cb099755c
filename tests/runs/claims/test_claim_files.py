"""Files of claims: what is refused and how it is told, and those that come with kdviz."""

import pytest
from pydantic import ValidationError

from kdviz.runs.claims.claim import Better, Bounds, Claim, Measure, load_claims
from kdviz.runs.claims.settings import MATRICES
from kdviz.runs.matrix.spec import load_matrix

GAIN = "{kind: gain, matrix: m, data: d, pair: p, method: fgfi}"


def folder(tmp_path, **files):
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    return tmp_path


def content(paper="FGFI", **more):
    lines = [f"paper: {paper}", "where: table 1", "says: it helps", f"asks: [{GAIN}]"]
    return "\n".join(lines + [f"{key}: {value}" for key, value in more.items()])


class TestLoading:
    def test_a_claim_is_called_after_its_file(self, tmp_path):
        (claim,) = load_claims(folder(tmp_path, near=content()))
        assert claim.id == "near"
        assert claim.asks[0].over == ("p", "student")

    def test_papers_stand_in_their_order(self, tmp_path):
        files = {"a": content("Dist2"), "b": content("GKD"), "c": content("FGFI")}
        assert [claim.id for claim in load_claims(folder(tmp_path, **files))] == ["c", "b", "a"]

    def test_tells_the_problems_of_all_files_at_once(self, tmp_path):
        files = {
            "one": content(rport=3),
            "two": content(paper="YOLO"),
            "three": "[1, 2]",
            "four": "a: [",
            "five": content(id="six"),
            "right": content(),
        }
        with pytest.raises(ValueError, match="5 problems") as problem:
            load_claims(folder(tmp_path, **files))
        told = str(problem.value)
        assert "one.yaml: rport: unknown key; known are paper, where, says" in told
        assert "two.yaml: paper: Input should be 'FGFI'" in told
        assert "three.yaml: must hold a mapping" in told
        assert "four.yaml: not readable as YAML" in told
        assert "five.yaml: id: a claim is called after its file" in told
        assert "right" not in told

    def test_tells_the_keys_of_a_question(self, tmp_path):
        asks = "[{kind: gain, matrix: m, data: d, pair: p, method: fgfi, over: frs}]"
        with pytest.raises(ValueError, match=r"asks\.0\.gain\.over: unknown key") as problem:
            load_claims(folder(tmp_path, one=f"paper: FRS\nwhere: x\nsays: y\nasks: {asks}"))
        assert "confirms" in str(problem.value)

    def test_says_where_the_claims_are(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="recipes/claims"):
            load_claims(tmp_path)


class TestClaim:
    def test_without_anything_to_run_is_none(self):
        with pytest.raises(ValidationError, match="nothing to run"):
            Claim(id="x", paper="FRS", where="x", says="y")

    def test_a_run_needs_the_numbers_it_is_compared_with(self):
        with pytest.raises(ValidationError, match=r"reported\.distilled"):
            Claim(
                id="x",
                paper="FRS",
                where="x",
                says="y",
                run={"recipe": "a_from_b/frs"},
                reported={"student": 37.4},
            )

    @pytest.mark.parametrize("bounds", [{}, {"above": 1, "below": 1}, {"above": 1, "below": 0}])
    def test_bounds_that_hold_nothing(self, bounds):
        with pytest.raises(ValidationError):
            Bounds(**bounds)

    def test_another_method_may_belong_to_another_pair(self):
        where = {"kind": "better", "matrix": "m", "data": "d", "pair": "p", "method": "fgfi"}
        assert Better(**where, than="frs").over == ("p", "frs")
        assert Better(**where, than="q/frs").over == ("q", "frs")

    def test_an_unknown_quantity_is_refused(self):
        where = {"kind": "measured", "matrix": "m", "data": "d", "pair": "p", "method": "fgfi"}
        with pytest.raises(ValidationError, match="nobody measures 'near'; there are near minus"):
            Measure(**where, quantity="near")


class TestThoseOfKdviz:
    claims = load_claims()

    def test_every_paper_has_claims(self):
        assert {claim.paper for claim in self.claims} >= {"FGFI", "FRS", "GKD", "Dist2"}
        assert len(self.claims) >= 20

    def test_no_question_is_counted_twice(self):
        asked = [question for claim in self.claims for question in claim.asks]
        assert len(set(asked)) == len(asked)

    def test_questions_go_to_cells_of_matrices(self):
        matrices = {file.stem: load_matrix(file) for file in MATRICES.glob("*.yaml")}
        for question in (question for claim in self.claims for question in claim.asks):
            matrix = matrices[question.matrix]
            assert question.data in matrix.data
            assert question.pair in matrix.pairs
            other = getattr(question, "over", (question.pair, ""))[0]
            assert other in matrix.pairs

    def test_the_gains_that_are_told_are_those_of_the_numbers(self):
        for claim in self.claims:
            numbers = claim.reported
            if " from " in claim.says and "student" in numbers:
                told = f"from {numbers['student']:g} to {numbers['distilled']:g} "
                # 69.1 to 72.0 is read as 72.
                assert told in claim.says.replace(".0 ", " ")
