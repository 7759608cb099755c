"""What a claim stands or falls with: numbers, their intervals, and the verdict on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from scipy.stats import t as student_t

from kdviz.runs.claims.claim import Bounds, Claim
from kdviz.runs.claims.cost import Cost
from kdviz.runs.claims.records import Interval
from kdviz.runs.scores import paired_interval

MOST_SEEDS = 100
"""More than these nobody would run."""


class Verdict(StrEnum):
    """What may be said of a claim."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Evidence:
    """One number that a claim stands or falls with.

    Attributes:
        name: what it is.
        values: one for each seed.
        confirms: which values confirm the claim.
        images: 95 % interval over draws of images; None where nothing was drawn.
        decimals: to show.
    """

    name: str
    values: tuple[float, ...]
    confirms: Bounds
    images: Interval | None = None
    decimals: int = 3

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def seeds(self) -> Interval | None:
        """95 % interval of the mean over seeds, by Student's t; None below two seeds."""
        return paired_interval(self.values)

    @property
    def verdict(self) -> Verdict:
        """Every interval must say the same; one seed decides nothing, whatever the images say."""
        if self.seeds is None:
            return Verdict.UNDECIDED
        intervals = [each for each in (self.seeds, self.images) if each is not None]
        sides = {_side(each, self.confirms) for each in intervals}
        return sides.pop() if len(sides) == 1 else Verdict.UNDECIDED

    @property
    def seeds_wanted(self) -> int | None:
        """Seeds that would decide it if mean and spread stayed as they are; None where none would.

        The spread is that of a few seeds, so this is a rough number.
        """
        ends = [x for x in (self.confirms.above, self.confirms.below) if x is not None]
        if len(self.values) < 2:
            return None
        distance = min(abs(self.mean - end) for end in ends)
        spread = float(np.std(self.values, ddof=1))
        counts = range(len(self.values), MOST_SEEDS + 1)
        decide = (n for n in counts if student_t.ppf(0.975, n - 1) * spread / n**0.5 < distance)
        return next(decide, None)

    def __str__(self) -> str:
        told = [f"{self.name} {self._number(self.mean)}"]
        if self.seeds is not None:
            told.append(f"{self._span(self.seeds)} over {len(self.values)} seeds")
        if self.images is not None:
            told.append(f"{self._span(self.images)} over draws of images")
        return ", ".join(told)

    def _span(self, interval: Interval) -> str:
        return " to ".join(map(self._number, interval))

    def _number(self, value: float) -> str:
        return f"{value:+.{self.decimals}f}"


@dataclass(frozen=True)
class Ruling:
    """What became of one question that a claim asks.

    Attributes:
        claim: whose question it is.
        at: where it was asked: ``as in the paper``, or matrix, data set and pair.
        asks: what was asked, in words.
        verdict: what the numbers say.
        evidence: the numbers; empty where nothing was run.
        why: what is missing, for a verdict without numbers or one that their number forbids.
        cost: of what was not run; None where all of it was.
        differs: settings that are not the paper's.
        matrix: that was asked; empty for the paper's own training.
    """

    claim: Claim
    at: str
    asks: str
    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    why: str = ""
    cost: Cost | None = None
    differs: tuple[str, ...] = field(default=(), repr=False)
    matrix: str = ""

    @property
    def by_paper(self) -> bool:
        """Whether this is the paper's own training and not a smaller one."""
        return not self.matrix


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of several that must all confirm: one refutes, or one leaves it open."""
    order = Verdict.NOT_CONFIRMED, Verdict.UNDECIDED, Verdict.CONFIRMED
    return next(verdict for verdict in order if verdict in verdicts)


def _side(interval: Interval, bounds: Bounds) -> Verdict:
    """Whether all values of an interval confirm, none does, or some."""
    low, high = interval
    above = -np.inf if bounds.above is None else bounds.above
    below = np.inf if bounds.below is None else bounds.below
    if low > above and high < below:
        return Verdict.CONFIRMED
    if high <= above or low >= below:
        return Verdict.NOT_CONFIRMED
    return Verdict.UNDECIDED
