"""Bugs of a teacher that only show when it detects: other pixels, other label numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torchvision.ops import box_iou

from kdviz.detectors import DetectorParts
from kdviz.plots.symptoms import share_bars
from kdviz.runs.lessons import Lesson, detections_of, lesson_of, score
from kdviz.runs.prepare import load_teacher, open_splits
from kdviz.runs.symptoms import Record, Symptom

IMAGES = 48
"""Validation images that are looked at."""
BETTER = 0.05
"""An AP this much higher with other pixels is no accident on so few images."""
MATCHED = 10
"""Fewest objects found that say something about label numbers."""
SURE = 0.3
"""Score from which on a detection counts as an answer."""

Pixels = Callable[[Tensor], Tensor]


def probe_teacher(record: Record) -> list[Symptom]:
    """Let the teacher of a run detect on some of its validation images, and look for bugs.

    Raises:
        FileNotFoundError: data or weights are not where the spec says, seen from this folder.
        ValueError: they do not fit each other.
    """
    spec = record.spec.teacher
    if spec is None:
        return []
    data = open_splits(record.spec.data)[1]
    lesson = lesson_of(data.first(min(IMAGES, len(data.record["images"]))))
    teacher = load_teacher(record.spec, spec, len(lesson.names))
    return [wrong_normalisation(teacher, lesson), label_shift(teacher, lesson)]


def wrong_normalisation(teacher: DetectorParts, lesson: Lesson) -> Symptom:
    """Whether the teacher detects better when its pixels are prepared in another usual way.

    A checkpoint does not say how its pixels were prepared, so a wrong mean, a wrong range or
    swapped colours go unnoticed: the teacher merely gets worse.
    """
    name = "wrong normalisation"
    if teacher.input_format is None:
        return Symptom(name, True, "this detector does not say how it normalises")
    found = {}
    for way, prepared in _ways(teacher).items():
        seen = replace(lesson, images=[prepared(image) for image in lesson.images])
        found[way] = max(0.0, score(lesson, detections_of(teacher, seen)).stats["AP"])
    configured, best = found["as configured"], max(found, key=lambda key: found[key])
    fine = found[best] <= configured + BETTER
    unit = f"AP of the teacher on {len(lesson.images)} images, pixels prepared so"
    figure = share_bars(found, unit=unit, suspects=() if fine else [best])
    if fine:
        return Symptom(name, True, f"AP {configured:.3f}, no other way is better", figure)
    return Symptom(
        name,
        False,
        f"the teacher has AP {configured:.3f} as configured and {found[best]:.3f} with {best}: it "
        "was trained on pixels prepared like that. Build teacher and student with image_mean and "
        "image_std of its training, and feed the colours in its order",
        figure,
    )


def label_shift(teacher: DetectorParts, lesson: Lesson) -> Symptom:
    """Whether the teacher's label numbers are those of the data, moved by some constant."""
    name = "label shift"
    classes = len(lesson.names)
    pairs: list[tuple[int, int]] = []
    for found, target in zip(detections_of(teacher, lesson), lesson.targets, strict=True):
        overlaps = box_iou(target["boxes"], found.boxes) >= 0.5
        for overlapping, label in zip(overlaps, target["labels"].tolist(), strict=True):
            scores = found.scores.where(overlapping, 0.0)
            if len(scores) and scores.max() >= SURE:
                pairs.append((int(found.labels[scores.argmax()]), label))
    said, meant = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    if len(said) < MATCHED or classes < 2:
        return Symptom(name, True, f"only {len(said)} objects are surely found: cannot tell")
    shift = (said - meant) % classes
    shares = {k: float((shift == k).float().mean()) for k in range(classes)}
    best = max(shares, key=lambda k: shares[k])
    words = {0: "as they are", **{k: f"shifted by {k}" for k in range(1, classes)}}
    figure = share_bars(
        {words[k]: share for k, share in shares.items()},
        unit="share of the objects found: label of the best box against label of the object",
        suspects=() if best == 0 else [words[best]],
    )
    if best == 0:
        return Symptom(name, True, f"{shares[0]:.0%} of the labels agree as they are", figure)
    return Symptom(
        name,
        False,
        f"{shares[best]:.0%} of the teacher's labels are the data's labels plus {best} (of "
        f"{classes}), {shares[0]:.0%} agree as they are: the two count their classes from another "
        "number or in another order. Map the labels, or train the teacher on this data",
        figure,
    )


def _ways(teacher: DetectorParts) -> dict[str, Pixels]:
    """Usual preparations, each as what to do to an image before the teacher's own."""
    assert teacher.input_format is not None
    mean = torch.tensor(teacher.input_format.mean).view(3, 1, 1)
    std = torch.tensor(teacher.input_format.std).view(3, 1, 1)

    def instead(other_mean: float, other_std: float) -> Pixels:
        return lambda image: (image - other_mean) / other_std * std + mean

    return {
        "as configured": lambda image: image,
        "blue, green, red": lambda image: image.flip(0),
        "no normalisation": instead(0.0, 1.0),
        "values from 0 to 255": instead(0.0, 1 / 255),
        "values from -1 to 1": instead(0.5, 0.5),
    }
