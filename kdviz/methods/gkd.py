"""GKD: transfer what an instance means relative to prototypes, and trust each as far as both agree.

Tang, Zhang, Cheng, Wang, Xu, Li, Niu, Pu, Wu, Distilling Object Detectors with Global Knowledge,
ECCV 2022, arXiv:2210.09022. A few prototypes of each class (see `kdviz.methods.gkd_prototypes`) are
axes that both detectors have; how similar an instance is to each of them is a code that can be
compared without an adapter. Where the two detectors place an instance differently (a blurred, an
occluded, a small one) it is little reliable, and counts less in every term.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdviz.checks import check_same_shape, check_shape
from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.boxes import boxes_off_the_map, levels_by_scale
from kdviz.methods.gkd_bank import PrototypeBank, collect_instances
from kdviz.methods.gkd_positives import Instances, box_instances, positives, roi_instances
from kdviz.methods.gkd_prototypes import box_means
from kdviz.methods.gkd_prototypes import select_prototypes as select_prototypes
from kdviz.methods.heads import check_heads
from kdviz.methods.logits import softmax_divergence
from kdviz.structures import Batch, Pyramid

LEAST_LENGTH = 1e-4
"""Shorter feature vectors are not stretched to unit length, which bounds the gradient."""

# --- where ----------------------------------------------------------------------------------------


def projection(features: Tensor, prototypes: Tensor) -> Tensor:
    """Codes of instances: the cosine of each to each prototype.

    Args:
        features: of the instances, (n, C), may have gradient.
        prototypes: of all classes, (P, C), no gradient.

    Returns:
        (n, P), in [-1, 1], float32 (float64 for float64 features).

    Raises:
        ValueError: the channels differ.
    """
    check_shape("features", features, ("n", "C"))
    check_shape("prototypes", prototypes, ("P", features.shape[1]))
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(in_full_precision(features), dim=1, eps=LEAST_LENGTH)
        axes = F.normalize(prototypes.detach().to(unit.dtype), dim=1, eps=LEAST_LENGTH)
        return unit @ axes.T


def reliability(
    *, student_codes: Tensor, teacher_codes: Tensor, labels: Tensor, prototype_labels: Tensor
) -> Tensor:
    r"""How far the detectors agree on how typical an instance is of its class.

    .. math:: r_i = 1 - \Big| \max_{k \in y_i} q^s_{ik} - \max_{k \in y_i} q^t_{ik} \Big|

    Args:
        student_codes: (n, P), what `projection` returned.
        teacher_codes: (n, P).
        labels: class of each instance, (n,).
        prototype_labels: class of each prototype, (P,).

    Returns:
        (n,), in [-1, 1], detached; 1 for equal codes and for a class that has no prototype.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_same_shape(student=student_codes, teacher=teacher_codes)
    check_shape("student_codes", student_codes, (len(labels), len(prototype_labels)))
    own = labels[:, None] == prototype_labels
    if not own.shape[1]:
        return student_codes.new_ones(len(labels))
    best = [x.detach().masked_fill(~own, -2.0).amax(dim=1) for x in (student_codes, teacher_codes)]
    return 1 - (best[0] - best[1]).abs()  # a class without prototypes has -2 on both sides


def cell_owners(size: tuple[int, int], boxes: Tensor, reliability: Tensor, stride: int) -> Tensor:
    """Which box speaks for each cell of a level, as in the release.

    A box covers the cells [floor(x1/s), floor(x2/s)), likewise in y, and where that is none the one
    cell of its corner. Later boxes paint over earlier ones, but a one-cell box only what is less
    reliable than itself.

    Args:
        size: (H, W) of the level, cells.
        boxes: (G, 4), xyxy in network pixels.
        reliability: (G,).
        stride: pixels from cell to cell.

    Returns:
        int64 (H, W), row of ``boxes``; -1 where there is none.
    """
    if not len(boxes):
        return torch.full(size, -1, device=boxes.device)
    low, high = (boxes / stride).long().split(2, dim=1)
    small = (high <= low).any(dim=1)
    high = torch.where(small[:, None], low + 1, high)
    y, x = (torch.arange(n, device=boxes.device) for n in size)
    rows = (y >= low[:, 1:]) & (y < high[:, 1:])
    columns = (x >= low[:, :1]) & (x < high[:, :1])
    cover = rows[:, :, None] & columns[:, None, :]
    order = torch.arange(len(boxes), device=boxes.device)[:, None, None]
    last = torch.where(cover & ~small[:, None, None], order, -1).amax(dim=0)
    painted = torch.where(last >= 0, reliability[last], 0)
    dots = cover & small[:, None, None] & (order > last)
    best, index = torch.where(dots, reliability[:, None, None], -torch.inf).max(dim=0)
    return torch.where(best > painted, index, last)


@torch.no_grad()
def level_owners(features: Pyramid, boxes: Sequence[Tensor], reliability: Tensor) -> list[Tensor]:
    """`cell_owners` of a batch, each box on the one level of its size.

    Args:
        features: gives strides and sizes of L levels.
        boxes: for each image (G_n, 4), xyxy in network pixels.
        reliability: on each level of each box of all images, (L, n).

    Returns:
        int64 (N, H, W) per level, row among the boxes of all images; -1 where there is none.
    """
    images: list[list[Tensor]] = [[] for _ in features.levels]
    offset = 0
    for each in boxes:
        belongs = levels_by_scale(each, features.strides)
        for i, level in enumerate(features.levels):
            size = (level.map.shape[-2], level.map.shape[-1])
            here = boxes_off_the_map(each, belongs == i, level.stride)
            own = reliability[i, offset : offset + len(each)]
            owner = cell_owners(size, here, own, level.stride)
            images[i].append(torch.where(owner >= 0, owner + offset, -1))
        offset += len(each)
    return [torch.stack(level) for level in images]


# --- loss -----------------------------------------------------------------------------------------


def global_loss(*, student_codes: Tensor, teacher_codes: Tensor, reliability: Tensor) -> Tensor:
    r"""Distance of the codes, each instance as strong as it is reliable.

    .. math:: L = \frac{1}{n P} \sum_{i,k} \mathrm{SmoothL1}(r_i q^s_{ik} - r_i q^t_{ik})

    Args:
        student_codes: (n, P), in [-1, 1], has gradient.
        teacher_codes: (n, P), no gradient.
        reliability: (n,), in [-1, 1], no gradient.

    Returns:
        Scalar in [0, 1.5]; an attached 0 without instances or prototypes.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_same_shape(student=student_codes, teacher=teacher_codes)
    check_shape("reliability", reliability, (len(student_codes),))
    scale = reliability[:, None]
    error = F.smooth_l1_loss(scale * student_codes, scale * teacher_codes, reduction="sum")
    return error / max(1, student_codes.numel())


def decoupled_loss(*, student: Tensor, teacher: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    r"""Half the squared feature distance, apart on the objects and on the background.

    .. math:: L_{fg} = \frac{\sum W \|s - t\|^2}{\max(1, 2 C \sum W)}, \quad
        L_{bg} = \frac{\sum_{W = 0} \|s - t\|^2}{\max(1, 2 C \, |\{W = 0\}|)}

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        weights: reliability of the box on each cell, (N, 1, H, W), >= 0; 0 is background.

    Returns:
        (foreground, background), scalars >= 0; an attached 0 where there is no such cell.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_same_shape(student=student, teacher=teacher)
    n, channels, height, width = student.shape
    check_shape("weights", weights, (n, 1, height, width))
    error = (in_full_precision(student) - in_full_precision(teacher)).square().sum(1, keepdim=True)
    parts = weights.to(error.dtype), (weights == 0).to(error.dtype)
    foreground, background = (
        (part * error).sum() / (2 * channels * part.sum()).clamp(min=1.0) for part in parts
    )
    return foreground, background


def soft_label_loss(
    *, student: Tensor, teacher: Tensor, reliability: Tensor, temperature: float = 2.0
) -> Tensor:
    r"""Divergence of the softened classes of positive predictions, weighted by reliability.

    .. math:: L = \frac{1}{R} \sum_i r_i \frac{\tau^2}{K}
        \mathrm{KL}\big( \mathrm{softmax}(z^t_i / \tau) \,\|\, \mathrm{softmax}(z^s_i / \tau) \big)

    Args:
        student: class logits of the positives, (R, K), have gradient.
        teacher: class logits of the same positives, (R, K), no gradient.
        reliability: of the instance that each belongs to, (R,).
        temperature: tau > 0.

    Returns:
        Scalar; an attached 0 without positives.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_shape("student", student, ("R", "K"))
    check_shape("reliability", reliability, (len(student),))
    rows = softmax_divergence(student=student, teacher=teacher, temperature=temperature)
    return (reliability * rows).sum() / max(1, student.numel())


# --- the method -----------------------------------------------------------------------------------


class GKD(Method):
    """Global knowledge distillation on every level that the two detectors share.

    It needs prototypes before its first step and new ones as the student changes: see `refresh`.

    Where it differs from the release:
        - The instances are ground-truth boxes; there, positive proposals
          (``instances="proposals"``). A proposal's soft label has the reliability of its box by
          the mean of cells; there, by RoI pooling.
        - The global term is on; as shipped, no configuration reaches it (``global_term=False``).
        - A reliability below 0 counts as 0 in the feature and soft-label terms, so that no error
          is ever rewarded.
        - A class of fewer instances than ``prototypes`` gives each at most once on average, and one
          of none is taken for reliable; there, the choice fails.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        prototypes: how many of each class and level, >= 1.
        alpha: how much the coefficients of both spaces must agree in their choice, >= 0.
        unique: choose no instance twice.
        instances: ``"boxes"``, or the ``"proposals"`` that a two-stage student takes for objects.
        global_term: compare the codes of the instances.
        soft_labels: compare the classes of positive predictions. It needs heads of one kind.
        min_size: length in network pixels that both sides of a box exceed to become a prototype;
            a class without such a box uses all of its boxes.
        instances_per_class: most instances that a class may choose its prototypes from.
        refresh_every: steps from one choice of prototypes to the next; the paper's is an epoch.
        refresh_images: most images that a choice looks at.

    Raises:
        ValueError: the detectors share no stride; their heads cannot be compared although
            ``soft_labels`` is on; or a one-stage student is asked for its proposals.
    """

    def __init__(
        self,
        student: DetectorParts,
        teacher: DetectorParts,
        prototypes: int = 10,
        alpha: float = 10.0,
        unique: bool = False,
        instances: Literal["boxes", "proposals"] = "boxes",
        global_term: bool = True,
        soft_labels: bool = True,
        min_size: float = 30.0,
        instances_per_class: int = 800,
        refresh_every: int = 500,
        refresh_images: int = 500,
    ) -> None:
        super().__init__()
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs)
        self.prototypes, self.alpha, self.unique = prototypes, alpha, unique
        self.instances, self.global_term, self.soft_labels = instances, global_term, soft_labels
        self.min_size, self.instances_per_class = min_size, instances_per_class
        self.refresh_every, self.refresh_images = refresh_every, refresh_images
        if instances == "proposals" and not isinstance(student, FasterRCNNParts):
            raise ValueError(
                f"only a two-stage student has proposals, and {type(student).__name__} is none; "
                "use instances='boxes'"
            )
        if soft_labels:
            _check_soft_labels(student, teacher, self.adapter.strides)
        self.banks = nn.ModuleDict(
            {
                ours.name: PrototypeBank(
                    student_channels=ours.channels, teacher_channels=theirs.channels
                )
                for ours, theirs in pairs
            }
        )
        self.weights = {
            "gkd_foreground": TermWeight(1.0, decay="linear"),
            "gkd_background": TermWeight(4.0, decay="linear"),
        }
        if global_term:
            self.weights["gkd_global"] = TermWeight(5.0, decay="linear")
        if soft_labels:
            self.weights["gkd_soft"] = TermWeight(1.0)

    def refresh(self, passes: Iterable[tuple[Pass, Pass, Batch]]) -> None:
        """Choose all prototypes anew, from the detectors as they are now.

        The training loop calls this at step 0 and then every ``refresh_every`` steps.

        Args:
            passes: over training images that are prepared as for evaluation, with targets, in the
                same order each time and in every process. They are read one by one and no further
                than ``refresh_images``. Each detector runs in the mode it is in, without gradient,
                and leaves no trace in its BatchNorm: an instance in training is compared under the
                statistics of its batch, so its prototypes are made under such.

        Raises:
            ValueError: there is not one box in all passes.
        """
        strides = self.adapter.strides
        found = collect_instances(
            _first_images(passes, self.refresh_images),
            strides,
            min_size=self.min_size,
            limit=self.instances_per_class,
        )
        for stride, bank in zip(strides, self._banks(), strict=True):
            bank.fill(found, stride, count=self.prototypes, alpha=self.alpha, unique=self.unique)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``gkd_global|foreground|background/<level>`` and ``gkd_soft``.

        As in the release, foreground and background are means over the levels (they are divided by
        the number of levels here), and the global term is a sum.

        The map ``reliability``, (N, 1, H, W) per level, in [0, 1], is that of the box on each cell,
        on the level that the box belongs to; 0 is background.

        Raises:
            RuntimeError: there are no prototypes yet.
        """
        if not any(len(bank) for bank in self._banks()):
            raise RuntimeError(
                "GKD has no prototypes yet; call refresh(passes) before the first step, or load "
                "the state of a method that has them"
            )
        instances = box_instances(student)
        if self.instances == "proposals":
            instances = roi_instances(student)
        losses, trust = self._compare(student, teacher, instances)
        trust = F.pad(trust, (0, 1))  # an owner of -1 reads the 0 at the end
        adapted = self.adapter(student.features)
        owners = level_owners(adapted, instances.boxes, trust)
        where = adapted.with_maps([r[x].unsqueeze(1) for r, x in zip(trust, owners, strict=True)])
        for level, weights in zip(adapted.levels, where.maps, strict=True):
            foreground, background = decoupled_loss(
                student=level.map, teacher=teacher.features.at(level.stride).map, weights=weights
            )
            losses[f"gkd_foreground/{level.name}"] = foreground / len(adapted.levels)
            losses[f"gkd_background/{level.name}"] = background / len(adapted.levels)
        if self.soft_labels:
            found = positives(student, teacher, instances, owners, self.adapter.strides)
            count = (found.instance >= 0).sum().clamp(min=1)
            losses["gkd_soft"] = soft_label_loss(
                student=found.student,
                teacher=found.teacher.detach(),
                reliability=trust[found.level, found.instance],
            ) * (len(found.instance) / count)
        return Distillation(losses, {"reliability": where})

    def _compare(
        self, student: Pass, teacher: Pass, instances: Instances
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Global losses, and the reliability of each instance on each level, (L, n), in [0, 1]."""
        losses, trust = {}, []
        for name, bank, stride in zip(self.banks, self._banks(), self.adapter.strides, strict=True):
            means = box_means(student.features.at(stride).map, instances.boxes, stride)
            ours = projection(means, bank.student)
            with torch.no_grad():
                means = box_means(teacher.features.at(stride).map, instances.boxes, stride)
                theirs = projection(means, bank.teacher)
                own = reliability(
                    student_codes=ours,
                    teacher_codes=theirs,
                    labels=instances.labels,
                    prototype_labels=bank.labels,
                )
            trust.append(own.clamp(min=0))
            if self.global_term:
                losses[f"gkd_global/{name}"] = global_loss(
                    student_codes=ours, teacher_codes=theirs, reliability=own
                )
        return losses, torch.stack(trust)

    def _banks(self) -> list[PrototypeBank]:
        return [bank for bank in self.banks.values() if isinstance(bank, PrototypeBank)]


def _first_images(
    passes: Iterable[tuple[Pass, Pass, Batch]], count: int
) -> Iterable[tuple[Pass, Pass, Batch]]:
    seen = 0
    for each in passes:
        yield each
        seen += len(each[2].images)
        if seen >= count:
            return


def _check_soft_labels(
    student: DetectorParts, teacher: DetectorParts, strides: Sequence[int]
) -> None:
    two_stage = [isinstance(parts, FasterRCNNParts) for parts in (student, teacher)]
    if two_stage == [False, False]:
        check_heads(student=student, teacher=teacher, strides=strides)
    elif two_stage != [True, True] or student.num_classes != teacher.num_classes:
        raise ValueError(
            f"soft labels compare {type(student).__name__} of {student.num_classes} classes with "
            f"{type(teacher).__name__} of {teacher.num_classes}; take a teacher of the student's "
            "kind and classes, or set soft_labels=False"
        )
