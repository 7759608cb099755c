"""Which images a detector does worst on, and which changed most between two detectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.overlaps import Integers, Numbers
from kdviz.diagnosis.verdicts import ObjectVerdicts


@dataclass(frozen=True)
class ImageScores:
    """What was found on each image at the threshold of the verdicts.

    Attributes:
        objects: to be found, crowds left out, (I,).
        right: objects found, (I,).
        wrong: wrong boxes, (I,).
    """

    objects: Integers
    right: Integers
    wrong: Integers

    @property
    def mistakes(self) -> Integers:
        """Wrong boxes and objects not found, together, (I,)."""
        return self.wrong + self.objects - self.right

    @property
    def f1(self) -> Numbers:
        """Harmonic mean of precision and recall; NaN where nothing is nor is shown, (I,)."""
        total = self.objects + self.right + self.wrong
        return np.divide(2.0 * self.right, total, out=np.full(len(total), np.nan), where=total > 0)

    def worst(self, count: int = 12) -> Integers:
        """Numbers of the images of lowest F1, of equals those with more mistakes first."""
        known = np.flatnonzero(self.objects + self.wrong > 0)
        return known[np.lexsort((-self.mistakes[known], self.f1[known]))][:count]


def score_images(verdicts: ObjectVerdicts) -> ImageScores:
    """Count right and wrong on each image.

    Args:
        verdicts: of one set of detections.
    """
    typed, truth = verdicts.typed, verdicts.typed.truth
    shown = (typed.boxes.scores >= verdicts.threshold) & (typed.type < BoxType.IGNORED)
    wrong = shown & (typed.type != BoxType.TRUE)
    of = [truth.image[~truth.crowd], truth.image[verdicts.right], typed.boxes.image[wrong]]
    return ImageScores(*(np.bincount(image, minlength=len(truth.image_ids)) for image in of))


def most_improved(before: ImageScores, after: ImageScores, count: int = 12) -> Integers:
    """Numbers of the images that lost most mistakes, of equals those whose F1 rose more first.

    Swap the arguments for the images that got worst. Images that did not improve are left out.

    Args:
        before: of the student alone.
        after: of the distilled student, on the same images.
        count: at most.
    """
    gone = before.mistakes - after.mistakes
    rise = np.nan_to_num(after.f1, nan=1.0) - np.nan_to_num(before.f1, nan=1.0)
    better = np.flatnonzero(gone > 0)
    return better[np.lexsort((-rise[better], -gone[better]))][:count]
