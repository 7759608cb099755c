"""Which comparisons the runs of a matrix allow, and how each method stands in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import ttest_1samp

from kdviz.runs.compare import ALONE
from kdviz.runs.matrix.outcomes import Outcome, Split
from kdviz.runs.matrix.spec import Cell
from kdviz.runs.scores import Row


@dataclass(frozen=True)
class Standing:
    """How one method stands with one pair on one data set.

    Attributes:
        method: as in `kdviz.runs.compare.label_of`; in a group of pairs the name of the pair.
        row: its scores and its paired differences; None as long as no run is done.
        planned: how many runs the matrix has of it.
        seeds: of the runs that are done.
        paired: of the differences: done, with the baseline done on the same images.
        images_per_second: mean of its runs; None without any.
        holm: p value of its difference, adjusted for all differences of the matrix; None where
            there is no interval.
    """

    method: str
    row: Row | None
    planned: int
    seeds: tuple[int, ...]
    paired: tuple[int, ...]
    images_per_second: float | None = None
    holm: float | None = None

    @property
    def verdict(self) -> str:
        """As in `kdviz.runs.scores.Row`; ``not run`` without any run that is done."""
        return "not run" if self.row is None else self.row.verdict


@dataclass(frozen=True)
class Group:
    """All methods with one pair on one data set: what may be compared.

    Where no student learns alone, the pairs of one student are compared instead, with one method:
    they differ in its recipe or in the teacher.

    Attributes:
        data: short name of the data set.
        of: short name of student and teacher; in a group of pairs the method.
        by_pair: whether this is a group of pairs.
        baseline: what the others are compared with: the student alone, or the first pair.
        split: whose AP is compared: the test split where all done runs were scored on it.
        standings: one for each method, the baseline first.
        teacher_AP: of the teacher, on its first validation images; None if unknown.
        teacher_images: how many those are.
    """

    data: str
    of: str
    by_pair: bool
    baseline: str
    split: Split
    standings: tuple[Standing, ...]
    teacher_AP: float | None
    teacher_images: int | None

    @property
    def name(self) -> str:
        """``pair on data``; one word where both are called the same."""
        return self.data if self.data == self.of else f"{self.of} on {self.data}"

    @property
    def against(self) -> str:
        """The baseline in words."""
        return self.baseline if self.by_pair else "the student alone"

    def label(self, place: Outcome | Cell) -> str | None:
        """What a run is called in this group; None for a run of another one."""
        of, label = (place.method, place.pair) if self.by_pair else (place.pair, place.method)
        return label if (place.data, of) == (self.data, self.of) else None

    @property
    def begun(self) -> bool:
        """Whether any of its runs is done."""
        return any(one.row for one in self.standings)

    @property
    def compared(self) -> list[tuple[Standing, Row]]:
        """Methods with a paired difference, and their rows."""
        return [(one, one.row) for one in self.standings if one.row and one.row.differences]


def groups(records: Sequence[Outcome]) -> list[Group]:
    """What may be compared, in the order of the records.

    A difference is taken between two runs of one seed on the same images. The p values of all
    differences are adjusted together, by Holm's step-down rule.
    """
    by_data: dict[str, list[Outcome]] = {}
    for record in records:
        by_data.setdefault(record.data, []).append(record)
    found = [group for part in by_data.values() for group in _groups(part)]
    tested = [row.differences for group in found for _, row in group.compared if row.interval]
    adjusted = iter(holm([p_value(values) for values in tested]))
    return [
        replace(
            group,
            standings=tuple(
                replace(one, holm=next(adjusted)) if one.row and one.row.interval else one
                for one in group.standings
            ),
        )
        for group in found
    ]


def p_value(differences: Sequence[float]) -> float:
    """Chance of differences as far from 0 as these if their mean were 0, by Student's t.

    Args:
        differences: two or more.
    """
    values = np.asarray(differences, dtype=np.float64)
    if np.ptp(values) == 0:  # no spread: the test divides by 0
        return 0.0 if values[0] else 1.0
    return float(ttest_1samp(values, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""P values adjusted for their number, by Holm's step-down rule.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})

    Args:
        p_values: in any order.

    Returns:
        In the same order: the chance of at least one as small among as many, if nothing differed.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def _groups(records: Sequence[Outcome]) -> Iterator[Group]:
    """The groups of one data set."""
    pairs = list(dict.fromkeys(record.pair for record in records))
    methods = list(dict.fromkeys(record.method for record in records))
    one_student = len({record.student for record in records}) == 1
    by_pair = ALONE not in methods and len(pairs) > 1 and one_student
    for of in methods if by_pair else pairs:
        baseline = pairs[0] if by_pair else ALONE
        empty = Group(records[0].data, of, by_pair, baseline, "val", (), None, None)
        members: dict[str, list[Outcome]] = {}
        for record in records:
            if (label := empty.label(record)) is not None:
                members.setdefault(label, []).append(record)
        yield _filled(empty, members)


def _filled(group: Group, members: Mapping[str, Sequence[Outcome]]) -> Group:
    done = [one for part in members.values() for one in part if one.status == "done"]
    split: Split = "test" if done and all(one.test_AP is not None for one in done) else "val"
    base = {one.seed: one for one in members.get(group.baseline, ()) if one.status == "done"}
    taught = next((one for one in done if one.teacher_AP is not None), None)
    return replace(
        group,
        split=split,
        standings=tuple(
            _standing(label, members[label], base, split, label == group.baseline)
            for label in sorted(members, key=group.baseline.__ne__)
        ),
        teacher_AP=taught.teacher_AP if taught else None,
        teacher_images=taught.teacher_images if taught else None,
    )


def _standing(
    label: str,
    records: Sequence[Outcome],
    base: Mapping[int, Outcome],
    split: Split,
    is_baseline: bool,
) -> Standing:
    scored = {
        one.seed: (one, score)
        for one in records
        if one.status == "done" and (score := one.score(split)) is not None
    }
    differences = {}
    for seed, (one, score) in scored.items():
        alone = base.get(seed)
        before = alone.score(split) if alone and alone.images == one.images else None
        if not is_baseline and before is not None:
            differences[seed] = score - before
    seconds = [one.seconds for one, _ in scored.values() if one.seconds is not None]
    speeds = [one.images_per_second for one, _ in scored.values() if one.images_per_second]
    row = Row(
        label,
        tuple(score for _, score in scored.values()),
        tuple(differences.values()),
        records[0].steps,
        float(np.mean(seconds)) if seconds else math.nan,
        is_baseline,
    )
    return Standing(
        label,
        row if scored else None,
        len(records),
        tuple(scored),
        tuple(differences),
        float(np.mean(speeds)) if speeds else None,
    )
