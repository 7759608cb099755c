"""A learner's function against the library's, with words that help."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kdviz.runs.exercises.case import Case, Exercise
from kdviz.runs.exercises.dist2 import TEACHER_LOSS
from kdviz.runs.exercises.fgfi import MASK
from kdviz.runs.exercises.frs import RICH_LOSS, RICHNESS
from kdviz.runs.exercises.gkd import PROJECTION, RELIABILITY

EXERCISES: Mapping[str, Exercise] = {
    "imitation_mask": MASK,
    "richness": RICHNESS,
    "richness_loss": RICH_LOSS,
    "projection": PROJECTION,
    "reliability": RELIABILITY,
    "teacher_loss": TEACHER_LOSS,
}
"""By the name of the learner's function, in the order of the notebook."""


@dataclass(frozen=True)
class Fault:
    """The first case that an answer fails.

    Attributes:
        case: its title.
        found: what is wrong, in words.
        hint: what to think of.
    """

    case: str
    found: str
    hint: str


@dataclass(frozen=True)
class Verdict:
    """How a learner's function did.

    Attributes:
        name: of the exercise.
        passed: cases it got right.
        total: cases there are.
        fault: the first case it fails; None if there is none.
    """

    name: str
    passed: int
    total: int
    fault: Fault | None

    @property
    def is_right(self) -> bool:
        """Whether every case is right."""
        return self.fault is None

    @property
    def score(self) -> float:
        """Share of the cases that are right, in [0, 1]."""
        return self.passed / self.total

    def __str__(self) -> str:
        if self.fault is None:
            return f"{self.name}: right, all {self.total} cases"
        return (
            f"{self.name}: not yet, {self.passed} of {self.total} cases are right\n"
            f"  case:  {self.fault.case}\n"
            f"  found: {self.fault.found}\n"
            f"  hint:  {self.fault.hint}"
        )


def check(name: str, function: Callable[..., Any]) -> Verdict:
    """Try a function with the hidden cases of an exercise; never raises because of the function.

    Args:
        name: of the exercise, a key of `EXERCISES`.
        function: the learner's.

    Raises:
        KeyError: there is no such exercise; lists them.
    """
    if name not in EXERCISES:
        raise KeyError(f"no exercise {name!r}; there are {', '.join(EXERCISES)}")
    exercise = EXERCISES[name]
    faults = []
    for case in exercise.cases:
        found = _what_is_wrong(exercise, case, function)
        if found is not None:
            faults.append(Fault(case.title, found, case.hint))
    total = len(exercise.cases)
    return Verdict(name, total - len(faults), total, faults[0] if faults else None)


# --- one case -------------------------------------------------------------------------------------


def _what_is_wrong(exercise: Exercise, case: Case, function: Callable[..., Any]) -> str | None:
    given, theirs = case.inputs(), case.inputs()
    wanted = exercise.read(exercise.library(**theirs))
    wanted_slopes = _slopes(wanted, case.leaves(theirs))
    given = case.inputs()  # networks are shared, and the library has just frozen the teacher
    try:
        found = exercise.read(function(**given))
    except Exception as error:
        return told(error, function)
    for name, expected in wanted.items():
        wrong = _difference(name, found[name], expected)
        if wrong is not None:
            return wrong
    changed = _changed(given, case.inputs) or case.complaint(given)
    if changed is not None:
        return changed
    if exercise.is_detached and any(x.requires_grad for x in found.values()):
        return "the result carries a gradient; it is a weight, so detach what it is made of"
    return _wrong_slope(found, case.leaves(given), wanted_slopes)


def told(error: Exception, function: Callable[..., Any]) -> str:
    """What a function stopped with, and at which of its own lines."""
    if isinstance(error, NotImplementedError):
        return "it is not written yet (NotImplementedError)"
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    frames = [x for x in traceback.extract_tb(error.__traceback__) if x.filename == own]
    if not frames and isinstance(error, TypeError) and error.__traceback__ is not None:
        return str(error)  # what we said ourselves of the kind of its answer, or of its arguments
    where = f", at `{frames[-1].line}`" if frames and frames[-1].line else ""
    message = (str(error).strip() or "no message").splitlines()[0]
    return f"it stops with {type(error).__name__}: {message}{where}"


def _difference(name: str, found: Tensor, expected: Tensor) -> str | None:
    """The first thing in which a tensor differs from what it should be."""
    if found.shape != expected.shape:
        return f"{name} has shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    if found.dtype != expected.dtype:
        return f"{name} is of type {found.dtype}, expected {expected.dtype}"
    broken = int((~found.isfinite()).sum()) if found.is_floating_point() else 0
    if broken and bool(expected.isfinite().all()):
        return f"{name}: {broken} of {found.numel()} values are NaN or infinite"
    off = ~torch.isclose(found.float(), expected.float(), rtol=1e-4, atol=1e-5)
    if not off.any():
        return None
    place = tuple(off.nonzero()[0].tolist())
    values = f"found {_value(found[place])}, expected {_value(expected[place])}"
    if not place:
        return f"{name}: {values}"
    return (
        f"{name}: {int(off.sum())} of {found.numel()} values differ; the first at {place}: {values}"
    )


def _value(scalar: Tensor) -> str:
    return f"{scalar.item():.4g}" if scalar.is_floating_point() else str(scalar.item())


def _changed(given: Mapping[str, Any], fresh: Callable[[], dict[str, Any]]) -> str | None:
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    if not tensors:
        return None
    before = fresh()
    for name, value in tensors.items():
        if not torch.equal(value, before[name]):
            return f"it changes its argument `{name}`; make a new tensor instead"
    return None


def _slopes(answer: Mapping[str, Tensor], leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradient of the last tensor of an answer, summed, at each leaf; zeros where none arrives."""
    last = list(answer.values())[-1]
    if not leaves or not last.requires_grad:
        return {}
    # Weighted, so that two errors of opposite sign do not hide each other.
    weights = torch.linspace(1.0, 2.0, last.numel()).view(last.shape)
    asked = list(leaves.values())
    found = torch.autograd.grad((weights * last).sum(), asked, allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if slope is None else slope
        for (name, leaf), slope in zip(leaves.items(), found, strict=True)
    }


def _wrong_slope(
    answer: Mapping[str, Tensor], leaves: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> str | None:
    if not wanted:
        return None
    found = _slopes(answer, leaves)
    for name, expected in wanted.items():
        slope = found.get(name)
        if slope is None or (not slope.any() and expected.any()):
            return (
                f"no gradient arrives at `{name}`, so nothing would learn; was something computed "
                "under torch.no_grad(), or from detached tensors?"
            )
        off = ~torch.isclose(slope, expected, rtol=1e-3, atol=1e-5)
        if off.any():
            return (
                f"the value is right, but the gradient at `{name}` is not; does something that "
                "should be constant carry a gradient, or the other way round?"
            )
    return None
