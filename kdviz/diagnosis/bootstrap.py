"""How far a number would move on other images of the same kind: images drawn again and again.

All estimates of one `Resamples` rest on the same draws, so that the difference of two of them is
paired: an image that is hard for everybody does not widen its interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.errors import WRONG_TYPES, BoxType, TypedBoxes
from kdviz.diagnosis.inherited import TeacherMistakes
from kdviz.diagnosis.overlaps import Integers, Numbers
from kdviz.diagnosis.precision import rank_boxes
from kdviz.diagnosis.transitions import Transition, Transitions
from kdviz.diagnosis.verdicts import ObjectVerdicts


@dataclass(frozen=True)
class Estimate:
    """A number and what it is on each draw of images.

    Attributes:
        value: on the images as they are; NaN where it is not defined.
        draws: on each draw, NaN where it is not defined there, (R,).
    """

    value: float
    draws: Numbers

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Percentile interval: what this share of the draws lies in, as much left out at each end.

        Args:
            level: in (0, 1).

        Returns:
            Lower and upper end; NaN where no draw defines the number.
        """
        known = self.draws[~np.isnan(self.draws)]
        if not len(known):
            return np.nan, np.nan
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def __sub__(self, other: Estimate) -> Estimate:
        """The paired difference; both must come from the same `Resamples`."""
        return Estimate(self.value - other.value, self.draws - other.draws)

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class Resamples:
    """Draws of as many images as there are, with replacement.

    Attributes:
        weights: how often each image was drawn, (R, I); each row sums to I.
    """

    weights: NDArray[np.int32]

    def share(self, part: Integers, whole: Integers) -> Estimate:
        """How many things of a kind there are for each thing of another.

        Args:
            part: the number of the image of each thing counted above the line, (n,).
            whole: of each thing counted below it, (m,).
        """
        above, below = self._count(part), self._count(whole)
        draws = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
        return Estimate(len(part) / len(whole) if len(whole) else np.nan, draws)

    def ap50(self, typed: TypedBoxes) -> Estimate:
        """COCO's AP at an IoU of .5: matched once, ranked once, then weighed anew for each draw.

        The draws are shifted to be centred on the value. Drawing an image twice lifts AP by itself:
        the best precision from a recall on is a maximum, which grows with chance, and a class that
        is not drawn drops out. With rare classes the shift takes the place of a bias that can be
        wider than the interval; recall, precision and shares have none.
        """
        ranked = rank_boxes(typed)
        value = float(ranked.mean_precision()[0])
        draws = ranked.mean_precision(self.weights)
        return Estimate(value, draws - np.nanmean(draws) + value)

    def _count(self, images: Integers) -> Numbers:
        per_image = np.bincount(images, minlength=self.weights.shape[1])
        return np.asarray(self.weights @ per_image.astype(np.float64))


def draw_images(images: int, draws: int = 1000, seed: int = 0) -> Resamples:
    """Draw images with replacement.

    Args:
        images: how many there are, and how many each draw takes.
        draws: how many draws, at least 1; 1 000 place the ends of a 95 % interval well.
        seed: of the generator; equal seeds give equal draws.

    Raises:
        ValueError: there are no images or no draws.
    """
    if images < 1 or draws < 1:
        raise ValueError(f"cannot draw {draws} times from {images} images; both must be at least 1")
    generator = np.random.default_rng(seed)
    weights = np.empty((draws, images), np.int32)
    for row in weights:
        row[:] = np.bincount(generator.integers(images, size=images), minlength=images)
    return Resamples(weights)


def score_estimates(verdicts: ObjectVerdicts, resamples: Resamples) -> dict[str, Estimate]:
    """AP50, and precision and recall at the threshold of the verdicts, of one set of detections."""
    typed, truth = verdicts.typed, verdicts.typed.truth
    shown = typed.boxes.scores >= verdicts.threshold
    true = shown & (typed.type == BoxType.TRUE)
    counted = shown & (typed.type < BoxType.IGNORED)
    return {
        "AP50": resamples.ap50(typed),
        "precision": resamples.share(typed.boxes.image[true], typed.boxes.image[counted]),
        "recall": resamples.share(truth.image[verdicts.right], truth.image[~truth.crowd]),
    }


def error_estimates(verdicts: ObjectVerdicts, resamples: Resamples) -> dict[BoxType, Estimate]:
    """Wrong boxes of each type for each object, at the threshold of the verdicts."""
    typed = verdicts.typed
    shown, objects = typed.boxes.scores >= verdicts.threshold, typed.truth.image[~typed.truth.crowd]
    return {
        kind: resamples.share(typed.boxes.image[shown & (typed.type == kind)], objects)
        for kind in WRONG_TYPES
    }


def transition_estimates(
    transitions: Transitions, resamples: Resamples
) -> dict[Transition, Estimate]:
    """The share of each transition among all objects, in [0, 1]; they sum to 1."""
    image = next(iter(transitions.verdicts.values())).typed.truth.image
    objects = image[transitions.transition >= 0]
    return {
        kind: resamples.share(image[transitions.transition == kind], objects) for kind in Transition
    }


def mistake_estimates(
    mistakes: TeacherMistakes, image: Integers, resamples: Resamples, shown: bool = False
) -> dict[str, Estimate]:
    """How often the teacher's mistakes are repeated, of all its mistakes, in [0, 1].

    Args:
        mistakes: see `kdviz.diagnosis.inherited.teacher_mistakes`.
        image: the number of the image of each object, ``truth.image``, (G,).
        resamples: the draws.
        shown: count only mistakes that show as a wrong box, and leave misses out.

    Returns:
        ``student``, ``distilled``, and their difference ``excess``, which is the share that the
        teacher accounts for: above 0 where it handed its mistakes down.
    """
    among: NDArray[np.bool_] = mistakes.shown if shown else mistakes.teacher
    student = resamples.share(image[among & mistakes.student], image[among])
    distilled = resamples.share(image[among & mistakes.distilled], image[among])
    return {"student": student, "distilled": distilled, "excess": distilled - student}
