"""Everything that can be said of the detections alone, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tqdm.auto import tqdm

from kdviz.diagnosis.bootstrap import (
    Estimate,
    Resamples,
    draw_images,
    error_estimates,
    mistake_estimates,
    score_estimates,
    transition_estimates,
)
from kdviz.diagnosis.calibration import Reliability, reliability
from kdviz.diagnosis.confusion import Confusion, confuse
from kdviz.diagnosis.errors import BoxType, TypedBoxes, type_all
from kdviz.diagnosis.fixing import ErrorCosts, error_costs
from kdviz.diagnosis.inherited import RepeatedBoxes, repeated_boxes
from kdviz.diagnosis.inputs import ROLES, Inputs
from kdviz.diagnosis.per_image import ImageScores, score_images
from kdviz.diagnosis.transitions import Transition, Transitions, follow_objects
from kdviz.diagnosis.verdicts import ObjectVerdicts, best_threshold, verdicts


@dataclass(frozen=True)
class SetDiagnosis:
    """One set of detections.

    Attributes:
        typed: what is right or wrong about each box.
        verdicts: what became of each object at the set's threshold.
        costs: the average precision that each kind of error costs, all scores together.
        scores: AP50, precision and recall; the last two at the threshold.
        errors: wrong boxes of each type for each object, at the threshold.
        confusion: which class is taken for which, at the threshold.
        reliability: what the scores are worth, all scores together.
        images: what was found on each image, at the threshold.
    """

    typed: TypedBoxes
    verdicts: ObjectVerdicts
    costs: ErrorCosts
    scores: dict[str, Estimate]
    errors: dict[BoxType, Estimate]
    confusion: Confusion
    reliability: Reliability
    images: ImageScores


@dataclass(frozen=True)
class Diagnosis:
    """All sets, and what distillation did to each object.

    Attributes:
        inputs: the objects and detections.
        resamples: the draws of images that every estimate rests on; two estimates subtract.
        sets: by role, then by other names, as in ``inputs.detections``.
        transitions: of every object through the roles that there are; None without any role.
        transition_shares: share of each `Transition` among the objects; empty without student and
            distilled.
        repeated: the teacher's wrong boxes that others show; None without all three roles.
        mistake_rates: how often the teacher's wrong answers to objects are repeated, by
            ``"all"`` and ``"shown"`` (without misses), see `mistake_estimates`; empty without all
            three roles.
    """

    inputs: Inputs
    resamples: Resamples
    sets: dict[str, SetDiagnosis]
    transitions: Transitions | None
    transition_shares: dict[Transition, Estimate]
    repeated: RepeatedBoxes | None
    mistake_rates: dict[str, dict[str, Estimate]]

    def differences(self, after: str, before: str) -> dict[str, Estimate]:
        """Paired differences of AP50, precision and recall between two sets, by their names.

        Raises:
            KeyError: there is no such set.
        """
        scores = self.sets[before].scores
        return {name: one - scores[name] for name, one in self.sets[after].scores.items()}


def diagnose(
    inputs: Inputs,
    *,
    thresholds: float | Mapping[str, float] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Diagnosis:
    """Type every box, follow every object, and say how sure each number is.

    Args:
        inputs: see `kdviz.diagnosis.inputs.read_inputs`.
        thresholds: scores from here on count, for all sets or by name; where none is given a set
            gets the threshold of its best F1, see `best_threshold`.
        draws: bootstrap draws of the images.
        seed: of the draws.

    Raises:
        ValueError: a threshold lies outside [0, 1], or there are no draws.
    """
    for given in thresholds.values() if isinstance(thresholds, Mapping) else [thresholds]:
        if given is not None and not 0 <= given <= 1:
            raise ValueError(f"a threshold is a score in [0, 1], not {given}")
    typed = type_all(inputs)
    resamples = draw_images(len(inputs.truth.image_ids), draws, seed)
    sets = {}
    for name, one in tqdm(typed.items(), desc="diagnose", unit="set", delay=2, leave=False):
        given = thresholds.get(name) if isinstance(thresholds, Mapping) else thresholds
        threshold = best_threshold(one) if given is None else given
        judged = verdicts(one, threshold)
        sets[name] = SetDiagnosis(
            typed=one,
            verdicts=judged,
            costs=error_costs(one),
            scores=score_estimates(judged, resamples),
            errors=error_estimates(judged, resamples),
            confusion=confuse(one, threshold),
            reliability=reliability(one),
            images=score_images(judged),
        )
    roles = {role: sets[role].verdicts for role in ROLES if role in sets}
    transitions = follow_objects(**roles) if roles else None
    shares, repeated, rates = {}, None, {}
    if transitions is not None and {"student", "distilled"} <= set(roles):
        shares = transition_estimates(transitions, resamples)
    if transitions is not None and transitions.mistakes is not None:
        repeated = repeated_boxes(**roles)
        image = inputs.truth.image
        rates = {
            name: mistake_estimates(transitions.mistakes, image, resamples, shown=name == "shown")
            for name in ("all", "shown")
        }
    return Diagnosis(inputs, resamples, sets, transitions, shares, repeated, rates)
