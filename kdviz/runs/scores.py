"""What a comparison says: scores, paired differences with their intervals, and a verdict each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student_t

from kdviz.runs.compare import ALONE, label_of
from kdviz.runs.local import RunState

Verdict = Literal["baseline", "better", "worse", "undecided", "one seed: no interval", "no pair"]


@dataclass(frozen=True)
class Score:
    """What one finished run is worth.

    Attributes:
        method: as in `label_of`.
        seed: of the run.
        value: a COCO number, in [0, 1].
        steps: that it was trained for.
        seconds: that its training took.
    """

    method: str
    seed: int
    value: float
    steps: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """One method of a comparison.

    Attributes:
        method: as in `label_of`.
        values: its score with each seed.
        differences: to the baseline, for each seed that both were run with.
        steps: of its longest run.
        seconds: mean of its runs.
        is_baseline: the others are compared with it.
    """

    method: str
    values: tuple[float, ...]
    differences: tuple[float, ...]
    steps: int
    seconds: float
    is_baseline: bool

    @property
    def mean(self) -> float:
        """Mean of the scores."""
        return float(np.mean(self.values))

    @property
    def difference(self) -> float:
        """Mean of the differences; NaN without any pair."""
        return float(np.mean(self.differences)) if self.differences else float("nan")

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean difference; None below two pairs."""
        return paired_interval(self.differences)

    @property
    def verdict(self) -> Verdict:
        """What may be said: a method is better or worse if its interval leaves out 0."""
        if self.is_baseline:
            return "baseline"
        if not self.differences:
            return "no pair"
        if self.interval is None:
            return "one seed: no interval"
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else "undecided"


def paired_interval(
    differences: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    r"""Interval of the mean of paired differences, by Student's t.

    .. math:: \bar d \pm t_{n-1} \, \frac{s_d}{\sqrt n}

    Args:
        differences: one for each seed.
        confidence: share of such intervals that hold the true mean, in (0, 1).

    Returns:
        (low, high); None for fewer than two, whose spread nobody knows.
    """
    if len(differences) < 2:
        return None
    values = np.asarray(differences, dtype=np.float64)
    quantile = float(student_t.ppf((1 + confidence) / 2, len(values) - 1))
    half = quantile * float(values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return mean - half, mean + half


def scores_of(states: Iterable[RunState], metric: str = "AP") -> list[Score]:
    """The scores of the runs that are done."""
    return [
        Score(
            label_of(state.spec),
            state.spec.train.seed,
            float(state.result["metrics"][metric]),
            state.spec.train.steps,
            float(state.result["speed"]["seconds"]),
        )
        for state in states
        if state.result is not None
    ]


def compare(scores: Iterable[Score], baseline: str = ALONE) -> list[Row]:
    """One row for each method that has a score, the baseline first.

    A difference is taken between two runs of one seed; a seed that only one of the two has finished
    counts in the mean score and not in the difference.
    """
    by_method: dict[str, dict[int, Score]] = {}
    for score in scores:
        by_method.setdefault(score.method, {})[score.seed] = score
    base = by_method.get(baseline, {})
    rows = []
    for method in sorted(by_method, key=lambda name: name != baseline):
        own = by_method[method]
        pairs = [] if method == baseline else [seed for seed in own if seed in base]
        rows.append(
            Row(
                method,
                tuple(score.value for score in own.values()),
                tuple(own[seed].value - base[seed].value for seed in pairs),
                max(score.steps for score in own.values()),
                float(np.mean([score.seconds for score in own.values()])),
                method == baseline,
            )
        )
    return rows


def table(rows: Sequence[Row], metric: str = "AP", *, times: bool = False) -> str:
    """Rows as text of fixed width.

    Args:
        rows: of `compare`.
        metric: what was compared.
        times: add the seconds of training, which no two executions share.
    """
    wide = max([6, *(len(row.method) for row in rows)])
    head = f"{'method':<{wide}}  {'steps':>6}  {'seeds':>5}  {metric:>6}  {'difference':>10}"
    head += f"  {'95 % interval':<16}  " + ("seconds  " if times else "") + "verdict"
    lines = [head]
    for row in rows:
        shown = "" if row.is_baseline or not row.differences else f"{row.difference:+z.3f}"
        low_high = row.interval
        span = "" if low_high is None else f"{low_high[0]:+z.3f} to {low_high[1]:+z.3f}"
        line = f"{row.method:<{wide}}  {row.steps:>6}  {len(row.values):>5}  {row.mean:>6.3f}"
        line += f"  {shown:>10}  {span:<16}  " + (f"{row.seconds:>7.0f}  " if times else "")
        lines.append(line + row.verdict)
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)
