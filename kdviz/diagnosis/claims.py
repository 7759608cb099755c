"""What the papers say their methods do, asked of objects: is it so here?

Each claim becomes one number that is above 0 where the paper is right, with an interval over draws
of images. A student that imitates every cell without any of the papers' ideas is the *control*: an
effect that it shows as well is no merit of the method.

The students differ by one training each. An interval tells how far a number would move on other
images, not with another seed; and of many true sentences about nothing, one in forty is "there" by
chance, and one in forty contradicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from kdviz.diagnosis.bootstrap import Estimate, Resamples
from kdviz.diagnosis.causes import find_causes
from kdviz.diagnosis.errors import TypedBoxes
from kdviz.diagnosis.findings import signed
from kdviz.diagnosis.groups import GroupedBoxes, grouped_boxes
from kdviz.diagnosis.outside import at_equal
from kdviz.diagnosis.overlaps import Integers, Numbers
from kdviz.diagnosis.verdicts import ObjectVerdicts

STUDENT, TEACHER = "student", "teacher"


class Ruling(StrEnum):
    """What the numbers say of a claim.

    - CONFIRMED: the effect is there, and larger than the control's where there is a control.
    - NOT_CONFIRMED: the effect is there, and may be the control's as well.
    - UNDECIDED: the interval holds 0.
    - CONTRADICTED: the opposite is there.
    """

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    UNDECIDED = "undecided"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper and what became of it.

    Attributes:
        paper: short name of the method that it belongs to, in lower case.
        sentence: what the paper says its method does, in our words.
        quantity: what was measured; above 0 where the sentence holds. Without a unit: recall.
        estimates: of this method, and of all other students that were measured, by name.
        control: which of them imitates plainly; None where the quantity itself compares with it.
    """

    paper: str
    sentence: str
    quantity: str
    estimates: dict[str, Estimate]
    control: str | None

    @property
    def own(self) -> Estimate:
        """Of the method that the claim belongs to."""
        return self.estimates[self.paper]

    @property
    def beyond(self) -> Estimate | None:
        """By how much it exceeds the control; None without one."""
        return None if self.control is None else self.own - self.estimates[self.control]

    @property
    def ruling(self) -> Ruling:
        """See `Ruling`; intervals are those of 95 %."""
        low, high = self.own.interval()
        if high < 0:
            return Ruling.CONTRADICTED
        if not low > 0:
            return Ruling.UNDECIDED
        if self.beyond is not None and not self.beyond.interval()[0] > 0:
            return Ruling.NOT_CONFIRMED
        return Ruling.CONFIRMED

    @property
    def others(self) -> list[str]:
        """Further students that surely show the effect, although it is not their claim."""
        return [
            name
            for name, estimate in self.estimates.items()
            if name not in (self.paper, self.control) and estimate.interval()[0] > 0
        ]


def judge_claims(
    verdicts: Mapping[str, ObjectVerdicts],
    factors: Mapping[str, Numbers],
    resamples: Resamples,
    *,
    crossed: Mapping[str, TypedBoxes] | None = None,
    adapted: Mapping[str, TypedBoxes] | None = None,
    control: str = "fitnets",
) -> list[Claim]:
    """Ask of each paper whose student is there what its authors say of their method.

    - fgfi: gains more on objects that stand near others (members of a near group, see
      `kdviz.diagnosis.grouped`), and draws fewer boxes around several of them.
    - frs: gains more where the evidence lies outside the box: where a large share of the teacher's
      richness does, among objects of one size, and where a cue outside tells the class.
    - gkd: gains more on blurred, on occluded and on small objects.
    - dist2: has maps that the teacher's head reads better: after the same stitch than those of the
      student, and through its own adapter than those of plain imitation through its own.

    *Gain* is recall at each set's own threshold, minus the student's. Gains are compared between
    the strong end of a factor and its weak end, as in `find_causes`.

    Args:
        verdicts: of ``student``, trained alone, and of any of ``fgfi``, ``frs``, ``gkd``,
            ``dist2`` and the control, all on one ground truth.
        factors: each (G,); of ``outside``, ``cue``, ``blur``, ``occlusion`` and ``size`` those that
            are known.
        resamples: draws of images.
        crossed: what the teacher's head finds on the stitched maps of each of these students.
        adapted: the same through the trained adapters, of the methods that have one.
        control: who imitates plainly.

    Returns:
        Claims paper by paper; those that lack a set or factor are left out.

    Raises:
        KeyError: there are no verdicts of ``student``.
    """
    students = {name: one for name, one in verdicts.items() if name != TEACHER}
    groups = {name: grouped_boxes(one) for name, one in students.items()}
    known = {**factors, "near": (groups[STUDENT].group >= 0).astype(np.float64)}
    if {"outside", "size"} <= set(known):
        known["outside"] = at_equal(known["size"], known["outside"])
    asked: list[tuple[str, str, str, _Estimates]] = [
        (
            one.paper,
            one.sentence,
            one.quantity,
            _gains(students, known[one.factor], one.sign, resamples),
        )
        for one in _GAINS
        if one.factor in known
    ]
    asked.append((*_GROUPED, _fewer_groups(groups, students[STUDENT].typed.truth.image, resamples)))
    asked.append((*_READ, _better_read(crossed or {}, STUDENT, resamples)))
    asked.append((*_ADAPTED, _better_read(adapted or {}, control, resamples)))
    claims = [
        Claim(paper, sentence, quantity, estimates, control if control in estimates else None)
        for paper, sentence, quantity, estimates in asked
        if paper in estimates and np.isfinite(estimates[paper].value)
    ]
    return sorted(claims, key=lambda claim: list(_PAPERS).index(claim.paper))


def claims_table(claims: Sequence[Claim]) -> str:
    """The claims as text: what was claimed and the ruling, then the numbers behind it."""
    lines = []
    for claim in claims:
        lines.append(f"{_PAPERS[claim.paper]:6}{claim.sentence}: {claim.ruling}")
        lines.append(f"      {claim.quantity:34}{signed(claim.own)}")
        if claim.control is not None and claim.beyond is not None:
            plain = claim.estimates[claim.control]
            lines.append(f"      {f'the same of {claim.control}':34}{signed(plain)}")
            lines.append(f"      {'difference':34}{signed(claim.beyond)}")
        if claim.others:
            lines.append(f"      also shown by {', '.join(claim.others)}")
    return "\n".join(lines)


def claim_rows(claims: Sequence[Claim]) -> dict[str, dict[str, Estimate]]:
    """The numbers of the claims as series of intervals: of the methods, and of their control.

    Returns:
        By series, and in it by row, as `kdviz.plots.intervals.interval_rows` takes them.
    """
    rows = {f"{_PAPERS[claim.paper]}: {claim.quantity}": claim for claim in claims}
    series = {"the method": {row: claim.own for row, claim in rows.items()}}
    for row, claim in rows.items():
        if claim.control is not None:
            series.setdefault(claim.control, {})[row] = claim.estimates[claim.control]
    return series


_Estimates = dict[str, Estimate]

_PAPERS = {"fgfi": "FGFI", "frs": "FRS", "gkd": "GKD", "dist2": "Dist2"}


@dataclass(frozen=True)
class _Gain:
    """A claim of the form: gains more where the factor is strong (or weak, for sign -1)."""

    paper: str
    sentence: str
    quantity: str
    factor: str
    sign: int = 1


_GAINS = (
    _Gain("fgfi", "gains more on near objects than on lone ones", "near minus lone", "near"),
    _Gain(
        "frs",
        "gains more where richness lies outside the box",
        "much outside minus little",
        "outside",
    ),
    _Gain("frs", "gains more where a cue outside tells the class", "with cue minus without", "cue"),
    _Gain("gkd", "gains more on blurred objects", "blurred minus sharp", "blur"),
    _Gain("gkd", "gains more on occluded objects", "occluded minus free", "occlusion"),
    _Gain("gkd", "gains more on small objects", "small minus large", "size", -1),
)
_GROUPED = (
    "fgfi",
    "draws fewer boxes around several near objects",
    "fewer groups seen as one",
)
_READ = ("dist2", "has maps that the teacher's head reads better", "stitched, AP50 more")
_ADAPTED = ("dist2", "is read better than after plain imitation", "by their adapters, AP50 more")


def _gains(
    students: Mapping[str, ObjectVerdicts], values: Numbers, sign: int, resamples: Resamples
) -> _Estimates:
    """How much more each student gained at one end of a factor than at the other."""
    found = {}
    distilled = {name: one for name, one in students.items() if name != STUDENT}
    for name, one in distilled.items():
        pair = {STUDENT: students[STUDENT], "distilled": one}
        for finding in find_causes({"": values}, pair, resamples):
            if (contrast := finding.gain_contrast) is not None:
                found[name] = Estimate(sign * contrast.value, sign * contrast.draws)
    return found


def _fewer_groups(
    groups: Mapping[str, GroupedBoxes], image: Integers, resamples: Resamples
) -> _Estimates:
    """By how much the share of near groups that one box is drawn around fell."""
    shares = {}
    for name, one in groups.items():
        members, first = np.unique(one.group, return_index=True)
        image_of = image[first[members >= 0]]
        boxed = np.unique([one.group[objects[0]] for objects in one.covered]).astype(np.int64)
        shares[name] = resamples.share(image_of[boxed], image_of)
    before = shares.pop(STUDENT)
    return {name: before - share for name, share in shares.items()}


def _better_read(
    read: Mapping[str, TypedBoxes], reference: str, resamples: Resamples
) -> _Estimates:
    """AP50 of the teacher's head on each student's maps, minus that on those of one of them."""
    if reference not in read:
        return {}
    scores = {name: resamples.ap50(typed) for name, typed in read.items()}
    before = scores.pop(reference)
    return {name: score - before for name, score in scores.items()}
