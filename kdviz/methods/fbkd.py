"""FBKD: attention-guided imitation, and the relations between places through a non-local block.

Zhang, Ma, Improve Object Detection with Feature-based Knowledge Distillation: Towards Accurate and
Efficient Detectors, ICLR 2021. It is the row "NonLocal" in the tables of Dist2. Four terms: the
features where either detector attends, the two attentions (over channels and over places), and the
output of a non-local block of each detector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdviz.checks import check_same_shape, check_shape
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.fgd import spatial_attention
from kdviz.structures import Batch, LevelInfo, Pyramid

# --- adapt ----------------------------------------------------------------------------------------


class NonLocal(nn.Module):
    """Adds to each cell the features of all others, weighed by dot products (Wang et al., 2018).

    The last convolution starts at 0, so at first the block changes nothing. The release follows it
    by a BatchNorm that starts at 0; a coarse level with one cell of one image has no statistics.

    Args:
        channels: of the map.
        reduction: the block works in channels / reduction.
        pool: the other cells are the maxima of squares of this side, cells.
    """

    def __init__(self, channels: int, reduction: int, pool: int) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, channels, 1)
        self.pool = nn.MaxPool2d(pool, ceil_mode=True)  # a map below one square keeps one cell
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        query = self.query(values).flatten(2)
        key, value = (self.pool(part(values)).flatten(2) for part in (self.key, self.value))
        weights = query.transpose(1, 2) @ key / key.shape[2]
        gathered = (value @ weights.transpose(1, 2)).unflatten(2, values.shape[2:])
        return values + self.out(gathered)


class LevelAdapters(nn.Module):
    """What the student's maps of one level pass before each of the four comparisons."""

    def __init__(self, student: LevelInfo, teacher: LevelInfo) -> None:
        super().__init__()
        reduction, pool = (4, 32 // student.stride) if student.stride <= 8 else (2, 2)
        self.features = nn.Conv2d(student.channels, teacher.channels, 1)
        self.channels = nn.Linear(student.channels, teacher.channels)
        self.places = nn.Conv2d(1, 1, 3, padding=1)
        self.relations = nn.Conv2d(student.channels, teacher.channels, 1)
        self.student_block = NonLocal(student.channels, reduction, pool)
        self.teacher_block = NonLocal(teacher.channels, reduction, pool)


# --- loss -----------------------------------------------------------------------------------------


def distance(*, student: Tensor, teacher: Tensor) -> Tensor:
    """Euclidean distance of two tensors of one shape, over the whole batch; 0 has gradient 0."""
    check_same_shape(student=student, teacher=teacher)
    return torch.linalg.vector_norm(in_full_precision(student) - in_full_precision(teacher))


def fbkd_loss(*, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    r"""Distance of the maps, each squared difference weighed by its place.

    .. math:: L = \sqrt{ \sum_{n,c,h,w} M_{nhw} (s_{nchw} - t_{nchw})^2 }

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        mask: mean of both spatial attentions, (N, 1, H, W), >= 0, no gradient.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_shape("mask", mask, (len(student), 1, *student.shape[2:]))
    weight = in_full_precision(mask).sqrt()
    return distance(student=student * weight, teacher=teacher * weight)


# --- the method -----------------------------------------------------------------------------------


class FBKD(Method):
    """Feature-based distillation on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        temperature: of the attention, > 0.

    Raises:
        ValueError: the detectors share no stride.
    """

    weights: Mapping[str, TermWeight] = {
        "fbkd_features": TermWeight(7e-5),
        "fbkd_channels": TermWeight(4e-3),
        "fbkd_places": TermWeight(4e-3),
        "fbkd_relations": TermWeight(7e-5),
    }
    """MMRazor's for Faster R-CNN, with the release's temperature of 0.5."""

    def __init__(
        self, student: DetectorParts, teacher: DetectorParts, temperature: float = 0.5
    ) -> None:
        super().__init__()
        self.temperature = temperature
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapters = nn.ModuleDict({own.name: LevelAdapters(own, t) for own, t in pairs})

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``fbkd_<term>/<level>``; map ``attention``, the mean of both detectors'."""
        levels = [x for x in student.features.levels if x.name in self.adapters]
        losses: dict[str, Tensor] = {}
        masks = []
        for level in levels:
            own, taught = level.map, teacher.features.at(level.stride).map
            adapt: Any = self.adapters[level.name]
            looks = [spatial_attention(x, self.temperature).detach() for x in (own, taught)]
            masks.append((looks[0] + looks[1]) / 2)
            compared = {
                "channels": (adapt.channels(own.mean(dim=(2, 3))), taught.mean(dim=(2, 3))),
                "places": (adapt.places(own.mean(1, keepdim=True)), taught.mean(1, keepdim=True)),
                "relations": (
                    adapt.relations(adapt.student_block(own)),
                    adapt.teacher_block(taught),
                ),
            }
            losses[f"fbkd_features/{level.name}"] = fbkd_loss(
                student=adapt.features(own), teacher=taught, mask=masks[-1]
            )
            for term, (ours, theirs) in compared.items():
                losses[f"fbkd_{term}/{level.name}"] = distance(student=ours, teacher=theirs)
        return Distillation(losses, {"attention": Pyramid(tuple(levels)).with_maps(masks)})
