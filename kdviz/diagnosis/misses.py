"""Where inside the network an object got lost: in the neck, the head, the threshold or the NMS.

An object that a student misses may still be in its maps. Four questions, from the end of the
network to its beginning, find the last place where it was seen:

1. Was there a good box that the suppression of neighbours took away?
2. Was there a good box whose score stayed below the threshold? A detector that keeps low scores
   has boxes of every class on every object; only a score above chance tells that it saw this one.
3. Does the *teacher's* head find it on the *student's* maps? Then the student's head is at fault.
4. Does the teacher find it at all? Then the evidence is missing from the student's maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from torchvision.ops import box_iou, roi_align

from kdviz.methods.boxes import levels_by_scale
from kdviz.structures import Detection, Pyramid, Target

IOU = 0.5
SAMPLES = 7
"""Places along each side of an object at which maps are compared."""


class Cause(IntEnum):
    """The last place where an object was seen.

    - FOUND: it is not lost.
    - SUPPRESSED: a box of its class scored enough and fell to NMS, or to the limit of boxes.
    - THRESHOLD: a box of its class is there, with a score below the threshold and above chance.
    - HEAD: the student's head has no box for it, the teacher's head on the same maps has one.
    - NECK: not even the teacher's head finds it on the student's maps, on its own maps it does.
    - TEACHER: the teacher does not find it either.
    """

    FOUND = 0
    SUPPRESSED = 1
    THRESHOLD = 2
    HEAD = 3
    NECK = 4
    TEACHER = 5


@dataclass(frozen=True)
class Seen:
    """What was found on the same images at four places, one `Detection` an image.

    All boxes in pixels of the original image.

    Attributes:
        student: the student's detections, low scores kept.
        candidates: its boxes before NMS, low scores kept.
        crossed: the teacher's head on the student's maps, low scores kept.
        teacher: the teacher's detections, low scores kept.
    """

    student: Sequence[Detection]
    candidates: Sequence[Detection]
    crossed: Sequence[Detection]
    teacher: Sequence[Detection]


@dataclass(frozen=True)
class Traces:
    """What became of each object of some images, objects in the order of the targets.

    Attributes:
        image: index of the image of each object, (G,) int64.
        object: index of the object in its image, (G,) int64.
        cause: a `Cause` for each, (G,) int64.
        scores: best score of a box that shows the object, by place: ``student``, ``candidates``,
            ``crossed``, ``teacher``; 0 where there is none; each (G,) in [0, 1].
    """

    image: Tensor
    object: Tensor
    cause: Tensor
    scores: dict[str, Tensor]

    def counts(self) -> dict[Cause, int]:
        """Objects of each cause."""
        return {cause: int((self.cause == cause).sum()) for cause in Cause}

    def objects(self, cause: Cause) -> list[tuple[int, int]]:
        """(image, object) of each object of a cause, those the teacher is surest of first."""
        chosen = (self.cause == cause).nonzero()[:, 0]
        chosen = chosen[self.scores["teacher"][chosen].argsort(descending=True, stable=True)]
        return [(int(self.image[i]), int(self.object[i])) for i in chosen]


def trace_objects(
    targets: Sequence[Target],
    seen: Seen,
    *,
    student_threshold: float,
    teacher_threshold: float,
    crossed_threshold: float | None = None,
    chance: float = 0.0,
) -> Traces:
    """Follow each object back through the student to the last place where it was seen.

    Args:
        targets: ground truth of each image, pixels of the original image.
        seen: what was found at the four places.
        student_threshold: scores from here on count for the student, [0, 1].
        teacher_threshold: and for the teacher.
        crossed_threshold: and for the teacher's head on the student's maps; the teacher's without
            one. A head is less sure on maps it was not trained on, and may need its own.
        chance: scores of the student up to here say nothing, see `chance_score`; by default any
            box of an object's class will do for THRESHOLD.

    Raises:
        ValueError: a place was not looked at on as many images as there are targets.
    """
    places = {name: getattr(seen, name) for name in ("student", "candidates", "crossed", "teacher")}
    for name, found in places.items():
        if len(found) != len(targets):
            raise ValueError(
                f"{name} has detections of {len(found)} images, the targets are of {len(targets)}; "
                "give one Detection for each image"
            )
    scores = {
        name: torch.cat([torch.empty(0), *map(best_scores, targets, found)])
        for name, found in places.items()
    }
    thresholds = dict.fromkeys(("student", "candidates"), student_threshold)
    thresholds["teacher"] = teacher_threshold
    thresholds["crossed"] = teacher_threshold if crossed_threshold is None else crossed_threshold
    enough = {name: scores[name] >= threshold for name, threshold in thresholds.items()}
    cause = torch.full_like(scores["student"], Cause.TEACHER, dtype=torch.int64)
    # From the beginning of the network to its end: the last place where it was seen stays.
    cause[enough["teacher"]] = Cause.NECK
    cause[enough["crossed"]] = Cause.HEAD
    cause[scores["student"] > chance] = Cause.THRESHOLD
    cause[enough["candidates"]] = Cause.SUPPRESSED
    cause[enough["student"]] = Cause.FOUND
    counts = [len(target["boxes"]) for target in targets]
    return Traces(
        image=torch.arange(len(counts)).repeat_interleave(torch.tensor(counts, dtype=torch.int64)),
        object=torch.cat([torch.empty(0, dtype=torch.int64), *map(torch.arange, counts)]),
        cause=cause,
        scores=scores,
    )


def best_scores(target: Target, found: Detection) -> Tensor:
    """The best score with which some box shows each object of one image.

    A box shows the object that it overlaps most, if it has its class and an IoU of .5 or more: a
    box that lies better on a neighbour says nothing about an object.

    Returns:
        (G,) in [0, 1]; 0 for an object that no box shows.
    """
    best = torch.zeros(len(target["boxes"]))
    nearest, shows = _shown(target, found)
    return best.scatter_reduce(0, nearest[shows], found.scores[shows].float(), "amax")


def chance_score(
    targets: Sequence[Target], found: Sequence[Detection], classes: int, share: float = 0.05
) -> float:
    """The score that boxes of *wrong* classes reach on the objects by chance.

    Each object is asked for in the name of every class that it does not have, as `best_scores` asks
    for it in its own. All these answers are wrong, and what they score is what a score is worth.

    Args:
        targets: ground truth of each image, pixels of the original image.
        found: a detector's boxes on them, low scores kept.
        classes: how many there are.
        share: of the wrong answers that score higher than what is returned, at most, [0, 1].

    Returns:
        A score in [0, 1]; 0 without objects or with one class.
    """
    wrong = [torch.zeros(0)]
    for target, each in zip(targets, found, strict=True):
        nearest, lies_well = _nearest(target, each)
        place = (nearest * (classes + 1) + each.labels)[lies_well]
        answers = torch.zeros(len(target["boxes"]), classes + 1)
        answers.view(-1).scatter_reduce_(0, place, each.scores[lies_well].float(), "amax")
        other = torch.arange(1, classes + 1) != target["labels"][:, None]
        wrong.append(answers[:, 1:][other])
    scores = torch.cat(wrong).sort(descending=True).values
    return float(scores[int(share * len(scores))]) if len(scores) else 0.0


def showing(target: Target, found: Detection) -> Detection:
    """The boxes that show some object of an image, see `best_scores`; the others say nothing."""
    _, shows = _shown(target, found)
    return Detection(found.boxes[shows], found.scores[shows], found.labels[shows])


def _shown(target: Target, found: Detection) -> tuple[Tensor, Tensor]:
    """For each box the object that it overlaps most, and whether it shows it."""
    nearest, shows = _nearest(target, found)
    if len(target["labels"]):
        shows &= found.labels == target["labels"][nearest]
    return nearest, shows


def _nearest(target: Target, found: Detection) -> tuple[Tensor, Tensor]:
    """For each box the object that it overlaps most, and whether by as much as `IOU`."""
    if not len(target["boxes"]):
        nothing = torch.zeros(len(found.scores), dtype=torch.int64)
        return nothing, nothing.bool()
    iou, nearest = box_iou(found.boxes.float(), target["boxes"].float()).max(dim=1)
    return nearest, iou >= IOU


@torch.no_grad()
def object_distances(*, student: Pyramid, teacher: Pyramid, boxes: Sequence[Tensor]) -> Tensor:
    r"""How far the student's maps are from the teacher's at each object.

    .. math:: d = \sum \lVert s - t \rVert^2 \Big/ \sum \lVert t \rVert^2

    over a grid of 7 x 7 places inside the box, on the level that owns boxes of its size.

    Args:
        student: the student's maps, in the teacher's channels.
        teacher: the teacher's maps; levels are matched by stride.
        boxes: (n, 4) xyxy in network pixels for each image.

    Returns:
        (G,) >= 0, objects in the order of the boxes; 0 for equal maps.
    """
    strides = teacher.strides
    image = torch.arange(len(boxes)).repeat_interleave(torch.tensor([len(x) for x in boxes]))
    every = torch.cat([torch.empty(0, 4), *boxes])
    owner = levels_by_scale(every, strides)
    distances = torch.zeros(len(every))
    for index, stride in enumerate(strides):
        own = (owner == index).nonzero()[:, 0]
        rois = torch.cat([image[own, None].to(every), every[own]], dim=1)
        ours, theirs = (
            roi_align(x.at(stride).map, rois, SAMPLES, 1 / stride, sampling_ratio=1, aligned=True)
            for x in (student, teacher)
        )
        error, length = ((x.square().flatten(1).sum(1)) for x in (ours - theirs, theirs))
        distances[own] = error / length.clamp_min(1e-12)
    return distances
