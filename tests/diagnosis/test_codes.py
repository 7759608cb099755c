"""Prototypes and codes against loops, hand arithmetic and a least-squares solver."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from kdviz.diagnosis.codes import (
    choose_prototypes,
    draw_prototypes,
    encode,
    taken_by_class,
    unexplained,
)
from kdviz.methods.gkd import select_prototypes
from kdviz.methods.gkd_bank import InstanceTable

STRIDE = 8


def table_of(student, teacher, labels, large=None):
    labels = torch.as_tensor(labels)
    count = len(labels)
    return InstanceTable(
        student={STRIDE: torch.as_tensor(student)},
        teacher={STRIDE: torch.as_tensor(teacher)},
        labels=labels,
        large=torch.ones(count, dtype=torch.bool) if large is None else torch.as_tensor(large),
        image_ids=torch.zeros(count, dtype=torch.int64),
        boxes=torch.zeros(count, 4),
    )


@pytest.fixture
def table():
    """Forty instances of three classes, out of order, some too small."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(40, c, generator=generator) + 1 for c in (5, 7)]
    labels = torch.randint(1, 4, (40,), generator=generator)
    return table_of(*draw, labels, torch.rand(40, generator=generator) > 0.2)


@pytest.mark.parametrize("unique", [False, True])
def test_prototypes_are_rows_of_the_large_instances_of_each_class(table, unique):
    expected = []
    for label in (1, 2, 3):
        rows = ((table.labels == label) & table.large).nonzero()[:, 0]
        student, teacher = table.student[STRIDE][rows], table.teacher[STRIDE][rows]
        expected += rows[select_prototypes(student, teacher, 4, unique=unique)].tolist()
    assert choose_prototypes(table, STRIDE, 4, unique=unique).tolist() == expected


def test_draws_are_of_the_same_instances_and_differ_by_seed(table):
    first, again, other = (draw_prototypes(table, 4, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == len(first) == 12
    assert table.large[first].all()
    assert table.labels[first].tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_counts_keep_the_order_of_the_first_taking():
    table = table_of(torch.eye(5), torch.eye(5), [2, 2, 1, 2, 1])
    taken = taken_by_class(table, torch.tensor([4, 3, 0, 3, 1, 3]))
    assert {label: list(counts.items()) for label, counts in taken.items()} == {
        1: [(4, 1)],
        2: [(3, 3), (0, 1), (1, 1)],
    }


class TestCodes:
    def test_are_cosines_in_each_space(self, table):
        rows = torch.tensor([3, 11, 20])
        codes = encode(table, rows, STRIDE)
        for role in ("student", "teacher"):
            features = getattr(table, role)[STRIDE]
            for i in range(40):
                for k, row in enumerate(rows.tolist()):
                    cosine = F.cosine_similarity(features[i], features[row], dim=0)
                    assert_close(getattr(codes, role)[i, k], cosine)
        assert torch.equal(codes.prototype_labels, table.labels[rows])

    def test_reliability_by_hand(self):
        """Prototypes (1, 0) and (0, 1) in both spaces; one network sees (1, 0), one (1, 1)."""
        student = [[1.0, 0], [0, 1], [1, 0]]
        teacher = [[1.0, 0], [0, 1], [1, 1]]
        codes = encode(table_of(student, teacher, [1, 1, 1]), torch.tensor([0, 1]), STRIDE)
        assert_close(codes.reliability, torch.tensor([1, 1, 0.5**0.5]))
        assert codes.judged.tolist() == [False, False, True]
        student_best, teacher_best = codes.typicality
        assert_close(student_best, torch.ones(3))
        assert_close(teacher_best, torch.tensor([1, 1, 0.5**0.5]))

    def test_a_class_without_prototypes(self):
        codes = encode(table_of(torch.eye(2), torch.eye(2), [1, 2]), torch.tensor([0]), STRIDE)
        assert codes.typicality[0].tolist() == [1, -2]
        assert codes.reliability.tolist() == [1, 1]

    def test_all_are_judged_where_all_are_prototypes(self):
        codes = encode(table_of(torch.eye(2), torch.eye(2), [1, 1]), torch.tensor([0, 1]), STRIDE)
        assert codes.judged.all()

    def test_another_view_is_measured_by_the_prototypes_of_the_first(self, table):
        rows = torch.tensor([1, 2])
        few = table_of(table.student[STRIDE][5:8], table.teacher[STRIDE][5:8], table.labels[5:8])
        part, whole = encode(few, rows, STRIDE, prototypes=table), encode(table, rows, STRIDE)
        assert_close(part.student, whole.student[5:8])
        assert_close(part.reliability, whole.reliability[5:8])
        assert torch.equal(part.prototype_labels, whole.prototype_labels)


class TestUnexplained:
    def test_solves_the_joint_problem(self, table):
        """Each instance by ordinary least squares over both spaces and the tie of coefficients."""
        alpha = 3.0
        rows = draw_prototypes(table, 2)
        left = unexplained(table, rows, STRIDE, alpha)
        for steps in (1, 2):
            total, count = torch.zeros(2, dtype=torch.float64), 0
            for label in (1, 2, 3):
                taken = rows[table.labels[rows] == label][:steps]
                a, b = (
                    F.normalize(x[STRIDE].double(), dim=1) for x in (table.student, table.teacher)
                )
                tie = alpha**0.5 * torch.eye(steps, dtype=torch.float64)
                columns = torch.cat(
                    [
                        torch.cat([a[taken].T, torch.zeros(7, steps, dtype=torch.float64), tie]),
                        torch.cat([torch.zeros(5, steps, dtype=torch.float64), b[taken].T, -tie]),
                    ],
                    dim=1,
                )
                for i in table.of_class(label).tolist():
                    side = torch.cat([a[i], b[i], torch.zeros(steps, dtype=torch.float64)])
                    found = torch.linalg.lstsq(columns, side[:, None]).solution
                    rest = side - (columns @ found)[:, 0]
                    total += torch.stack([rest[:5].square().sum(), rest[5:12].square().sum()])
                    count += 1
            assert_close(torch.stack(left)[:, steps], total / count)

    def test_without_a_tie_it_is_the_distance_to_the_span(self):
        student = [[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [3, 0, 4]]
        left, _ = unexplained(
            table_of(student, torch.eye(4), [1] * 4), torch.tensor([0, 1]), STRIDE, alpha=0.0
        )
        # of (1, 1)/sqrt 2 half is left by the first axis; of (3, 4)/5 the part 16/25 by both
        assert left.tolist() == pytest.approx([1, (1 + 0.5 + 0.64) / 4, 0.64 / 4])

    def test_one_taken_twice_adds_nothing_without_a_tie(self, table):
        rows = draw_prototypes(table, 1).repeat_interleave(2)
        for curve in unexplained(table, rows, STRIDE, alpha=0.0):
            assert_close(curve[1], curve[2])

    def test_starts_whole_and_falls(self, table):
        for curve in unexplained(table, choose_prototypes(table, STRIDE, 5), STRIDE, alpha=0.0):
            assert curve[0] == 1
            assert (curve.diff() <= 1e-9).all()

    def test_a_class_with_fewer_prototypes_keeps_what_its_last_one_left(self):
        table = table_of(torch.eye(3), torch.eye(3), [1, 2, 2])
        left, _ = unexplained(table, torch.tensor([0, 1, 2]), STRIDE)
        assert left.tolist() == pytest.approx([1, 1 / 3, 0])
