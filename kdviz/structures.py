"""The nouns every other module speaks: a batch, a pyramid of maps, a head's output, a detection.

Shape letters are fixed for the whole package: N images of a batch, C channels, H x W size of a
map, L pyramid levels, A anchors of one cell, K classes, P prediction slots of one image (anchors,
points or proposals), G ground-truth boxes of one image. Boxes are ``xyxy`` in pixels of the network
input unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

Target = dict[str, Tensor]
"""Ground truth of one image: ``boxes`` (G, 4) xyxy, ``labels`` (G,) from 1, ``image_id`` scalar."""


@dataclass(frozen=True)
class Batch:
    """What one detector sees in one step.

    Attributes:
        images: normalised and padded, (N, 3, H, W).
        sizes: (height, width) of each image inside the padding, network pixels.
        original_sizes: (height, width) of each image as it was given.
        targets: one per image, boxes in network pixels; None at inference.
    """

    images: Tensor
    sizes: tuple[tuple[int, int], ...]
    original_sizes: tuple[tuple[int, int], ...]
    targets: tuple[Target, ...] | None = None


@dataclass(frozen=True)
class Level:
    """One map of a pyramid.

    Attributes:
        name: ``c3`` (trunk) or ``p3`` (neck): the letter, then log2 of the stride.
        stride: input pixels from one cell to the next.
        map: (N, C, H, W).
    """

    name: str
    stride: int
    map: Tensor


@dataclass(frozen=True)
class Pyramid:
    """Maps of one detector, or maps drawn over it, finest stride first."""

    levels: tuple[Level, ...]

    @property
    def maps(self) -> list[Tensor]:
        """The maps alone, finest first."""
        return [level.map for level in self.levels]

    @property
    def strides(self) -> list[int]:
        """The strides alone, finest first."""
        return [level.stride for level in self.levels]

    def at(self, stride: int) -> Level:
        """The level of this stride.

        Raises:
            KeyError: the pyramid has no such level; the message lists its strides.
        """
        for level in self.levels:
            if level.stride == stride:
                return level
        raise KeyError(f"no level of stride {stride}; this pyramid has strides {self.strides}")

    def with_maps(self, maps: Sequence[Tensor]) -> Pyramid:
        """The same levels carrying other maps, in the same order."""
        return Pyramid(
            tuple(
                Level(level.name, level.stride, values)
                for level, values in zip(self.levels, maps, strict=True)
            )
        )

    def apply(self, function: Callable[[Tensor], Tensor]) -> Pyramid:
        """The same levels with ``function`` applied to each map."""
        return self.with_maps([function(values) for values in self.maps])


@dataclass(frozen=True)
class LevelInfo:
    """What is known of a level before any image is seen: its name, stride and channels."""

    name: str
    stride: int
    channels: int


@dataclass(frozen=True)
class HeadOutput:
    """What a head says before any threshold, for all prediction slots of all levels.

    Slots run level by level, finest first, and row-major (h, w, a) inside a level.

    Attributes:
        logits: class logits, (N, P, K), before the activation.
        boxes: box regression in the head's own coding, (N, P, 4).
        slots: number of slots of each level, sums to P.
        score: the activation that turns ``logits`` into scores.
        background: column of ``logits`` that means "no object"; None for sigmoid heads.
        extras: what else the family's head returns; the adapter documents the keys.
    """

    logits: Tensor
    boxes: Tensor
    slots: tuple[int, ...]
    score: Literal["sigmoid", "softmax"]
    background: int | None = None
    extras: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Detection:
    """Final boxes of one image.

    Attributes:
        boxes: (n, 4) xyxy in pixels of the original image.
        scores: (n,) in [0, 1], falling.
        labels: (n,) from 1.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
