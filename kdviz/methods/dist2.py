"""Dist2: imitate the teacher's maps so well that the teacher itself detects with them.

Guo, Li, Liu, Luo, Wang, Dist2 (distribution-guided distillation for object detection), a poster of
Alibaba DAMO. Neither paper nor code was ever published, so this is a reading of the poster. It
observes that a student whose maps have come close to the teacher's can still be useless to it: put
into the teacher's head, they give wrong boxes. Dist2 therefore sends the student's maps through the
rest of the frozen teacher and trains on what comes out.

Two terms for each imitation strategy X2Y, which goes from place X of the student to place Y of the
teacher, B being the backbone (C-levels) and N the neck (P-levels):

- FI, feature imitation: the transformed student map equals the teacher's map (`feature_loss`);
- DI, distribution imitation: with the transformed map in the place of its own, the teacher detects
  the ground truth (`detection_loss`).

::

    student   image -> backbone B -> neck N -> head -> its own detection loss
                          |            |
                        f_trans      f_trans             trained, dropped at inference
                          v            v
    teacher   image -> backbone B -> neck N -> head -> detection loss on the ground truth = DI
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kdviz.checks import check_same_shape
from kdviz.detectors.parts import DetectorParts, Pass, name_maps
from kdviz.methods.adapters import ConvAdapter, LevelPair, in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.crosskd import align_scale
from kdviz.methods.slots import best_of_cells, slot_scores
from kdviz.structures import Batch, HeadOutput, LevelInfo, Pyramid

Strategy = Literal["b2b", "b2n", "n2n", "n2b"]
Place = Literal["b", "n"]

# --- where ----------------------------------------------------------------------------------------

PLACES: dict[Strategy, tuple[Place, Place]] = {
    "b2b": ("b", "b"),
    "b2n": ("b", "n"),
    "n2n": ("n", "n"),
    "n2b": ("n", "b"),
}
"""Source in the student and target in the teacher; all four together are All2All."""


def levels_at(parts: DetectorParts, place: Place) -> tuple[LevelInfo, ...]:
    """C-levels of the backbone or P-levels of the neck."""
    return parts.trunk_levels if place == "b" else parts.levels


def maps_at(seen: Pass, place: Place) -> Pyramid:
    """Maps of the backbone or of the neck."""
    return seen.trunk if place == "b" else seen.features


def imitated_levels(
    strategy: Strategy, *, student: DetectorParts, teacher: DetectorParts, di: bool = True
) -> tuple[LevelPair, ...]:
    """Which level of the student stands for which level of the teacher, matched by stride.

    With DI the student must fill every level that the rest of the teacher reads. The neck's coarse
    levels that have no C-level (P6 and P7, or the pooled P6 of Faster R-CNN) are the exception:
    where the student lacks one, as in B2N it always does, all of them are computed by the teacher's
    own layers (`fill_neck`) and imitated by neither term.

    Args:
        strategy: from where to where.
        student: the detector that learns.
        teacher: the frozen detector.
        di: whether the maps will be sent through the teacher.

    Raises:
        ValueError: no stride is shared, or with DI a level stays empty; names both lists.
    """
    source, target = PLACES[strategy]
    wanted = levels_at(teacher, target)
    pairs = match_levels(student=levels_at(student, source), teacher=wanted)
    if not di or len(pairs) == len(wanted):
        return pairs
    # Without the blocks that fill it, the neck has to come from the student whole.
    required = wanted if target == "b" or extra_blocks(teacher) is None else teacher.trunk_levels
    strides = {level.stride for level in required}
    pairs = tuple(pair for pair in pairs if pair[1].stride in strides)
    if len(pairs) < len(strides):
        raise ValueError(
            f"{strategy} sends the student's levels of strides "
            f"{[level.stride for level in levels_at(student, source)]} through the teacher, which "
            f"reads strides {sorted(strides)} there; take another strategy, a student with these "
            "strides, or di=False"
        )
    return pairs


# --- adapt ----------------------------------------------------------------------------------------


def extra_blocks(teacher: DetectorParts) -> Any:
    """The layers that make the neck's coarse levels (``LastLevelP6P7``, ``LastLevelMaxPool``)."""
    model: Any = teacher.model
    return getattr(getattr(getattr(model, "backbone", None), "fpn", None), "extra_blocks", None)


def reads_trunk(teacher: DetectorParts) -> bool:
    """Whether P6 is made from C5, as in torchvision's RetinaNet v2, instead of from P5."""
    return not getattr(extra_blocks(teacher), "use_P5", True)


def fill_neck(maps: Pyramid, teacher: DetectorParts, trunk: Tensor | None = None) -> Pyramid:
    """A whole neck of the teacher from maps that stop at its coarsest C-level.

    Args:
        maps: one for each stride of the teacher's trunk, in the teacher's channels.
        teacher: its own layers make the missing levels.
        trunk: stands for the teacher's coarsest C-level, if ``reads_trunk``.

    Returns:
        Every level of ``teacher.levels``.
    """
    coarsest = maps.maps[-1] if trunk is None else trunk
    # torchvision's blocks append to the lists they are given.
    filled, _ = extra_blocks(teacher)(maps.maps, [coarsest], [x.name for x in maps.levels])
    return name_maps(filled, teacher.levels)


class FTrans(nn.Module):
    """f_trans of one strategy: a convolution per level, then the teacher's neck where needed.

    Args:
        strategy: from where to where.
        student: the detector that learns.
        teacher: the frozen detector; nothing of it is kept but shapes.
        di: whether the maps will be sent through the teacher.
        kernel_size: odd, cells.
        align: bring each channel to the teacher's mean and deviation after the convolution.
    """

    def __init__(
        self,
        strategy: Strategy,
        student: DetectorParts,
        teacher: DetectorParts,
        *,
        di: bool,
        kernel_size: int,
        align: bool,
    ) -> None:
        super().__init__()
        self.source, self.target = PLACES[strategy]
        self.align = align
        pairs = imitated_levels(strategy, student=student, teacher=teacher, di=di)
        self.levels = tuple(taught for _, taught in pairs)
        self.conv = ConvAdapter(pairs, kernel_size=kernel_size)
        self.has_gaps = di and len(pairs) < len(levels_at(teacher, self.target))
        self.trunk_conv: ConvAdapter | None = None
        if self.has_gaps and reads_trunk(teacher):
            coarsest = (pairs[-1][0], teacher.trunk_levels[-1])
            self.trunk_conv = ConvAdapter([coarsest], kernel_size=kernel_size)

    def forward(self, student: Pass, teacher: Pass) -> Pyramid:
        """The student's maps in the teacher's channels, under the teacher's level names.

        They stand at the strategy's target, for FI to compare and for DI to send on.
        """
        imitated = name_maps(self.conv(maps_at(student, self.source)).maps, self.levels)
        if not self.align:
            return imitated  # DI alone then never runs the teacher on its own maps
        own = maps_at(teacher, self.target)
        return imitated.with_maps(
            [align_scale(student=x.map, teacher=own.at(x.stride).map) for x in imitated.levels]
        )

    def neck(self, maps: Pyramid, student: Pass, teacher: Pass) -> Pyramid:
        """All levels that the teacher's head reads, made from what ``forward`` returned."""
        if self.target == "b":
            return teacher.parts.neck(maps)
        if not self.has_gaps:
            return maps
        trunk = None
        if self.trunk_conv is not None:
            trunk = self.trunk_conv(maps_at(student, self.source)).maps[-1]
        return fill_neck(maps, teacher.parts, trunk)


# --- loss -----------------------------------------------------------------------------------------


def feature_error(*, student: Tensor, teacher: Tensor) -> Tensor:
    """Squared error of each cell, averaged over channels: (N, 1, H, W), >= 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    error = in_full_precision(student) - in_full_precision(teacher)
    return error.square().mean(dim=1, keepdim=True)


def feature_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    r"""FI: mean squared error of one level.

    .. math:: L_{feat} = \frac{1}{K} \lVert f_{trans}(feat^S) - feat^T \rVert_2^2

    The poster leaves K open. Here it is the number of elements, N * C * H * W, so the loss depends
    neither on the size of the images nor on the number of channels.

    Args:
        student: transformed student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the shapes differ.
    """
    return feature_error(student=student, teacher=teacher).mean()


def detection_loss(output: HeadOutput, teacher: Pass) -> Tensor:
    r"""DI: the teacher's own detection loss on what it made of the student's maps.

    .. math:: L_{det} = L_{cls}(P, P_{gt}) + L_{reg}(t, t_{gt})

    The targets are the ground truth, as in the poster, and not the teacher's own detections, as in
    CrossKD. All losses of the family count once: focal, GIoU and centre-ness of FCOS, focal and L1
    of RetinaNet, the four of Faster R-CNN. The teacher assigns the targets to its own anchors; of
    the student's head nothing is involved.

    Args:
        output: of the teacher's head on transformed maps, has gradient.
        teacher: whose parts and batch they are.

    Returns:
        Scalar >= 0.
    """
    losses = teacher.parts.losses(output, teacher.batch).values()
    return sum((in_full_precision(loss) for loss in losses), start=output.logits.new_zeros(()))


# --- the method -----------------------------------------------------------------------------------


class Dist2(Method):
    r"""Imitation strategies from the student's backbone or neck to the teacher's.

    .. math:: L = L_{det}(student) + \lambda_{FI} \sum_{is} \sum_l L_{feat}
        + \lambda_{DI} \sum_{is} L_{det}(teacher \circ f_{trans}(student))

    What DI puts into the teacher is the tensor that FI compares, f_trans of the student's map,
    since the teacher reads its own number of channels.

    The gradient of DI passes through the frozen teacher; the teacher itself has none. Each strategy
    holds the graph of one more pass of the teacher's head (two with the neck for X2B).

    Args:
        student: the detector that learns.
        teacher: the frozen detector, in eval mode: its BatchNorm keeps its statistics, and its
            GroupNorm has none.
        strategies: one or several of ``"b2b"``, ``"b2n"``, ``"n2n"``, ``"n2b"``, or ``"all2all"``.
        di: distribution imitation. Alone, it lets the student find maps of its own that serve.
        fi: feature imitation. Alone with n2n, it is the poster's baseline "Hint"; its rows "+DI"
            are read as both terms together.
        kernel_size: of f_trans, odd, cells. The poster does not say; a 1x1 convolution without norm
            or activation is the least that changes the number of channels.
        align: bring each channel of f_trans(student) to the mean and deviation of the teacher's
            map, as CrossKD does. Not in the poster.

    Raises:
        ValueError: nothing to do, an unknown strategy, levels that do not fit, or with DI detectors
            of different classes.
    """

    weights: Mapping[str, TermWeight] = {
        "dist2_di": TermWeight(1.0, ramp=500),
        "dist2_fi": TermWeight(0.05),
    }
    """The poster gives no weights. DI is in the units of the student's own detection loss, so it
    counts as much; it rises over 500 steps, since maps of an untrained f_trans give the teacher
    nothing to detect and the student large, meaningless gradients. The squared error of maps of a
    pyramid starts at 5 to 50: FI at 0.05 is then of the size of the detection loss. Several
    strategies share these weights, so that their sum weighs no more than one alone."""

    def __init__(
        self,
        student: DetectorParts,
        teacher: DetectorParts,
        strategies: Sequence[Strategy] | Strategy | Literal["all2all"] = "n2n",
        di: bool = True,
        fi: bool = True,
        kernel_size: int = 1,
        align: bool = False,
    ) -> None:
        super().__init__()
        named = [strategies] if isinstance(strategies, str) else strategies
        chosen = [x for x in PLACES if x in named or "all2all" in named]
        if unknown := [x for x in named if x not in PLACES and x != "all2all"]:
            raise ValueError(f"unknown strategies {unknown}; there are {', '.join(PLACES)}")
        if not chosen or not (di or fi):
            raise ValueError(
                f"nothing to imitate: strategies {chosen}, di {di}, fi {fi}; "
                "name a strategy and keep one of di and fi"
            )
        if di and student.num_classes != teacher.num_classes:
            raise ValueError(
                f"DI trains on the detections of the teacher, but it knows {teacher.num_classes} "
                f"classes and the student {student.num_classes} (background counted); take a "
                "teacher trained on the student's classes, or di=False"
            )
        self.di, self.fi = di, fi
        self.weights = {
            term: replace(self.weights[term], value=self.weights[term].value / len(chosen))
            for term, wanted in (("dist2_di", di), ("dist2_fi", fi))
            if wanted
        }
        self.transforms: Any = nn.ModuleDict(
            {
                strategy: FTrans(
                    strategy, student, teacher, di=di, kernel_size=kernel_size, align=align
                )
                for strategy in chosen
            }
        )

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses and maps of this batch.

        Losses ``dist2_di/<strategy>`` and ``dist2_fi/<strategy>/<level of the teacher>``. Maps
        ``error/<strategy>``, the squared error of each cell, and with DI ``score/<strategy>``, the
        best score of each cell when the teacher detects with the student's maps, in [0, 1] (for
        Faster R-CNN that of its first stage).
        """
        losses: dict[str, Tensor] = {}
        maps: dict[str, Pyramid] = {}
        for strategy, transform in self.transforms.items():
            imitated = transform(student, teacher)
            if self.fi:
                own = maps_at(teacher, transform.target)
                error = imitated.with_maps(
                    [
                        feature_error(student=x.map, teacher=own.at(x.stride).map)
                        for x in imitated.levels
                    ]
                )
                maps[f"error/{strategy}"] = error.apply(Tensor.detach)
                for level in error.levels:
                    losses[f"dist2_fi/{strategy}/{level.name}"] = level.map.mean()
            if self.di:
                neck = transform.neck(imitated, student, teacher)
                output = teacher.parts.head(neck, teacher.batch)
                losses[f"dist2_di/{strategy}"] = detection_loss(output, teacher)
                with torch.no_grad():
                    scores = slot_scores(output).amax(dim=2)
                maps[f"score/{strategy}"] = best_of_cells(scores, output, neck)
        return Distillation(losses, maps)

    def cross_outputs(self, student: Pass, teacher: Pass) -> dict[str, HeadOutput]:
        """What the teacher's head says of the student's maps, for each strategy.

        Give one to ``teacher.parts.detections`` to see the boxes that DI trains.
        """
        outputs: dict[str, HeadOutput] = {}
        for strategy, transform in self.transforms.items():
            neck = transform.neck(transform(student, teacher), student, teacher)
            outputs[strategy] = teacher.parts.head(neck, teacher.batch)
        return outputs
