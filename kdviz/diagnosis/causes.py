"""Which difficulty explains the gap between teacher and student, and whether it was closed.

Objects are cut into slices by each factor. A slice *explains* as much of the gap as it holds of the
objects that the teacher finds and the student does not; a factor matters if the gap is wider where
the factor is strong than where it is weak.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.bootstrap import Estimate, Resamples
from kdviz.diagnosis.overlaps import Numbers
from kdviz.diagnosis.verdicts import ObjectVerdicts
from kdviz.engine.coco_eval import default_slices
from kdviz.engine.coco_input import GroundTruth
from kdviz.engine.coco_metrics import Slice


@dataclass(frozen=True)
class SliceFinding:
    """The objects of one slice, through all sets.

    Attributes:
        slice: factor and bounds.
        objects: (n,) positions of its objects.
        recall: share of them that each set finds at its threshold, by role or name.
        gap: recall of teacher minus student; None without the two.
        explains: share of the whole gap that lies here, teacher minus student found; None without
            the two. With a small whole gap it is wild, and its interval says so.
        gain: recall of distilled minus student; None without the two.
        closed: share of this slice's gap that distillation closed; None without all three.
    """

    slice: Slice
    objects: NDArray[np.int64]
    recall: dict[str, Estimate]
    gap: Estimate | None
    explains: Estimate | None
    gain: Estimate | None
    closed: Estimate | None


@dataclass(frozen=True)
class FactorFinding:
    """One factor: its slices, and how much more of the gap its strong end has than its weak end.

    Attributes:
        factor: its name.
        slices: from weak to strong.
        contrast: gap in the last slice minus gap in the first; None without teacher and student.
        gain_contrast: the same of the gain; None without student and distilled.
    """

    factor: str
    slices: tuple[SliceFinding, ...]
    contrast: Estimate | None
    gain_contrast: Estimate | None


def find_causes(
    factors: Mapping[str, Numbers],
    verdicts: Mapping[str, ObjectVerdicts],
    resamples: Resamples,
) -> list[FactorFinding]:
    """Recall of every set in every slice of every factor, and what it says of the gap.

    Args:
        factors: value of each object by factor, each (G,); NaN where it is unknown.
        verdicts: by role (student, teacher, distilled) or other name, on one ground truth.
        resamples: draws of images; all numbers are paired through them.

    Returns:
        The factors by how sure it is that the gap depends on them, the surest first; without
        teacher and student in the order given.

    Raises:
        ValueError: there are no verdicts.
    """
    if not verdicts:
        raise ValueError("give the verdicts of at least one set of detections")
    truth = next(iter(verdicts.values())).typed.truth
    findings = []
    for name, values in factors.items():
        one = replace(truth, factors={name: values})
        slices = [_slice(part, values, truth, verdicts, resamples) for part in default_slices(one)]
        slices = [finding for finding in slices if len(finding.objects)]
        if len(slices) > 1:
            ends = slices[-1], slices[0]
            contrast = _minus(*(finding.gap for finding in ends))
            gain_contrast = _minus(*(finding.gain for finding in ends))
            findings.append(FactorFinding(name, tuple(slices), contrast, gain_contrast))
    return sorted(findings, key=lambda finding: -_certainty(finding.contrast))


def _slice(
    part: Slice,
    values: Numbers,
    truth: GroundTruth,
    verdicts: Mapping[str, ObjectVerdicts],
    resamples: Resamples,
) -> SliceFinding:
    inside = (values > part.low) & (values <= part.high) & ~truth.crowd
    of_all = truth.image[~truth.crowd]
    recall, found, whole = {}, {}, {}
    for role, one in verdicts.items():
        recall[role] = resamples.share(truth.image[inside & one.right], truth.image[inside])
        found[role] = resamples.share(truth.image[inside & one.right], of_all)
        whole[role] = resamples.share(truth.image[one.right], of_all)
    gap = explains = gain = closed = None
    if {"student", "teacher"} <= set(recall):
        gap = recall["teacher"] - recall["student"]
        explains = _over(found["teacher"] - found["student"], whole["teacher"] - whole["student"])
    if {"student", "distilled"} <= set(recall):
        gain = recall["distilled"] - recall["student"]
    if gap is not None and gain is not None:
        closed = _over(gain, gap)
    return SliceFinding(part, np.flatnonzero(inside), recall, gap, explains, gain, closed)


def _minus(last: Estimate | None, first: Estimate | None) -> Estimate | None:
    return None if last is None or first is None else last - first


def _over(above: Estimate, below: Estimate) -> Estimate:
    draws = np.full(len(below.draws), np.nan)
    np.divide(above.draws, below.draws, out=draws, where=below.draws != 0)
    return Estimate(above.value / below.value if below.value else np.nan, draws)


def _certainty(contrast: Estimate | None) -> float:
    """How many standard errors a contrast lies from 0; 0 where it is unknown."""
    if contrast is None or not contrast.value or np.isnan(contrast.value):
        return 0.0
    error = float(np.nanstd(contrast.draws))
    return abs(contrast.value) / error if error > 0 else np.inf


def stands(estimate: Estimate | None) -> bool:
    """Whether the 95 % interval of a difference leaves out 0."""
    if estimate is None:
        return False
    low, high = estimate.interval()
    return bool(low > 0 or high < 0)


def closing_factors(findings: Iterable[FactorFinding]) -> list[str]:
    """Factors whose hard end gained more (or less) from distillation than the easy end, surely."""
    return [finding.factor for finding in findings if stands(finding.gain_contrast)]
