"""Whole images of a diagnosis: the worst ones, and those that distillation changed most."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.per_image import most_improved
from kdviz.plots.boxes import compare_detections
from kdviz.plots.theme import in_role_order
from kdviz.runs.diagnosis.answers import called, corners, file_of, found_on
from kdviz.runs.diagnosis.galleries import Gallery, take, told
from kdviz.runs.diagnosis.image_files import ImageFiles

Which = Literal["worst", "improved", "worsened"]

_LARGE = 320  # pixels of an image from which four panels beside each other are too small


def image_pictures(
    diagnosis: Diagnosis,
    images: ImageFiles,
    which: Which,
    role: str = "distilled",
    count: int = 4,
) -> Gallery:
    """Whole images that a detector does worst on, or that changed most through distillation.

    Args:
        diagnosis: of one to four sets.
        images: see `kdviz.runs.diagnosis.image_files.find_images`.
        which: ``worst`` by F1 of ``role``; ``improved`` or ``worsened`` from student to distilled.
        role: whose worst images.
        count: images at most, one figure for each.

    Raises:
        KeyError: there is no such set.
        ValueError: ``which`` is none of the three.
    """
    truth = diagnosis.inputs.truth
    scores = {name: one.images for name, one in diagnosis.sets.items()}
    total = len(truth.image_ids)
    if which == "worst":
        chosen = scores[role].worst(total)
        what = f"objects or boxes of {called(role)}"
        noun, order = (f"image has {what}", f"images have {what}"), "of the lowest F1"
    elif which in ("improved", "worsened"):
        if not {"student", "distilled"} <= scores.keys():
            return Gallery(f"Which images {which} takes student and distilled.", (), 0, 0)
        pair = [scores["student"], scores["distilled"]]
        before, after = pair if which == "improved" else pair[::-1]
        chosen = most_improved(before, after, total)
        what = f"{which} from student to distilled"
        noun = f"image {what}", f"images {what}"
        order = "that lost most mistakes" if which == "improved" else "that gained most mistakes"
    else:
        raise ValueError(f"which={which!r} must be worst, improved or worsened")
    drawn, unseen = take(chosen.tolist(), lambda image: (image, images[image]), count)
    text = told(len(chosen), len(drawn), noun, order, 0, unseen, images)
    figures = [_image_figure(diagnosis, image, pixels) for image, pixels in drawn]
    return Gallery(text, tuple(figures), len(chosen), len(drawn))


def _image_figure(diagnosis: Diagnosis, image: int, pixels: NDArray[np.uint8]) -> Figure:
    truth = diagnosis.inputs.truth
    here = np.flatnonzero(truth.image == image)
    targets = {
        "boxes": torch.from_numpy(corners(truth.boxes[here])),
        "labels": torch.from_numpy(truth.category[here] + 1),
        "iscrowd": torch.from_numpy(truth.crowd[here].astype(np.int64)),
    }
    found, mistakes = {}, []
    for name in in_role_order(diagnosis.sets):
        found[name], _ = found_on(diagnosis.sets[name].verdicts, image)
        mistakes.append(f"{name} {diagnosis.sets[name].images.mistakes[image]}")
    caption = f"{file_of(truth, image)}: wrong boxes and missed objects: {', '.join(mistakes)}."
    return compare_detections(
        pixels,
        found,
        targets,
        truth.category_names,
        score_threshold=0.0,
        caption=caption,
        columns=2 if max(pixels.shape) > _LARGE else None,
    )[0]
