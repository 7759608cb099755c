"""What is diagnosed: annotated objects, and what one to four detectors found on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from kdviz.engine.coco_input import (
    DetectionColumns,
    GroundTruth,
    examine_detections,
    read_annotations,
)

Results = str | Path | Sequence[Mapping[str, Any]]

ROLES = ("student", "teacher", "distilled")
MOST_SETS = 4

_UNIT = 1.05  # of relative boxes, with room for those that stick out


@dataclass(frozen=True)
class Inputs:
    """Objects and detections in columns, in the order of their files.

    An *object* is a position in the columns of ``truth`` and a *box* a position in the columns of a
    set of detections; every array and list of the diagnosis that names one of them names it so.
    ``truth.object_ids`` turns an object into its annotation id, ``truth.image_ids`` and
    ``truth.file_names`` turn the number of an image into its id and its file.

    Attributes:
        truth: the annotated objects.
        detections: what each detector found, by role, then by other names as given.
        notes: what a reader of the numbers should know.
    """

    truth: GroundTruth
    detections: dict[str, DetectionColumns]
    notes: tuple[str, ...]


def read_inputs(
    annotations: str | Path | Mapping[str, Any],
    *,
    student: Results | None = None,
    teacher: Results | None = None,
    distilled: Results | None = None,
    **others: Results,
) -> Inputs:
    """Read and check annotations and one to four sets of detections.

    Args:
        annotations: COCO annotations, a file or what is in it.
        student: COCO results of the student trained alone, a file (a run's ``detections.json`` or
            any tool's) or the list in it: boxes x, y, width, height in pixels of the original
            image, scores in [0, 1].
        teacher: the same of the teacher.
        distilled: the same of the student trained with the teacher.
        others: further sets under a name of their own, such as a second method.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there are no or too many sets, or something cannot be diagnosed; one message
            counts every kind of mistake in every set and names the first cases.
    """
    known = {"student": student, "teacher": teacher, "distilled": distilled, **others}
    sources = {name: source for name, source in known.items() if source is not None}
    if not 1 <= len(sources) <= MOST_SETS:
        raise ValueError(
            f"a diagnosis takes 1 to {MOST_SETS} sets of detections, but there are {len(sources)}; "
            "give student=, teacher=, distilled= or a name of your own"
        )
    truth = read_annotations(annotations)
    if truth.crowd.all():
        raise ValueError("the annotations hold no object to find, so no detector can be diagnosed")
    detections, complaints, notes = {}, [], [*truth.notes, *_strays(truth)]
    for name, source in tqdm(sources.items(), desc="read", unit="set", delay=2, leave=False):
        try:
            detections[name], further = _read(source, truth)
            notes += [f"{name}: {note}" for note in further]
        except ValueError as error:
            complaints.append(f"{name}: {error}")
    if complaints:
        raise ValueError("\n".join(complaints))
    notes += _twins(detections)
    return Inputs(truth, detections, tuple(notes))


def _read(source: Results, truth: GroundTruth) -> tuple[DetectionColumns, list[str]]:
    found, faults = examine_detections(source, truth)
    if not len(found.scores):
        raise ValueError(
            "there are no detections; evaluate with a lower score threshold, or check that the "
            "file is the one you mean"
        )
    # Of an unknown image the last stands in: its boxes are faulty already.
    size, end = truth.image_sizes[found.image], found.boxes[:, :2] + found.boxes[:, 2:]
    of_file = "bbox is x, y, width, height in pixels of the original image"
    if np.all(np.abs(found.boxes) <= _UNIT) and np.any(end > 0) and np.all(size > 2 * _UNIT):
        every, shares = np.ones(len(end), bool), f"{of_file}; are these shares of its size?"
        faults.add(every, "bbox lies in the first pixel of its image", found.boxes, shares)
    past = np.maximum(-found.boxes[:, :2], end - size)
    gone = (found.image >= 0) & np.any((found.boxes[:, :2] > size) | (end < 0), axis=1)
    far = (found.image >= 0) & ~gone & np.any(past > size / 2, axis=1)
    elsewhere = f"{of_file}; are these of another image size?"
    faults.add(gone, "bbox lies outside its image", found.boxes, elsewhere)
    faults.add(
        far,
        "bbox ends more than half an image outside",
        found.boxes,
        f"{of_file}; are these x1, y1, x2, y2, or of another image size?",
    )
    faults.raise_if_any()
    notes = list(found.notes)
    if out := int(np.any(past > 1, axis=1).sum()):
        notes.append(f"{out} boxes stick out of their image, by up to {np.nanmax(past):.0f} pixels")
    images = len(truth.image_ids)
    if (bare := images - len(np.unique(found.image))) > images / 2:
        notes.append(f"{bare} of {images} images have no detections; is it the same split?")
    return found, notes


def _twins(detections: Mapping[str, DetectionColumns]) -> list[str]:
    """Sets that are the same: one file was given under two names."""
    return [
        f"{one} and {other} hold the same detections; is one file given twice?"
        for one, other in combinations(detections, 2)
        if np.array_equal(detections[one].scores, detections[other].scores)
        and np.array_equal(detections[one].boxes, detections[other].boxes)
    ]


def _strays(truth: GroundTruth) -> list[str]:
    """Annotations that lie outside their image: nothing can find them."""
    size, end = truth.image_sizes[truth.image], truth.boxes[:, :2] + truth.boxes[:, 2:]
    stray: NDArray[np.bool_] = np.any((truth.boxes[:, :2] > size) | (end < 0), axis=1)
    ids = truth.object_ids[stray][:3].tolist()
    return [f"{stray.sum()} annotated boxes lie outside their image, first ids {ids}"] * bool(ids)
