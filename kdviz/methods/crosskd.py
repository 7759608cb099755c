"""CrossKD: the teacher's last layers read the student's head, and what they say must be the same.

Wang, Chen, Zheng, Li, Cheng, Hou, CrossKD: Cross-Head Knowledge Distillation for Object Detection,
CVPR 2024, arXiv:2306.11369. On the student's own head, the teacher's scores and the ground truth
pull apart wherever the teacher errs. CrossKD leaves that head to the ground truth. A map half-way
up the student's head is sent through the rest of the teacher's head, and these cross-head
predictions imitate the teacher's predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FCOS

from kdviz.checks import check_same_shape
from kdviz.detectors.assembly import anchor_counts, lay_anchors
from kdviz.detectors.assignment import matched_boxes
from kdviz.detectors.batched_losses import giou_loss
from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import channel_moments, in_full_precision, match_levels, standardise
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.slots import best_of_cells, decoded_boxes, slot_scores
from kdviz.structures import Batch, HeadOutput, LevelInfo, Pyramid

# --- where ----------------------------------------------------------------------------------------


class SplitHead:
    """A head of two towers, of one for classes and one for boxes, cut at one depth.

    The cut lies behind the convolution of that depth and its norm, before its activation.

    Args:
        parts: FCOS or RetinaNet.
        depth: convolutions below the cut, from 1.

    Raises:
        ValueError: another family, or the towers have fewer convolutions.
    """

    def __init__(self, parts: DetectorParts, depth: int) -> None:
        if not isinstance(parts, FCOSParts | RetinaNetParts):
            raise ValueError(
                "CrossKD needs a head that can be split; "
                f"{type(parts).__name__.removesuffix('Parts')} has none. Use FCOS or RetinaNet."
            )
        model: Any = parts.model
        self.model = model
        self.branches = (model.head.classification_head, model.head.regression_head)
        layers = _layers(self.branches[0].conv)
        activations = [i for i, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
        if not 1 <= depth <= len(activations):
            raise ValueError(
                f"depth counts the convolutions below the cut, from 1 to {len(activations)}, "
                f"but is {depth}"
            )
        self.cut = activations[depth - 1]
        self.channels = next(x for x in layers if isinstance(x, nn.Conv2d)).out_channels

    def until(self, features: Pyramid) -> tuple[list[Tensor], list[Tensor]]:
        """Maps at the cut, of the tower for classes and of the tower for boxes, per level."""
        cls, reg = (nn.Sequential(*_layers(branch.conv)[: self.cut]) for branch in self.branches)
        return [cls(x) for x in features.maps], [reg(x) for x in features.maps]

    def rest(self, cls: Sequence[Tensor], reg: Sequence[Tensor], batch: Batch) -> HeadOutput:
        """What the head says from maps at the cut, which may be another detector's.

        Centre-ness is left out, since nothing here imitates it.
        """
        logits, boxes = [], []
        towers = [nn.Sequential(*_layers(x.conv)[self.cut + 1 :]) for x in self.branches]
        for level_cls, level_reg in zip(cls, reg, strict=True):
            # Not the layer of the head: RetinaNet's would overwrite the map at the cut.
            scored = self.branches[0].cls_logits(towers[0](level_cls.relu()))
            boxed = self.branches[1].bbox_reg(towers[1](level_reg.relu()))
            logits.append(_by_slot(scored, self.branches[0].num_classes))
            boxes.append(_by_slot(boxed.relu() if isinstance(self.model, FCOS) else boxed, 4))
        generator = self.model.anchor_generator
        return HeadOutput(
            logits=torch.cat(logits, dim=1),
            boxes=torch.cat(boxes, dim=1),
            slots=tuple(anchor_counts(generator, cls)),
            score="sigmoid",
            extras={"anchors": lay_anchors(generator, list(cls), batch)},
        )


def _layers(tower: nn.Sequential) -> list[nn.Module]:
    # RetinaNet nests convolution, norm and activation in blocks, FCOS does not.
    nested = [[*x] if isinstance(x, nn.Sequential) else [x] for x in tower]
    return [layer for block in nested for layer in block]


def _by_slot(values: Tensor, width: int) -> Tensor:
    """(N, A * width, H, W) to (N, H * W * A, width)."""
    n, _, height, breadth = values.shape
    cells = values.view(n, -1, width, height, breadth).permute(0, 3, 4, 1, 2)
    return cells.reshape(n, -1, width)


# --- adapt ----------------------------------------------------------------------------------------


def align_scale(*, student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    r"""The student's map with the mean and deviation that each channel has in the teacher's.

    .. math:: \hat s_c = \frac{s_c - \mu(s_c)}{\sigma(s_c) + \epsilon} \sigma(t_c) + \mu(t_c)

    Moments are taken over the batch and all cells. What is left of the student is the pattern; the
    layers of the teacher that come next read it in the range they were trained on.

    Args:
        student: (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        eps: added to the student's deviation, > 0.

    Returns:
        (N, C, H, W), float32 (float64 for float64 input).

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    mean, deviation = channel_moments(in_full_precision(teacher))
    return standardise(student, eps) * deviation + mean


# --- loss -----------------------------------------------------------------------------------------


def quality_focal(*, student: Tensor, teacher: Tensor, beta: float = 1.0) -> Tensor:
    r"""Binary cross entropy with the teacher's scores, weighed by how far the scores are apart.

    .. math:: | \sigma(s) - \sigma(t) |^\beta \, BCE(\sigma(s), \sigma(t))

    Args:
        student: cross-head logits, (..., K), has gradient.
        teacher: teacher logits of the same shape, no gradient.
        beta: >= 0; with 0 it is plain cross entropy.

    Returns:
        (..., K), >= 0, not reduced; 0 for equal logits if beta > 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    logits, target = in_full_precision(student), in_full_precision(teacher).sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (logits.sigmoid() - target).abs().pow(beta) * entropy


# --- the method -----------------------------------------------------------------------------------


class CrossKD(Method):
    """Cross-head imitation of the teacher's predictions on the levels the two detectors share.

    Maps of other widths meet in a 1x1 convolution, one for each tower. The lower part of the
    student's head runs a second time for it.

    Args:
        student: the detector that learns, FCOS or RetinaNet.
        teacher: the frozen detector, FCOS or RetinaNet; its classes need not be the student's.
        depth: convolutions of the head that are the student's: 3 with the head of RetinaNet, 2
            with that of FCOS, if not given.

    Raises:
        ValueError: a head cannot be split there, or the detectors do not share every level.
    """

    weights: Mapping[str, TermWeight] = {
        "crosskd_cls": TermWeight(1.0),
        "crosskd_reg": TermWeight(1.0),
    }
    """As released for the head of RetinaNet; 0.4 and 0.75 for that of FCOS."""

    def __init__(
        self, student: DetectorParts, teacher: DetectorParts, depth: int | None = None
    ) -> None:
        super().__init__()
        if isinstance(teacher, FCOSParts):
            self.weights = {"crosskd_cls": TermWeight(0.4), "crosskd_reg": TermWeight(0.75)}
        if depth is None:
            depth = 2 if isinstance(teacher, FCOSParts) else 3
        self.depth = depth
        own, taught = SplitHead(student, depth), SplitHead(teacher, depth)
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        if len(pairs) < len(teacher.levels):
            raise ValueError(
                f"the teacher's head reads strides {_strides(teacher.levels)}, but the student has "
                f"{_strides(student.levels)}; take a pair with the same strides"
            )
        same = own.channels == taught.channels
        self.adapters = nn.ModuleList(
            nn.Identity() if same else nn.Conv2d(own.channels, taught.channels, 1) for _ in range(2)
        )

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``crosskd_cls`` and ``crosskd_reg``; map ``score``.

        Both are summed over the slots and divided by the number of those that the teacher's rules
        assign to an object (for FCOS the release divides by the sum of their centre-ness). Boxes
        are compared by GIoU, each weighed by the teacher's best score in its slot: the map shows
        the largest of each cell.
        """
        cross, taught = self.cross_outputs(student, teacher)
        boxes = [target["boxes"] for target in teacher.batch.targets or ()]
        matched = matched_boxes(teacher.parts, taught, boxes)
        objects = (matched >= 0).sum().clamp(min=1)
        counted = (matched != -2).unsqueeze(2)
        divergence = quality_focal(student=cross.logits, teacher=taught.logits)
        scores = slot_scores(taught).amax(dim=2)
        apart = giou_loss(decoded_boxes(teacher.parts, cross), decoded_boxes(teacher.parts, taught))
        losses = {
            "crosskd_cls": (divergence * counted).sum() / objects,
            "crosskd_reg": (apart * scores * counted.squeeze(2)).sum() / objects,
        }
        return Distillation(losses, {"score": best_of_cells(scores, taught, teacher.features)})

    def cross_outputs(self, student: Pass, teacher: Pass) -> tuple[HeadOutput, HeadOutput]:
        """What the teacher's last layers say of the student's maps, and of the teacher's own."""
        own, head = SplitHead(student.parts, self.depth), SplitHead(teacher.parts, self.depth)
        features = Pyramid(tuple(student.features.at(x) for x in teacher.features.strides))
        cls, reg = head.until(teacher.features)
        own_cls, own_reg = own.until(features)
        cross = head.rest(
            self._aligned(0, own_cls, cls), self._aligned(1, own_reg, reg), teacher.batch
        )
        return cross, head.rest(cls, reg, teacher.batch)

    def _aligned(
        self, tower: int, student: Sequence[Tensor], teacher: Sequence[Tensor]
    ) -> list[Tensor]:
        return [
            align_scale(student=self.adapters[tower](own), teacher=held)
            for own, held in zip(student, teacher, strict=True)
        ]


def _strides(levels: Sequence[LevelInfo]) -> list[int]:
    return [level.stride for level in levels]
