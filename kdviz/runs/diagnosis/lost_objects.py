"""Pictures of the objects that a student lost, with the last place where each was seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from kdviz.diagnosis.lost import LostObjects, targets_of
from kdviz.diagnosis.misses import IOU, Cause, Seen
from kdviz.engine.coco_input import GroundTruth
from kdviz.plots.traces import CAUSES, MissView, Sight, miss_gallery
from kdviz.runs.diagnosis.answers import answer_of, called, corners, title_of
from kdviz.runs.diagnosis.galleries import Gallery, take, told
from kdviz.runs.diagnosis.image_files import ImageFiles
from kdviz.structures import Detection

_READING = (
    "Black: the object. Thick: the box that shows it, dotted where its score does not suffice; "
    "thin: other boxes of its class. Before NMS: the student's own boxes. Teacher's head: what it "
    "finds on the student's maps, and how far these are from the teacher's at the object."
)
_MOST_OTHERS = 12


def lost_pictures(
    lost: Mapping[str, LostObjects],
    seen: Mapping[str, Seen],
    images: ImageFiles,
    role: str,
    cause: Cause | str,
    *,
    teacher_threshold: float,
    count: int = 8,
    first: int = 0,
) -> Gallery:
    """Objects that a student gets wrong by a cause, those that the teacher is surest of first.

    Args:
        lost: by the name of the student, see `kdviz.runs.diagnosis.inside.Inside.lost`.
        seen: by the same names, what was found at the four places on each image of the annotations.
        images: see `kdviz.runs.diagnosis.image_files.find_images`.
        role: whose lost objects.
        cause: a `Cause` or its name, ``neck``.
        teacher_threshold: scores from here on count for the teacher, [0, 1].
        count: objects at most.
        first: so many objects are passed over, to turn pages.

    Raises:
        KeyError: there is no such student or cause.
    """
    cause = Cause[cause.upper()] if isinstance(cause, str) else cause
    one, truth = lost[role], lost[role].verdicts.typed.truth
    objects = one.objects(cause).tolist()
    needed = {
        "candidates": one.verdicts.threshold,
        "crossed": one.crossed_threshold,
        "teacher": teacher_threshold,
    }
    targets = targets_of(truth)

    def view(object_: int) -> MissView:
        image = int(truth.image[object_])
        sights = {
            place: sight_of(
                truth, object_, targets[image]["boxes"], getattr(seen[role], place)[image], least
            )
            for place, least in needed.items()
        }
        return MissView(
            image=images[image],
            title=title_of(truth, object_),
            cause=cause.name.lower(),
            box=corners(truth.boxes[object_]),
            student=answer_of(one.verdicts, object_),
            distance=float(one.distance[object_]),
            **sights,
        )

    views, unseen = take(objects[first:], view, count)
    name = cause.name.lower()
    what = f"that {called(role)} gets wrong", f"the cause {name}: {CAUSES[name]}"
    noun = f"object {what[0]} has {what[1]}", f"objects {what[0]} have {what[1]}"
    order = "that the teacher is surest of"
    text = told(len(objects), len(views), noun, order, first, unseen, images)
    figures = (miss_gallery(views, role, caption=f"{text} {_READING}")[0],) if views else ()
    return Gallery(text, figures, len(objects), len(views))


def sight_of(
    truth: GroundTruth, object_: int, every: Tensor, found: Detection, needed: float
) -> Sight:
    """What a place of the network has for an object: a box shows the one that it overlaps most.

    Args:
        truth: the annotations.
        object_: which of them.
        every: (n, 4) xyxy of all objects of its image, pixels of the image.
        found: boxes of that place on that image.
        needed: scores from here on count, [0, 1].
    """
    own = torch.from_numpy(corners(truth.boxes[object_])).float()
    chosen = (found.labels == int(truth.category[object_]) + 1).nonzero()[:, 0]
    boxes, scores = found.boxes[chosen].float(), found.scores[chosen]
    iou = box_iou(boxes, own[None])[:, 0]
    best_iou = box_iou(boxes, every.float()).max(dim=1).values if len(boxes) else iou
    shows = ((iou >= IOU) & (iou == best_iou)).nonzero()[:, 0]
    near = (iou >= IOU / 2).nonzero()[:, 0]
    near = near[scores[near].argsort(descending=True)][:_MOST_OTHERS]
    if not len(shows):
        return Sight(0.0, needed, others=boxes[near].numpy())
    best = int(shows[scores[shows].argmax()])
    others = boxes[near[near != best]].numpy()
    return Sight(float(scores[best]), needed, np.asarray(boxes[best]), others)
