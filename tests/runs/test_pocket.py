"""The pocket benchmark: what it runs, what it says of it, and how its order is judged."""

import itertools
import json
import multiprocessing
import pickle
import re
import subprocess
import sys
from concurrent.futures import Future

import pytest
from scipy.stats import spearmanr

from kdviz.cli import FAILED, OK, main
from kdviz.files import write_json_atomically
from kdviz.methods import FGFI
from kdviz.runs.compare import ALONE, method_spec
from kdviz.runs.pocket import arms, ranks, trial
from kdviz.runs.pocket.report import as_dict, pocket_table, sentence, text
from kdviz.runs.scores import Score, compare
from kdviz.runs.spec import load_spec


class Mine(FGFI):
    """A method that does not come with kdviz."""


class TestArms:
    def test_both_differ_in_nothing_but_the_teaching(self):
        taught = arms.pocket_spec(arms.methods_of("fgfi"), 2).model_dump()
        alone = arms.pocket_spec((), 2).model_dump()
        different = {key for key in taught if taught[key] != alone[key]}
        assert different == {"name", "methods", "teacher", "train"}
        assert alone["teacher"] is None
        changed = {key for key in taught["train"] if taught["train"][key] != alone["train"][key]}
        assert changed == {"teacher_cache"}
        assert taught["train"]["seed"] == 2

    def test_test_scenes_are_apart_and_the_student_has_to_learn(self):
        spec = load_spec(arms.RECIPE)
        assert spec.data.scenes.test >= 200
        assert spec.student.weights.startswith("data/snapshots/")  # half-trained
        assert spec.student.name != spec.teacher.name

    def test_weights_are_those_of_the_scenes_recipes(self):
        (fgfi,) = arms.methods_of("fgfi")
        steps = load_spec(arms.RECIPE).train.steps
        assert fgfi == method_spec("fgfi", steps)
        assert fgfi.weights["fgfi"].start < steps / 5

    def test_changes_of_one_method(self):
        changes = ["psi=0.4"], ["fgfi={value: 0.3, ramp: 7}"]
        (fgfi,) = arms.methods_of("fgfi", *changes)
        assert fgfi.options == {"psi": 0.4}
        (before,) = arms.methods_of("fgfi")
        assert fgfi.weights["fgfi"].value == 0.3
        assert fgfi.weights["fgfi"].ramp == 7
        assert fgfi.weights["fgfi"].start == before.weights["fgfi"].start

    def test_of_two_methods_a_change_says_whose_it_is(self):
        weights = ["gkd.gkd_background=0.1"]
        fgfi, gkd = arms.methods_of("fgfi+gkd", ["fgfi.psi=0.4"], weights)
        assert fgfi.options == {"psi": 0.4}
        assert gkd.weights["gkd_background"].value == 0.1
        assert arms.pocket_spec((fgfi, gkd), 0).name == "fgfi-gkd"
        with pytest.raises(ValueError, match=r"whose it is: fgfi\.psi=0\.4, or gkd\.psi=0\.4"):
            arms.methods_of("fgfi+gkd", ["psi=0.4"])

    def test_a_method_of_ones_own(self):
        label = f"{__name__}:Mine"
        (mine,) = arms.methods_of(label, (), ["fgfi=0.1"])
        spec = arms.pocket_spec((mine,), 0)
        assert spec.methods[0].name == label
        assert ":" not in spec.folder_name

    @pytest.mark.parametrize(
        ("label", "message"),
        [
            ("fgfy", "no method 'fgfy'"),
            ("fgfi+fgfi", "names a method twice"),
            ("no.where:M", "cannot be imported"),
        ],
    )
    def test_what_is_no_arm(self, label, message):
        with pytest.raises(ValueError, match=message):
            arms.methods_of(label)

    def test_the_matrix_has_the_four_methods(self):
        assert {"fgfi", "frs", "gkd", "dist2"} <= set(arms.matrix_methods())
        assert "none" not in arms.matrix_methods()


class _Here:
    """A pool that works in this process, on what a pickle brings along."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def submit(self, *call):
        function, *arguments = pickle.loads(pickle.dumps(call))
        job = Future()
        job.set_result(function(*arguments))
        return job


class TestTrial:
    def test_every_arm_with_every_seed_on_the_test_split(
        self, tiny, workplace, monkeypatch, tmp_path
    ):
        recipe = tmp_path / "pocket.yaml"
        pocket = load_spec(arms.RECIPE).model_dump(mode="json")
        pocket["data"] = tiny["data"]
        pocket["data"]["scenes"]["test"] = 3
        home = arms.RECIPES.parents[1]
        for role in ("student", "teacher"):
            pocket[role]["weights"] = str(home / pocket[role]["weights"])
        pocket["teacher"]["min_ap"] = 0.0
        pocket["train"] |= {"steps": 2, "batch_size": 2, "warmup_steps": 1}
        write_json_atomically(recipe, pocket)  # JSON is YAML
        monkeypatch.setattr(arms, "RECIPE", recipe)
        monkeypatch.setattr(trial, "RECIPE", recipe)
        monkeypatch.setattr(trial, "ProcessPoolExecutor", _Here)
        left = tmp_path / "left"
        measured = trial.trial({"fitnets": arms.methods_of("fitnets")}, (0, 1), folder=left)
        done = {(score.method, score.seed): score for score in measured.scores}
        assert set(done) == set(itertools.product([ALONE, "fitnets"], (0, 1)))
        for folder in left.glob("*/"):
            result = json.loads((folder / "result.json").read_text())
            spec = load_spec(folder / "spec.yaml")
            label = "+".join(result["methods"]) or ALONE
            assert done[label, spec.train.seed].value == result["test"]["AP"]
            assert result["data"]["test"]["images"] == 3
        assert 0 <= measured.teacher <= 1
        with pytest.raises(FileExistsError, match="is not empty"):
            trial.trial({}, (0, 1), folder=left)

    def test_all_arms_of_a_seed_come_before_the_next(self):
        specs = trial.in_order({"fgfi": arms.methods_of("fgfi")}, (4, 5))
        order = [(spec.name, spec.train.seed) for spec in specs]
        assert order == [("student", 4), ("fgfi", 4), ("student", 5), ("fgfi", 5)]

    def test_one_seed_has_no_spread(self):
        with pytest.raises(ValueError, match="at least two different seeds"):
            trial.trial({}, (1,))

    @pytest.mark.skipif(
        "forkserver" not in multiprocessing.get_all_start_methods(), reason="system cannot fork"
    )
    def test_workers_begin_with_their_work_imported_and_we_need_not(self):
        code = """
import sys
from concurrent.futures import ProcessPoolExecutor
from kdviz.runs.pocket.workers import WORK, context, get_ready
get_ready()
with ProcessPoolExecutor(1, context()) as pool:
    print(pool.submit(eval, f"{WORK!r} in __import__('sys').modules").result())
print("torch" in sys.modules)
"""
        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        assert told.stdout.split() == [b"True", b"False"]


def measured(**values):
    """A trial in which each method has these scores, seed by seed."""
    return trial.Trial(
        [
            Score(method, seed, value, 150, 7.0)
            for method, each in values.items()
            for seed, value in enumerate(each)
        ],
        0.61,
        48.6,
    )


class TestReport:
    @pytest.mark.parametrize(
        ("scores", "word"),
        [
            ((0.25, 0.24, 0.27), r"^m helps: \+0\.050 AP .*95 % interval \+0\.0"),
            ((0.15, 0.14, 0.17), r"^m harms: -0\.050 AP"),
            ((0.25, 0.14, 0.22), r"^m is undecided: .*interval -0\..*holds 0.*--seeds 6"),
        ],
    )
    def test_the_sentence_says_what_the_interval_allows(self, scores, word):
        rows = measured(student=(0.20, 0.195, 0.215), m=scores).rows
        assert re.search(word, sentence(rows[1]))

    def test_text_and_json_hold_the_same(self):
        told = measured(student=(0.2, 0.21), gkd=(0.26, 0.28))
        content = as_dict(told, "kdviz bench pocket --method gkd")
        assert [row["AP"] for row in content["rows"]] == [0.2, 0.21, 0.26, 0.28]
        alone, gkd = content["summary"]
        assert (alone["verdict"], alone["difference"]) == ("baseline", None)
        assert gkd["difference"] == pytest.approx(0.065)
        assert gkd["interval"][0] < 0.065 < gkd["interval"][1]
        shown = text(told)
        assert "the 4 runs went on" in shown
        assert "for 150 steps" in shown
        assert "49 s in all" in shown
        assert "0.610 AP" in shown
        assert "+0.065" in shown
        json.dumps(content, allow_nan=False)

    def test_table_for_the_readme(self, tmp_path):
        told = measured(student=(0.2, 0.21), gkd=(0.26, 0.28), frs=(0.2, 0.19))
        path, full = tmp_path / "pocket.json", tmp_path / "scenes.json"
        assert pocket_table(path, full) == "Not measured yet: pocket.json is missing."
        write_json_atomically(path, as_dict(told, "kdviz bench pocket --all"))
        shown = pocket_table(path, full)
        assert "| gkd | 0.270 | +0.065 |" in shown
        assert "| student | 0.205 |  |  |  |" in shown
        assert "2 paired seeds; the teacher has 0.610 AP" in shown
        assert shown.endswith("yet: scenes.json is missing.")


class TestRanks:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
            ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
            ([0.1, 0.3, 0.2, 0.9, 0.8, 0.4], [3, 1, 2, 9, 4, 5]),
            ([1, 2, 2, 4], [1, 3, 3, 2]),
        ],
    )
    def test_rho_is_spearmans_and_p_counts_every_order(self, first, second):
        rho, p = ranks.spearman(first, second)
        assert rho == pytest.approx(spearmanr(first, second).statistic)
        orders = list(itertools.permutations(second))
        reached = sum(spearmanr(first, order).statistic >= rho - 1e-9 for order in orders)
        assert p == pytest.approx(reached / len(orders))

    def test_the_best_of_five_orders_is_one_in_120(self):
        assert ranks.spearman(range(5), range(5))[1] == pytest.approx(1 / 120)

    def test_many_values_go_by_students_t(self):
        second = [3, 1, 2, 5, 4, 9, 7, 8, 6, 10]
        rho, p = ranks.spearman(range(10), second)
        known = spearmanr(range(10), second, alternative="greater")
        assert (rho, p) == pytest.approx((known.statistic, known.pvalue))

    def test_equal_values_have_no_order(self):
        rho, p = ranks.spearman([1, 1, 1], [1, 2, 3])
        assert rho != rho
        assert p == 1

    def test_differences_are_paired_by_seed(self):
        rows = [
            {"method": method, "seed": seed, "test_AP": value}
            for method, seed, value in [
                ("student", 0, 0.2),
                ("student", 1, 0.4),
                ("gkd", 1, 0.5),
                ("gkd", 0, 0.35),
                ("frs", 1, 0.1),
                ("cwd", 2, 0.9),
                ("pkd", 0, None),
            ]
        ]
        told = ranks.differences(rows, "test_AP")
        assert told == {"gkd": pytest.approx(0.125), "frs": pytest.approx(-0.3)}

    def test_stored_runs_of_the_same_pair_are_taken(self, tmp_path):
        """The other pair has the opposite order, and must not be seen."""
        order = {"student": 0.2, "fitnets": 0.21, "fgfi": 0.25, "gkd": 0.3}
        full = [
            {"data": "scenes", "pair": pair, "method": m, "seed": 0, "AP": 0.0, "test_AP": value}
            for m, v in order.items()
            for pair, value in (("fcos", v), ("retinanet", 1 - v))
        ]
        path = tmp_path / "scenes.json"
        write_json_atomically(path, {"rows": full})
        rows = [{"method": m, "seed": 0, "AP": v / 2} for m, v in order.items()]
        told = ranks.against_full(rows, path)
        assert told.methods == ("gkd", "fgfi", "fitnets")
        assert told.rho == pytest.approx(1)
        assert told.p == pytest.approx(1 / 6)
        said = ranks.ranking(rows, path)
        assert "+1.00 over 3 methods (one-sided p 0.167)" in said
        assert "gkd +0.050 / +0.100" in said

    def test_too_few_methods_and_a_missing_file_are_said(self, tmp_path):
        path = tmp_path / "scenes.json"
        assert ranks.ranking([], path).endswith("scenes.json is missing.")
        write_json_atomically(path, {"rows": []})
        assert "needs 3 methods" in ranks.ranking([], path)


class TestCommand:
    def test_json_file_and_text(self, tmp_path, monkeypatch, capsys):
        seen = {}

        def fake(arms, seeds, *, folder):
            seen.update(arms=arms, seeds=list(seeds), folder=folder)
            return measured(student=(0.2, 0.21), fgfi=(0.26, 0.28))

        monkeypatch.setattr("kdviz.runs.pocket.trial.trial", fake)
        out = tmp_path / "told.json"
        words = ["bench", "pocket", "--method", "fgfi", "--option", "psi=0.4", "--seeds", "2"]
        assert main([*words, "--out", str(out), "--json"]) == OK
        content = json.loads(capsys.readouterr().out)
        assert content == json.loads(out.read_text())
        assert seen["seeds"] == [0, 1]
        assert seen["arms"]["fgfi"][0].options == {"psi": 0.4}
        assert content["command"].startswith("kdviz bench pocket --method fgfi")
        assert main(words) == OK
        assert capsys.readouterr().out.startswith("fgfi ")

    def test_all_methods_are_ranked(self, monkeypatch, capsys):
        def fake(arms, seeds, *, folder):
            return measured(student=(0.2, 0.21), **{label: (0.3, 0.31) for label in arms})

        monkeypatch.setattr("kdviz.runs.pocket.trial.trial", fake)
        assert main(["bench", "pocket", "--all"]) == OK
        said = capsys.readouterr().out
        assert all(label in said for label in arms.matrix_methods())
        assert "ank correlation" in said.splitlines()[-1]

    def test_changes_belong_to_one_method(self, capsys):
        assert main(["bench", "pocket", "--all", "--weight", "fgfi=1"]) == FAILED
        assert "name it with --method" in capsys.readouterr().err


def test_compare_pairs_what_the_trial_gives():
    rows = compare(measured(student=(0.2, 0.3), fgfi=(0.3, 0.35)).scores)
    assert rows[1].differences == pytest.approx((0.1, 0.05))
