"""DeFeat: imitate objects and background, each with a weight of its own.

Guo, Han, Wang, Wu, Chen, Xu, Xu, Distilling Object Detectors via Decoupled Features, CVPR 2021,
arXiv:2103.14475. Background is not empty of knowledge: imitating it alone helps nearly as much as
imitating the objects alone. Together the two conflict, unless each has its own normaliser and its
own weight, both in the neck and among the proposals.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.boxes import (
    boxes_by_level,
    boxes_of_batch,
    levels_by_scale,
    scaled_box_masks,
)
from kdviz.methods.fgfi import fgfi_loss
from kdviz.methods.logits import class_logits, softmax_divergence
from kdviz.methods.slots import check_same_slots
from kdviz.structures import Batch, Pyramid

# --- where ----------------------------------------------------------------------------------------


def box_masks(features: Pyramid, batch: Batch) -> Pyramid:
    """Cells inside the boxes of an image, each box on the one level of its size.

    Args:
        features: gives strides and sizes.
        batch: gives the boxes.

    Returns:
        Boolean (N, 1, H, W) per level; the rest of the cells are the background.
    """
    boxes, image = boxes_of_batch(batch)
    owner = levels_by_scale(boxes, features.strides)
    owned = boxes_by_level(boxes, image, owner, features.strides)
    masks = []
    for level, own in zip(features.levels, owned, strict=True):
        count, _, height, width = level.map.shape
        inside = scaled_box_masks((height, width), *own, count=count, stride=level.stride)
        masks.append(inside.unsqueeze(1))
    return features.with_maps(masks)


# --- loss -----------------------------------------------------------------------------------------


def defeat_loss(*, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    r"""Half the squared feature distance, averaged over the cells of a region and the channels.

    .. math:: L = \frac{1}{2 C N_p} \sum_{n,h,w} M_{nhw} \sum_c (s_{nchw} - t_{nchw})^2,
        \quad N_p = \sum_{n,h,w} M_{nhw}

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        mask: the region, (N, 1, H, W), boolean or 0/1.

    Returns:
        Scalar >= 0; an attached 0 for an empty region.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    return fgfi_loss(student=student, teacher=teacher, mask=mask) / student.shape[1]


# --- the method -----------------------------------------------------------------------------------


class DeFeat(Method):
    """Decoupled imitation of the shared levels, and of the proposals where both have two stages.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.

    Raises:
        ValueError: the detectors share no stride, or both have two stages and other classes.
    """

    weights: Mapping[str, TermWeight] = {
        "defeat_foreground": TermWeight(3.0),
        "defeat_background": TermWeight(12.0),
        "defeat_positives": TermWeight(2.0),
        "defeat_negatives": TermWeight(2.0),
    }
    """As released for Faster R-CNN on VOC; the last two only where both have two stages. The
    release can let them fall to 0 over the run, which is ``decay: linear`` here."""

    def __init__(self, student: DetectorParts, teacher: DetectorParts) -> None:
        super().__init__()
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs, init_std=1e-4)
        stages = [isinstance(parts, FasterRCNNParts) for parts in (student, teacher)]
        self.has_proposals = all(stages)
        if self.has_proposals:
            check_same_slots("DeFeat", student=student, teacher=teacher)
        else:
            regions = ("defeat_foreground", "defeat_background")
            self.weights = {term: self.weights[term] for term in regions}

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``defeat_foreground/<level>`` and ``defeat_background/<level>``, map ``mask``.

        They are divided by the number of levels, since the release takes the mean over them. Two
        detectors of two stages add ``defeat_positives`` and ``defeat_negatives``.
        """
        adapted = self.adapter(student.features)
        masks = box_masks(adapted, batch)
        losses: dict[str, Tensor] = {}
        for level, mask in zip(adapted.levels, masks.maps, strict=True):
            target = teacher.features.at(level.stride).map
            for region, cells in (("foreground", mask), ("background", ~mask)):
                loss = defeat_loss(student=level.map, teacher=target, mask=cells)
                losses[f"defeat_{region}/{level.name}"] = loss / len(masks.levels)
        if self.has_proposals:
            losses |= self._proposals(student, teacher)
        return Distillation(losses, {"mask": masks})

    def _proposals(self, student: Pass, teacher: Pass) -> dict[str, Tensor]:
        own, taught = class_logits(student, teacher)
        divergence = softmax_divergence(student=own, teacher=taught)
        labels: list[Tensor] = student.output.extras["labels"]  # type: ignore[assignment]
        objects = torch.cat(labels) > 0
        return {
            f"defeat_{name}": (divergence * chosen).sum() / chosen.sum().clamp(min=1)
            for name, chosen in (("positives", objects), ("negatives", ~objects))
        }
