"""What a diagnosis says, in sentences: what changed, what was handed down, where the gap lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kdviz.diagnosis.bootstrap import Estimate
from kdviz.diagnosis.causes import FactorFinding, stands
from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.transitions import Transition

PLAIN_WORDS = {
    BoxType.TRUE: "true positive",
    BoxType.CLASS: "wrong class",
    BoxType.LOCALISATION: "badly localised",
    BoxType.BOTH: "both wrong",
    BoxType.DUPLICATE: "found twice",
    BoxType.BACKGROUND: "on background",
    BoxType.IGNORED: "ignored (crowd)",
    BoxType.SURPLUS: "beyond 100 an image",
}
"""Types of boxes as a reader knows them."""

ENDS = {
    "size": ("small", "large"),
    "crowding": ("lone", "crowded"),
    "overlap": ("free", "overlapping"),
    "occlusion": ("free", "covered"),
    "truncation": ("whole", "cut off by the border"),
    "border": ("at the border", "far from the border"),
    "frequency": ("of rare classes", "of frequent classes"),
    "blur": ("sharp", "blurred"),
    "contrast": ("of low contrast", "of high contrast"),
    "lookalike": ("without look-alikes around", "with look-alikes around"),
    "cue": ("without a cue beside them", "with a cue beside them"),
    "outside": ("rich inside", "rich outside"),
}
"""What objects at the weak and at the strong end of a factor are called."""


FEWEST = 30
"""Objects that a slice must hold to be spoken of: draws of a few equal ones show no doubt."""


@dataclass(frozen=True)
class Finding:
    """One thing that the numbers say.

    Attributes:
        about: ``score``, ``objects``, ``mistakes``, ``errors``, ``causes``, ``scores' worth`` or
            ``classes``.
        sentence: with the numbers in it.
        sure: False where an interval holds 0, so that chance may have made it.
    """

    about: str
    sentence: str
    sure: bool = True


def findings(diagnosis: Diagnosis, causes: Sequence[FactorFinding] = ()) -> list[Finding]:
    """The sentences that a reader should not miss, most general first.

    Args:
        diagnosis: of one to four sets.
        causes: see `kdviz.diagnosis.causes.find_causes`.
    """
    parts = (_score, _objects, _mistakes, _errors, _calibration, _classes)
    told = [finding for part in parts for finding in part(diagnosis)]
    return told + list(_causes(causes))


def signed(estimate: Estimate) -> str:
    """A difference with its interval: ``+0.121 [+0.087, +0.157]``."""
    low, high = estimate.interval()
    return f"{estimate.value:+z.3f} [{low:+z.3f}, {high:+z.3f}]"


def _score(diagnosis: Diagnosis) -> Iterator[Finding]:
    ap50 = {name: one.scores["AP50"] for name, one in diagnosis.sets.items()}
    if {"student", "distilled"} <= set(ap50):
        before, after = ap50["student"], ap50["distilled"]
        change = after - before
        verb = "raised" if change.value > 0 else "lowered"
        sentence = f"Distillation {verb} AP50 from {before.value:.3f} to {after.value:.3f}: "
        yield Finding("score", f"{sentence}{signed(change)}.", stands(change))
        if "teacher" in ap50 and stands(gap := ap50["teacher"] - before):
            closed = change.value / gap.value
            of = f"the student's gap to the teacher, {signed(gap)} AP50"
            what = f"closed {closed:.0%} of" if closed > 0 else "widened"
            yield Finding("score", f"It {what} {of}.", stands(change))
    else:
        listed = ", ".join(f"{name} {one}" for name, one in ap50.items())
        yield Finding("score", f"AP50: {listed}.")


def _objects(diagnosis: Diagnosis) -> Iterator[Finding]:
    if not diagnosis.transition_shares or diagnosis.transitions is None:
        return
    counts = diagnosis.transitions.counts()
    fixed, broken = counts[Transition.FIXED], counts[Transition.BROKEN]
    shares = diagnosis.transition_shares
    lost = shares[Transition.BROKEN], shares[Transition.INHERITED]
    net = shares[Transition.FIXED] - Estimate(
        lost[0].value + lost[1].value, lost[0].draws + lost[1].draws
    )
    told = f"Of {sum(counts.values())} objects it fixed {fixed} and broke {broken}"
    if diagnosis.transitions.mistakes is not None:
        told += f"; {counts[Transition.INHERITED]} more took over a wrong answer of the teacher"
    kept = counts[Transition.KEPT_RIGHT], counts[Transition.KEPT_WRONG]
    yield Finding("objects", f"{told}; {kept[0]} stayed right, {kept[1]} wrong.", stands(net))


def _mistakes(diagnosis: Diagnosis) -> Iterator[Finding]:
    if not diagnosis.mistake_rates:
        return
    rates = diagnosis.mistake_rates["shown"]
    excess = rates["excess"]
    if np.isnan(excess.value):
        return
    yield Finding(
        "mistakes",
        f"Where the teacher shows an object by a wrong box, the distilled student shows the same "
        f"box in {rates['distilled'].value:.0%} of cases and the student alone in "
        f"{rates['student'].value:.0%}: {signed(excess)}.",
        stands(excess),
    )


def _errors(diagnosis: Diagnosis) -> Iterator[Finding]:
    sets = diagnosis.sets
    worst = {name: max(one.costs.gains.items(), key=lambda x: x[1]) for name, one in sets.items()}
    names = {kind.name.lower(): words for kind, words in PLAIN_WORDS.items()}
    listed = "; ".join(
        f"{name}: {names.get(kind, kind)} {gain:.3f}" for name, (kind, gain) in worst.items()
    )
    yield Finding("errors", f"The errors that cost most AP50: {listed}.")
    if {"student", "distilled"} <= set(sets):
        before, after = sets["student"].errors, sets["distilled"].errors
        changes = {kind: after[kind] - before[kind] for kind in after}
        kind, change = max(changes.items(), key=lambda item: abs(item[1].value))
        if not change.value:
            return
        yield Finding(
            "errors",
            f"At the thresholds of best F1 the kind of wrong box that changed most is "
            f"“{PLAIN_WORDS[kind]}”: {signed(change)} for each object.",
            stands(change),
        )


def _calibration(diagnosis: Diagnosis) -> Iterator[Finding]:
    errors = {name: one.reliability.error for name, one in diagnosis.sets.items()}
    known = {name: error for name, error in errors.items() if not np.isnan(error)}
    listed = ", ".join(f"{name} {error:.3f}" for name, error in known.items())
    if listed:
        yield Finding("scores' worth", f"Expected calibration error of the scores: {listed}.")


def _classes(diagnosis: Diagnosis) -> Iterator[Finding]:
    name = "distilled" if "distilled" in diagnosis.sets else next(iter(diagnosis.sets))
    confusion = diagnosis.sets[name].confusion
    for row, column, count in confusion.mix_ups(1):
        taken = f"“{confusion.names[row]}” is taken for “{confusion.names[column]}”"
        yield Finding("classes", f"In {name}, {taken} most often: {count} times.")


def _causes(causes: Sequence[FactorFinding]) -> Iterator[Finding]:
    for cause in causes:
        if not stands(cause.contrast) or cause.contrast is None:
            continue
        weak, strong = ENDS.get(cause.factor, (f"low {cause.factor}", f"high {cause.factor}"))
        wide, end = (strong, -1) if cause.contrast.value > 0 else (weak, 0)
        hardest, other = cause.slices[end], cause.slices[-1 - end]
        if min(len(hardest.objects), len(other.objects)) < FEWEST:
            continue
        if hardest.gap is None or other.gap is None or hardest.explains is None:
            continue
        told = (
            f"The gap in recall between teacher and student is wider for objects that are {wide}: "
            f"{hardest.gap.value:+z.3f} against {other.gap.value:+z.3f}. They hold "
            f"{hardest.explains.value:.0%} of it"
        )
        if hardest.gain is not None and hardest.closed is not None:
            sure = stands(hardest.gain) and hardest.gain.value > 0
            closed = (
                f"closed {hardest.closed.value:.0%} of it" if sure else "did not surely close it"
            )
            told += f"; distillation {closed} there"
        yield Finding("causes", f"{told}.")
