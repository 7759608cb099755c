"""What may be compared: pairs of one seed on the same images, and Holm's rule against a loop."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import t as student_t

from kdviz.runs.matrix.standings import groups, holm, p_value


def standing(records, method):
    (group,) = groups(records)
    return next(one for one in group.standings if one.method == method)


class TestPairs:
    def test_a_difference_needs_both_runs_of_its_seed(self, done, waiting):
        records = [
            *(done("student", seed, score) for seed, score in ((0, 0.3), (1, 0.4))),
            *(done("fgfi", seed, score) for seed, score in ((1, 0.47), (2, 0.9))),
            waiting("fgfi", 0),
            waiting("student", 2),
        ]
        one = standing(records, "fgfi")
        assert one.row.differences == pytest.approx((0.07,))
        assert one.row.mean == pytest.approx((0.47 + 0.9) / 2)
        assert (one.seeds, one.paired, one.planned) == ((1, 2), (1,), 3)
        assert one.verdict == "one seed: no interval"
        assert one.holm is None

    def test_runs_of_other_images_are_no_pair(self, done):
        records = [done("student", 0, 0.3), done("fgfi", 0, 0.5, images="others")]
        assert standing(records, "fgfi").verdict == "no pair"

    def test_pairs_and_data_are_kept_apart(self, done):
        records = [
            done("student", 0, 0.3),
            done("student", 0, 0.6, pair="retinanet"),
            done("fgfi", 0, 0.4),
            done("fgfi", 0, 0.8, pair="retinanet"),
            done("fgfi", 0, 0.9, data="bccd"),
        ]
        found = {(g.data, g.of): g for g in groups(records)}
        gains = {key: [row.difference for _, row in g.compared] for key, g in found.items()}
        assert gains["scenes", "fcos"] == pytest.approx([0.1])
        assert gains["scenes", "retinanet"] == pytest.approx([0.2])
        assert gains["bccd", "fcos"] == []

    def test_without_a_student_alone_the_pairs_of_one_student_are_compared(self, done):
        records = [
            done("fgfi", seed, score + 0.01 * seed, pair=pair, student="small")
            for pair, score in (("psi-0.2", 0.3), ("psi-0.5", 0.36))
            for seed in range(2)
        ]
        (group,) = groups(records)
        assert (group.name, group.against) == ("fgfi on scenes", "psi-0.2")
        assert [one.method for one in group.standings] == ["psi-0.2", "psi-0.5"]
        assert group.standings[1].row.differences == pytest.approx((0.06, 0.06))
        assert group.label(records[-1]) == "psi-0.5"

    def test_pairs_of_different_students_are_never_compared(self, done):
        records = [
            done("fgfi", 0, score, pair=pair, student=pair)
            for pair, score in (("a", 0.3), ("b", 0.4))
        ]
        assert [group.compared for group in groups(records)] == [[], []]

    def test_no_run_has_no_numbers(self, done, waiting):
        one = standing([done("student", 0, 0.3), waiting("gkd", 0)], "gkd")
        assert (one.row, one.verdict) == (None, "not run")

    def test_the_student_comes_first(self, done):
        (group,) = groups([done("gkd", 0, 0.4), done("student", 0, 0.3)])
        assert [one.method for one in group.standings] == ["student", "gkd"]


class TestSplit:
    def test_the_test_split_counts_if_all_were_scored_on_it(self, done, waiting):
        records = [done("student", 0, 0.3), done("gkd", 0, 0.4), waiting("gkd", 1)]
        (group,) = groups(records)
        assert (group.split, group.standings[1].row.mean) == ("test", 0.4)

    def test_else_the_validation_split_counts_for_all(self, done):
        (group,) = groups([done("student", 0, 0.3), done("gkd", 0, 0.4, test_AP=None)])
        assert group.split == "val"
        assert [one.row.mean for one in group.standings] == pytest.approx([0.2, 0.3])


class TestHolm:
    def test_hand_example(self):
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
        assert holm([]) == []

    def test_rejects_what_the_rule_rejects(self):
        """The rule as it is written: from the least p on, stop at the first that is too great."""
        stream = np.random.default_rng(0)
        for size in (1, 2, 7, 14):
            p_values = stream.uniform(0, 0.05, size).tolist()
            rejected = set()
            for rank, index in enumerate(np.argsort(p_values)):
                if p_values[index] > 0.05 / (size - rank):
                    break
                rejected.add(int(index))
            assert {i for i, p in enumerate(holm(p_values)) if p <= 0.05} == rejected

    def test_the_order_given_does_not_matter(self):
        for order in itertools.permutations([0.2, 0.01, 0.02]):
            by_p = dict(zip(order, holm(order), strict=True))
            assert by_p == pytest.approx({0.2: 0.2, 0.01: 0.03, 0.02: 0.04})

    def test_it_takes_all_groups_together(self, done):
        records = [
            done(method, seed, base + gain * (method != "student") + noise, pair=pair)
            for pair, base in (("a", 0.3), ("b", 0.5))
            for method, gain in (("student", 0), ("gkd", 0.1), ("frs", 0.02))
            for seed, noise in enumerate((0.0, 0.01 * (method == "gkd"), 0.02 * (method == "frs")))
        ]
        every = [(one, row) for group in groups(records) for one, row in group.compared]
        assert len(every) == 4
        alone = [p_value(row.differences) for _, row in every]
        assert [one.holm for one, _ in every] == pytest.approx(holm(alone))
        assert all(one.holm > p for (one, _), p in zip(every, alone, strict=True))


class TestPValue:
    def test_is_that_of_student(self):
        values = (0.01, 0.03, 0.04)
        mean, spread = sum(values) / 3, np.std(values, ddof=1)
        expected = 2 * student_t.sf(mean / (spread / math.sqrt(3)), 2)
        assert p_value(values) == pytest.approx(expected)

    def test_agrees_with_the_interval(self, done):
        stream = np.random.default_rng(1)
        for _ in range(50):
            records = [done("student", seed, 0.3) for seed in range(4)]
            records += [done("frs", seed, 0.3 + stream.normal(0.02, 0.02)) for seed in range(4)]
            row = standing(records, "frs").row
            assert (p_value(row.differences) < 0.05) == (row.verdict != "undecided")

    def test_equal_differences(self):
        assert p_value([0.1, 0.1]) == 0
        assert p_value([0.0, 0.0]) == 1
