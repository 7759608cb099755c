"""Do two measurements agree? The ratios of both, and how far each moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdviz.runs.embedded import FOLDER

BEFORE = FOLDER / "bench_before.json"
"""The report before that of ``bench.json``, of the same machine."""

TOLERANCE = 0.1


@dataclass(frozen=True)
class Change:
    """One ratio in two reports.

    Attributes:
        part: it belongs to.
        ratio: what it says.
        old: in the first report.
        new: in the second one.
    """

    part: str
    ratio: str
    old: float
    new: float

    @property
    def relative(self) -> float:
        """The change over the old ratio: 0.1 is a tenth more."""
        return self.new / self.old - 1

    @property
    def is_small(self) -> bool:
        """Whether it lies within `TOLERANCE`."""
        return abs(self.relative) <= TOLERANCE


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every ratio that both reports hold, the one that changed most first.

    Args:
        old: a report, as in ``bench.json``.
        new: another one.
    """
    changes = [
        Change(part, ratio, value, new[part]["ratios"][ratio])
        for part, told in old.items()
        for ratio, value in told["ratios"].items()
        if part in new and ratio in new[part]["ratios"] and value
    ]
    return sorted(changes, key=lambda change: -abs(change.relative))


def comparison(changes: list[Change]) -> str:
    """The largest change of each part as a table, and how many ratios changed more than a bit."""
    lines = ["| part | ratio that changed most | old | new | change |", "|---|---|---|---|---|"]
    for part in dict.fromkeys(change.part for change in changes):
        one = next(change for change in changes if change.part == part)
        lines.append(
            f"| {part} | {one.ratio} | {one.old:.3g} | {one.new:.3g} | {one.relative:+.1%} |"
        )
    beyond = sum(not change.is_small for change in changes)
    lines += ["", f"{beyond} of {len(changes)} ratios changed by more than {TOLERANCE:.0%}."]
    return "\n".join(lines)
