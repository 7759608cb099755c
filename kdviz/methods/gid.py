"""GID: imitate where the two detectors disagree most, whether there is an object or not.

Dai, Jiang, Wu, Bao, Wang, Liu, Zhou, General Instance Distillation for Object Detection, CVPR 2021,
arXiv:2103.02340. A general instance (GI) is a box at which the scores of student and teacher differ
by much, taken from the more confident of the two. Its crop of the features, its distance to the
other instances, and the heads' answers in its slots are imitated. The ground truth has no part in
the choice.

The paper's code was never released; numbers marked "port" are the defaults of a public port to
Detectron2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import clip_boxes_to_image, nms, roi_align

from kdviz.checks import check_same_shape
from kdviz.detectors.assignment import matched_boxes
from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.logits import sigmoid_divergence
from kdviz.methods.slots import (
    best_of_cells,
    check_same_slots,
    decoded_boxes,
    slot_scores,
)
from kdviz.structures import Batch, Pyramid

CROP = 10  # cells a side (port)
CANDIDATES = 3000  # boxes of an image that reach the NMS (port)

# --- where ----------------------------------------------------------------------------------------


def instance_scores(*, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    r"""GI score of each slot, and whether the teacher is the more confident there.

    .. math:: \max_k | p^t_k - p^s_k |

    Args:
        student: scores, (..., K) in [0, 1].
        teacher: scores of the same shape.

    Returns:
        (...) in [0, 1], and boolean (...), both of the class where they differ most.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    difference = teacher - student
    score, owner = difference.abs().max(dim=-1)
    return score, difference.gather(-1, owner.unsqueeze(-1)).squeeze(-1) > 0


def general_instances(
    scores: Tensor, boxes: Tensor, count: int = 10, iou_threshold: float = 0.3
) -> Tensor:
    """The boxes of highest score that do not overlap each other much.

    Args:
        scores: GI score of each slot of one image, (P,).
        boxes: (P, 4), xyxy in network pixels.
        count: boxes to keep at most.
        iou_threshold: overlap above which the lower of two boxes is dropped, in [0, 1].

    Returns:
        (n, 4) with n <= count; boxes without area are left out.
    """
    best = scores.topk(min(CANDIDATES, len(scores))).indices
    scores, boxes = scores[best], boxes[best]
    solid = (boxes[:, 2:] - boxes[:, :2] >= 1).all(dim=1)
    scores, boxes = scores[solid], boxes[solid]
    return boxes[nms(boxes, scores, iou_threshold)[:count]]


# --- adapt ----------------------------------------------------------------------------------------


def crops(features: Pyramid, boxes: Sequence[Tensor]) -> Tensor:
    """Crops of all boxes, each from the level of its size, a box of 224 px from that of stride 16.

    Args:
        features: levels of one detector, all of C channels.
        boxes: of each image, (n, 4) xyxy in network pixels.

    Returns:
        (R, C, 10, 10), R boxes in all, image after image.
    """
    flat = torch.cat(list(boxes))
    images = torch.cat([x.new_full((len(x), 1), i) for i, x in enumerate(boxes)])
    side = (flat[:, 2:] - flat[:, :2]).clamp(min=1e-6).prod(dim=1).sqrt()
    wanted = (side / 224 + 1e-6).log2().floor() + 4
    octaves = torch.tensor(features.strides, device=flat.device).log2()
    owner = wanted.clamp(octaves[0], octaves[-1])
    first = in_full_precision(features.maps[0])
    out = first.new_zeros(len(flat), first.shape[1], CROP, CROP)
    for level, octave in zip(features.levels, octaves, strict=True):
        chosen = owner == octave
        rois = torch.cat([images, flat], dim=1)[chosen].to(first.dtype)
        values = in_full_precision(level.map)
        out[chosen] = roi_align(values, rois, CROP, 1 / level.stride, 2, aligned=True)
    return out


# --- loss -----------------------------------------------------------------------------------------


def crop_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the crops' cells, averaged over cells and crops.

    Args:
        student: (R, C, h, w), has gradient.
        teacher: of the same shape, no gradient.

    Returns:
        Scalar >= 0; an attached 0 without crops.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    cells = max(1, student.shape[0] * student.shape[2] * student.shape[3])
    return (in_full_precision(student) - in_full_precision(teacher)).square().sum() / cells


def relation_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    r"""Difference of the distances between crops, each side's divided by its own mean.

    .. math:: L = \frac{1}{R (R - 1)} \sum_{i \neq j} smooth_{L1}\Big(
        \frac{d^s_{ij}}{\bar d^s} - \frac{d^t_{ij}}{\bar d^t} \Big)

    Args:
        student: (R, C, h, w), has gradient.
        teacher: of the same shape, no gradient.

    Returns:
        Scalar >= 0; an attached 0 for fewer than three crops, which have one distance at most.
    """
    check_same_shape(student=student, teacher=teacher)
    if len(student) < 3:
        return 0.0 * in_full_precision(student).sum()
    own, taught = (_distances(x) for x in (student, teacher))
    return functional.smooth_l1_loss(own, taught)


def _distances(values: Tensor) -> Tensor:
    # One of each pair: torch.pdist gives equal crops the gradient 0, not 0/0.
    distances = torch.pdist(in_full_precision(values).flatten(1))
    return distances / distances.mean().clamp(min=1e-12)


# --- the method -----------------------------------------------------------------------------------


class GID(Method):
    """General instance distillation between two dense heads of one family.

    Args:
        student: the detector that learns, FCOS or RetinaNet.
        teacher: the frozen detector, of the student's family, strides and classes.
        count: instances of one image at most.
        iou_threshold: of the NMS that keeps them apart, in [0, 1].

    Raises:
        ValueError: another family, or the heads do not share their slots or classes.
    """

    weights: Mapping[str, TermWeight] = {
        "gid_features": TermWeight(0.005),
        "gid_relations": TermWeight(40.0),
        "gid_cls": TermWeight(0.1),
        "gid_reg": TermWeight(0.1),
    }
    """Port."""

    def __init__(
        self,
        student: DetectorParts,
        teacher: DetectorParts,
        count: int = 10,
        iou_threshold: float = 0.3,
    ) -> None:
        super().__init__()
        if not isinstance(student, FCOSParts | RetinaNetParts):
            raise ValueError(
                "GID reads the boxes of every cell before any threshold; "
                f"{type(student).__name__.removesuffix('Parts')} is not supported. "
                "Use FCOS or RetinaNet."
            )
        check_same_slots("GID", student=student, teacher=teacher)
        self.count, self.iou_threshold = count, iou_threshold
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``gid_features``, ``gid_relations``, ``gid_cls`` and ``gid_reg``.

        Maps: ``score``, the largest GI score of each cell, and ``response``, boolean, the cells
        with a slot that the student's rules assign to an instance.
        """
        with torch.no_grad():
            boxes, scores = self.where(student, teacher, batch)
            matched = matched_boxes(student.parts, student.output, boxes) >= 0
        own, taught = crops(self.adapter(student.features), boxes), crops(teacher.features, boxes)
        slots = max(1, int(matched.sum()))
        divergence = sigmoid_divergence(
            student=student.output.logits[matched], teacher=teacher.output.logits[matched]
        )
        apart = in_full_precision(student.output.boxes) - in_full_precision(teacher.output.boxes)
        losses = {
            "gid_features": crop_loss(student=own, teacher=taught),
            "gid_relations": relation_loss(student=own, teacher=taught),
            "gid_cls": divergence.sum() / slots,
            "gid_reg": apart[matched].abs().sum() / slots,
        }
        features = student.features.apply(Tensor.detach)
        return Distillation(
            losses,
            {
                "score": best_of_cells(scores, student.output, features),
                "response": best_of_cells(matched, student.output, features),
            },
        )

    @torch.no_grad()
    def where(self, student: Pass, teacher: Pass, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """General instances of each image, (n, 4) xyxy, and the GI score of every slot, (N, P)."""
        scores, surer = instance_scores(
            student=slot_scores(student.output), teacher=slot_scores(teacher.output)
        )
        boxes = torch.where(
            surer.unsqueeze(2),
            decoded_boxes(teacher.parts, teacher.output),
            decoded_boxes(student.parts, student.output),
        )
        return [
            general_instances(score, clip_boxes_to_image(box, size), self.count, self.iou_threshold)
            for score, box, size in zip(scores, boxes, batch.sizes, strict=True)
        ], scores
