"""Adapt: class logits of two heads, laid out alike so that they can be compared one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts, Pass, in_eval, logit_maps
from kdviz.structures import Batch, HeadOutput, Level, Pyramid

Score = Literal["sigmoid", "softmax"]


@dataclass(frozen=True)
class ClassMaps:
    """What a detector says of every cell before any box is chosen.

    Attributes:
        logits: (N, A*K, H, W) per level, channel a*K + k; A may differ from level to level.
        score: what turns them into probabilities.
        classes: K.
        background: column of a softmax that means "no object".
    """

    logits: Pyramid
    score: Score
    classes: int
    background: int


def class_maps(output: HeadOutput, features: Pyramid) -> ClassMaps:
    """Class logits of a head as maps; of a two-stage detector the objectness of its first stage."""
    return ClassMaps(
        logits=features.with_maps(logit_maps(output, features)),
        score=output.score,
        classes=output.logits.shape[-1],
        background=output.background or 0,
    )


def dense_output(seen: Pass) -> HeadOutput:
    """What the head says on the grid; a two-stage detector stops before it scores proposals.

    A teacher is asked through this: the second stage would cost time and draw random numbers for
    logits that nobody reads.
    """
    if not isinstance(seen.parts, FasterRCNNParts):
        return seen.output
    none = [seen.batch.images.new_zeros(0, 4)] * len(seen.batch.images)
    unlabelled = replace(seen.batch, targets=None)
    return seen.parts.head(seen.features, unlabelled, proposals=none)


def check_heads(*, student: DetectorParts, teacher: DetectorParts, strides: Sequence[int]) -> None:
    """Refuse a pair whose class logits do not stand for the same things, one by one.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        strides: of the levels to be compared.

    Raises:
        ValueError: activation, classes or anchors differ; names both heads.
    """
    ours, theirs = _layout(student, strides), _layout(teacher, strides)
    if ours != theirs:
        raise ValueError(
            f"class logits are compared one by one, but the student's head gives {ours} and the "
            f"teacher's {theirs}; pair heads of one kind, or leave the class term out"
        )


@torch.no_grad()
def _layout(parts: DetectorParts, strides: Sequence[int]) -> str:
    """Activation, classes and anchors of a head, read off its answer to maps of four cells."""
    weight = next(parts.model.parameters())
    blank = Batch(weight.new_zeros(1, 3, 64, 64), ((64, 64),), ((64, 64),))
    seen = Pass(parts, blank)
    seen.features = Pyramid(
        tuple(Level(x.name, x.stride, weight.new_zeros(1, x.channels, 2, 2)) for x in parts.levels)
    )
    with in_eval(parts.model):
        maps = class_maps(dense_output(seen), seen.features)
    anchors = [maps.logits.at(stride).map.shape[1] // maps.classes for stride in strides]
    return (
        f"{maps.score} over {maps.classes} classes x {anchors} anchors at strides {list(strides)}"
    )
