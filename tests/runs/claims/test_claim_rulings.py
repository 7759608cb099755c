"""Verdicts on claims from rows written by hand: each must flip when its numbers do."""

import json
import math

import pytest
from scipy.stats import t

from kdviz.runs.claims.claim import Bounds, Claim
from kdviz.runs.claims.cost import ASSUMED
from kdviz.runs.claims.evidence import Evidence, Verdict, worst
from kdviz.runs.claims.judge import judge
from kdviz.runs.claims.records import Measured, beyond
from kdviz.runs.spec import load_spec

WHERE = {"matrix": "m", "data": "d", "pair": "p"}
NEAR = "near minus lone"


def claim(*asks, **more):
    asked = [{**WHERE, **question} for question in asks]
    return Claim(id="one", paper="FGFI", where="table", says="it helps", asks=asked, **more)


def row(method, seed, ap, pair="p", **more):
    return {
        "data": "d",
        "pair": pair,
        "method": method,
        "seed": seed,
        "status": "done",
        "AP": ap,
        "seconds": 100.0,
        "images": "same",
        **more,
    }


def rows(**scores):
    return [row(name, seed, ap) for name, each in scores.items() for seed, ap in enumerate(each)]


def rule(question, found, **more):
    (ruling,) = judge([claim(question)], {"m": found}, **more)
    return ruling


GAIN = {"kind": "gain", "method": "fgfi"}


class TestGain:
    @pytest.mark.parametrize(
        ("ours", "verdict"),
        [
            ((0.30, 0.31, 0.30), Verdict.CONFIRMED),
            ((0.10, 0.11, 0.10), Verdict.NOT_CONFIRMED),
            ((0.25, 0.15, 0.21), Verdict.UNDECIDED),
        ],
    )
    def test_follows_the_numbers(self, ours, verdict):
        ruling = rule(GAIN, rows(student=(0.20, 0.21, 0.20), fgfi=ours))
        assert ruling.verdict == verdict

    def test_is_paired_by_seed(self):
        # The seeds differ far more than the method does; the pairs do not.
        found = rows(student=(0.10, 0.30, 0.50), fgfi=(0.12, 0.32, 0.521))
        ruling = rule(GAIN, found)
        assert ruling.verdict == Verdict.CONFIRMED
        assert ruling.evidence[0].values == pytest.approx((0.02, 0.02, 0.021))
        # By hand: mean 61/3000, spread 0.001/sqrt(3), t of 2 degrees 4.303.
        low, high = ruling.evidence[0].seeds
        assert (low + high) / 2 == pytest.approx(0.061 / 3)
        assert (high - low) / 2 == pytest.approx(4.3027 * 0.001 / 3**0.5 / 3**0.5, rel=1e-3)

    def test_one_seed_decides_nothing(self):
        ruling = rule(GAIN, rows(student=(0.2,), fgfi=(0.9,)))
        assert ruling.verdict == Verdict.UNDECIDED
        assert "one seed" in ruling.why

    def test_takes_the_test_split_where_both_have_it(self):
        found = [row("student", s, 0.2 + s / 100, test_AP=0.4) for s in range(3)]
        found += [row("fgfi", s, 0.3, test_AP=0.3 + s / 1000) for s in range(3)]
        ruling = rule(GAIN, found)
        assert ruling.verdict == Verdict.NOT_CONFIRMED
        assert "test" in ruling.evidence[0].name
        del found[0]["test_AP"]
        assert rule(GAIN, found).verdict == Verdict.CONFIRMED

    def test_compares_no_runs_of_other_images_and_none_that_failed(self):
        found = rows(student=(0.2, 0.2, 0.2), fgfi=(0.3, 0.3, 0.31))
        found[-1]["images"] = "others"
        found[-2] |= {"status": "failed", "AP": None}
        assert len(rule(GAIN, found).evidence[0].values) == 1

    def test_without_runs_tells_what_they_would_take(self):
        ruling = rule(GAIN, rows(student=(0.2, 0.2)))
        assert ruling.verdict == Verdict.NOT_RUN
        assert "p/fgfi" in ruling.why
        assert "p/student" not in ruling.why
        assert ruling.cost.hours == pytest.approx(3 * 100 / 3600)
        assert rule(GAIN, []).cost.hours is None

    def test_another_matrix_of_the_data_tells_how_long_a_run_takes(self):
        found = {"m": [], "other": [row("frs", 0, 0.2, seconds=900.0)]}
        (ruling,) = judge([claim(GAIN)], found)
        assert ruling.cost.hours == pytest.approx(2 * 3 * 900 / 3600)


class TestBetter:
    def test_compares_two_methods(self):
        question = {"kind": "better", "method": "fgfi", "than": "fitnets"}
        found = rows(fitnets=(0.3, 0.3, 0.31), fgfi=(0.2, 0.2, 0.22), student=(0.1, 0.1, 0.1))
        assert rule(question, found).verdict == Verdict.NOT_CONFIRMED
        swapped = {"kind": "better", "method": "fitnets", "than": "fgfi"}
        assert rule(swapped, found).verdict == Verdict.CONFIRMED

    def test_compares_with_another_pair(self):
        question = {"kind": "better", "method": "fgfi", "than": "q/fgfi"}
        found = rows(fgfi=(0.3, 0.3, 0.31)) + [row("fgfi", s, 0.2, "q") for s in range(3)]
        ruling = rule(question, found)
        assert ruling.verdict == Verdict.CONFIRMED
        assert ruling.asks == "fgfi minus fgfi (q)"

    def test_a_claim_of_no_difference_needs_a_narrow_interval(self):
        alike = {"above": -0.01, "below": 0.01}
        question = {"kind": "better", "method": "fgfi", "than": "frs", "confirms": alike}
        close = rows(frs=(0.3, 0.3, 0.3), fgfi=(0.301, 0.3, 0.299))
        wide = rows(frs=(0.3, 0.3, 0.3), fgfi=(0.33, 0.3, 0.27))
        apart = rows(frs=(0.3, 0.3, 0.3), fgfi=(0.351, 0.35, 0.349))
        verdicts = [rule(question, found).verdict for found in (close, wide, apart)]
        assert verdicts == [Verdict.CONFIRMED, Verdict.UNDECIDED, Verdict.NOT_CONFIRMED]


def measured(values, images, quantity=NEAR, method="fgfi"):
    return Measured("d", "p", method, quantity, tuple(range(len(values))), values, images)


BEYOND = {"kind": "measured", "method": "fgfi", "quantity": NEAR, "beyond": "fitnets"}


class TestMeasured:
    def rule(self, own, more, found=()):
        numbers = [one for one in (own, more) if one is not None]
        return rule(BEYOND, list(found), measured={"m": numbers})

    def test_must_be_there_and_exceed_the_control(self):
        own = measured((0.2, 0.21, 0.22), (0.15, 0.25))
        more = measured((0.1, 0.11, 0.12), (0.05, 0.15), beyond(NEAR, "fitnets"))
        less = measured((-0.1, -0.11, -0.12), (-0.15, -0.05), beyond(NEAR, "fitnets"))
        assert self.rule(own, more).verdict == Verdict.CONFIRMED
        assert self.rule(own, less).verdict == Verdict.NOT_CONFIRMED

    def test_both_intervals_must_agree(self):
        more = measured((0.1, 0.11, 0.12), (0.05, 0.15), beyond(NEAR, "fitnets"))
        other_images = measured((0.2, 0.21, 0.22), (-0.01, 0.45))
        other_seeds = measured((0.2, 0.5, -0.1), (0.15, 0.25))
        for own in (other_images, other_seeds):
            assert self.rule(own, more).verdict == Verdict.UNDECIDED

    def test_one_seed_decides_nothing_whatever_its_images_say(self):
        own = measured((0.2,), (0.15, 0.25))
        more = measured((0.1,), (0.05, 0.15), beyond(NEAR, "fitnets"))
        ruling = self.rule(own, more)
        assert ruling.verdict == Verdict.UNDECIDED
        assert "no other seed" in ruling.why

    def test_without_the_number_beyond_the_control_it_is_not_run(self):
        own = measured((0.2, 0.21, 0.22), (0.15, 0.25))
        ruling = self.rule(own, None, rows(student=(0.2,), fgfi=(0.2,)))
        assert ruling.verdict == Verdict.NOT_RUN
        assert "p/fitnets" in ruling.why
        done = rows(student=(0.2,), fgfi=(0.2,), fitnets=(0.2,))
        assert "measure them" in self.rule(own, None, done).why

    def test_below_0_confirms_where_the_claim_says_so(self):
        question = {
            "kind": "measured",
            "method": "fgfi",
            "quantity": NEAR,
            "confirms": {"below": 0},
        }
        for sign, verdict in ((-1, Verdict.CONFIRMED), (1, Verdict.NOT_CONFIRMED)):
            low, high = sorted((sign * 0.1, sign * 0.3))
            number = measured((sign * 0.2, sign * 0.21), (low, high))
            assert rule(question, [], measured={"m": [number]}).verdict == verdict


RECIPE = """\
name: {name}
data: {{path: coco, min_size: 64, max_size: 96}}
student: {{name: fcos-resnet18-c64}}
{teacher}
train: {{steps: 100, batch_size: 4, warmup_steps: 10}}
"""


OWN = {
    "run": {"recipe": "a_from_b/frs", "tolerance": 0.3},
    "reported": {"student": 37.4, "distilled": 39.7},
}


class TestThePapersOwnTraining:
    @pytest.fixture
    def papers(self, tmp_path):
        folder = tmp_path / "papers" / "a_from_b"
        folder.mkdir(parents=True)
        taught = "teacher: {name: fcos-resnet34-c64, weights: t.pth}\nmethods: [{name: frs}]"
        (folder / "student.yaml").write_text(RECIPE.format(name="student", teacher=""))
        (folder / "frs.yaml").write_text(RECIPE.format(name="frs", teacher=taught))
        return folder

    def rule(self, papers, tmp_path, **more):
        asked = claim(**OWN, **more)
        (ruling,) = judge([asked], {}, root=tmp_path / "runs", papers=papers.parent)
        return ruling

    def finish(self, papers, tmp_path, *overrides, **scores):
        for name, each in scores.items():
            for seed, ap in enumerate(each):
                spec = load_spec(papers / f"{name}.yaml", [f"train.seed={seed}", *overrides])
                folder = tmp_path / "runs" / spec.folder_name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "spec.yaml").write_text(spec.to_yaml())
                (folder / "result.json").write_text(json.dumps({"metrics": {"AP": ap / 100}}))

    def test_is_not_run_and_tells_its_hours(self, papers, tmp_path):
        ruling = self.rule(papers, tmp_path)
        assert ruling.verdict == Verdict.NOT_RUN
        assert ruling.by_paper
        assert ruling.cost.hours > 0
        assert ruling.cost.told == ASSUMED.source
        assert "none was measured" in ruling.cost.told

    def test_without_a_recipe_says_which(self, papers, tmp_path):
        (papers / "frs.yaml").unlink()
        ruling = self.rule(papers, tmp_path)
        assert "a_from_b/frs" in ruling.why
        assert ruling.cost.hours is None

    @pytest.mark.parametrize(
        ("alone", "taught", "verdict"),
        [
            ((37.4, 37.5, 37.3), (39.7, 39.8, 39.6), Verdict.CONFIRMED),
            ((37.4, 37.5, 37.3), (38.5, 38.6, 38.4), Verdict.NOT_CONFIRMED),
            # The whole gain, but of a student that was too weak.
            ((33.4, 33.5, 33.3), (36.7, 36.8, 36.6), Verdict.NOT_CONFIRMED),
            # The score, but the student alone has almost as much.
            ((39.4, 39.5, 39.3), (40.7, 40.8, 40.6), Verdict.NOT_CONFIRMED),
            ((37.4, 37.5, 37.3), (39.0, 40.5, 39.5), Verdict.UNDECIDED),
            ((37.4,), (45.0,), Verdict.UNDECIDED),
        ],
    )
    def test_needs_score_and_gain(self, papers, tmp_path, alone, taught, verdict):
        self.finish(papers, tmp_path, student=alone, frs=taught)
        assert self.rule(papers, tmp_path).verdict == verdict

    def test_the_same_training_counts_wherever_it_was_run(self, papers, tmp_path):
        scores = {"student": (37.4, 37.5, 37.3), "frs": (39.7, 39.8, 39.6)}
        on_two = "train.devices=2", "train.batch_size=2", "data.path=elsewhere"
        self.finish(papers, tmp_path, *on_two, **scores)
        assert self.rule(papers, tmp_path).verdict == Verdict.CONFIRMED

    @pytest.mark.parametrize("change", ["train.steps=50", "methods.0.options={class_loss: false}"])
    def test_another_training_does_not_count(self, papers, tmp_path, change):
        self.finish(papers, tmp_path, student=(37.4, 37.5, 37.3))
        self.finish(papers, tmp_path, change, frs=(39.7, 39.8, 39.6))
        assert self.rule(papers, tmp_path).verdict == Verdict.NOT_RUN

    def test_settings_that_differ_come_from_the_recipe(self, papers, tmp_path):
        question = {"kind": "gain", "matrix": "scenes", "data": "scenes", "pair": "fcos"}
        asked = Claim(
            id="x",
            paper="FRS",
            where="t",
            says="s",
            **OWN,
            asks=[{**question, "method": "frs"}],
            differs=["one more"],
        )
        ruling = judge([asked], {}, papers=papers.parent)[1]
        told = dict(line.split(": ", 1) for line in ruling.differs if ": " in line)
        assert told["student"].startswith("fcos-resnet18-c64 there, fcos-shufflenet")
        assert told["images seen"].startswith("400 there, ")
        assert ruling.differs[-1] == "one more"


class TestEvidence:
    def test_on_the_edge_does_not_confirm(self):
        edge = Evidence("x", (0.0, 0.0), Bounds(above=0.0))
        assert edge.verdict == Verdict.NOT_CONFIRMED

    def test_tells_its_intervals(self):
        evidence = Evidence("gain", (0.1, 0.3), Bounds(above=0.0), images=(0.05, 0.35))
        half = 12.7062 * math.sqrt(0.02) / math.sqrt(2)
        low, high = 0.2 - half, 0.2 + half
        told = f"gain +0.200, {low:+.3f} to {high:+.3f} over 2 seeds"
        assert str(evidence) == f"{told}, +0.050 to +0.350 over draws of images"

    def test_of_several_the_worst_counts(self):
        yes, no, open_ = Verdict.CONFIRMED, Verdict.NOT_CONFIRMED, Verdict.UNDECIDED
        assert worst([yes, open_, no]) == no
        assert worst([yes, open_]) == open_
        assert worst([yes, yes]) == yes

    def test_tells_how_many_seeds_would_decide(self):
        evidence = Evidence("x", (0.01, 0.03, -0.01), Bounds(above=0.0))
        wanted = evidence.seeds_wanted
        # Spread 0.02 around 0.01: t of n - 1 degrees must fall below sqrt(n) / 2.
        assert t.ppf(0.975, wanted - 1) < wanted**0.5 / 2
        assert t.ppf(0.975, wanted - 2) > (wanted - 1) ** 0.5 / 2
        assert Evidence("x", (0.02, -0.02), Bounds(above=0.0)).seeds_wanted is None
        assert Evidence("x", (0.1,), Bounds(above=0.0)).seeds_wanted is None
        ruling = rule(GAIN, rows(student=(0.2, 0.2, 0.2), fgfi=(0.21, 0.23, 0.19)))
        assert f"about {wanted} seeds" in ruling.why
