"""A detector seen in parts: five verbs round an unmodified model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from kdviz.structures import Batch, Detection, HeadOutput, Level, LevelInfo, Pyramid, Target


@dataclass(frozen=True)
class InputFormat:
    """How a detector wants its images, so that a pair can be compared before training.

    Two detectors may share one batch only if ``mean``, ``std`` and ``size_divisible`` agree.

    Attributes:
        mean: subtracted from each colour channel of an image in [0, 1].
        std: each colour channel is then divided by it.
        min_size: lengths in pixels that the shorter side is brought to; training draws one of them.
        max_size: length in pixels that the longer side may not pass.
        size_divisible: the padded height and width are multiples of it.
        fixed_size: (width, height) that every image is stretched to, as SSD does; then
            ``min_size`` and ``max_size`` say nothing.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_size: tuple[int, ...]
    max_size: int
    size_divisible: int
    fixed_size: tuple[int, int] | None = None


class DetectorParts(ABC):
    """An adapter that lets backbone, neck and head of a detector be called apart.

    By contract ``losses(head(features(b), b), b)`` with ``b = preprocess(images, targets)`` is
    bit-equal to ``model.train()(images, targets)``, and ``detections(head(features(b), b), b)`` to
    ``model.eval()(images)``. The model itself is never changed, so its ``state_dict`` stays that of
    torchvision. Nothing here is an ``nn.Module``: a teacher held by its parts can never be woken by
    a parent's ``train()``.

    Attributes:
        model: the wrapped detector.
        num_classes: length of the class axis as torchvision counts it: the foreground classes + 1.
            Column 0 is background (softmax families) or never a target (sigmoid families).
        input_format: what ``preprocess`` makes of an image; None where the adapter cannot know.
        loaded_tensors: (tensors read from weights, tensors of the model); None if nobody counted.
    """

    model: nn.Module
    num_classes: int
    input_format: InputFormat | None = None
    loaded_tensors: tuple[int, int] | None = None

    @abstractmethod
    def preprocess(
        self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Batch:
        """Resize, normalise and pad ``images`` (each (3, h, w) in [0, 1]); boxes follow."""

    @abstractmethod
    def trunk(self, batch: Batch) -> Pyramid:
        """Backbone maps before the neck (C-levels)."""

    @abstractmethod
    def neck(self, trunk: Pyramid) -> Pyramid:
        """Pyramid that the head reads (P-levels), from this or another detector's trunk maps."""

    def features(self, batch: Batch) -> Pyramid:
        """``neck(trunk(batch))``."""
        return self.neck(self.trunk(batch))

    @abstractmethod
    def head(self, features: Pyramid, batch: Batch) -> HeadOutput:
        """Head on a pyramid, which may come from another detector (matched by stride)."""

    @abstractmethod
    def losses(self, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
        """The detector's own training losses on ``batch.targets``, in train and in eval mode."""

    @abstractmethod
    def detections(self, output: HeadOutput, batch: Batch) -> list[Detection]:
        """Boxes after score threshold and NMS, in original pixels."""

    @cached_property
    def trunk_levels(self) -> tuple[LevelInfo, ...]:
        """Names, strides and channels of ``trunk``, known before any image is seen."""
        return self._probed[0]

    @cached_property
    def levels(self) -> tuple[LevelInfo, ...]:
        """Names, strides and channels of ``features``, known before any image is seen."""
        return self._probed[1]

    @cached_property
    def _probed(self) -> tuple[tuple[LevelInfo, ...], tuple[LevelInfo, ...]]:
        return self._probe()

    def _probe(self) -> tuple[tuple[LevelInfo, ...], tuple[LevelInfo, ...]]:
        device = next(self.model.parameters()).device
        with in_eval(self.model), torch.no_grad():
            # 256 px is the least at which a level of stride 128 still has more than one cell.
            batch = self.preprocess([torch.zeros(3, 256, 256, device=device)])
            trunk = self.trunk(batch)
            features = self.neck(trunk)
        return _infos(trunk), _infos(features)


@runtime_checkable
class HasAnchors(Protocol):
    """Ability of detectors with prior boxes: RetinaNet, SSD, Faster R-CNN (of its RPN)."""

    def anchors(self, features: Pyramid, batch: Batch) -> list[Tensor]:
        """Prior boxes of each level, (H, W, A, 4) xyxy in network pixels."""
        ...


class Pass:
    """What one detector does to one batch; a method receives the student's and the teacher's.

    Each part runs once, when it is first asked for: a method that only reads features never pays
    for the teacher's head. A frozen teacher builds no graph, as none of its inputs has gradient.

    Attributes:
        parts: the detector.
        batch: what it sees.
    """

    def __init__(self, parts: DetectorParts, batch: Batch) -> None:
        self.parts = parts
        self.batch = batch

    @cached_property
    def trunk(self) -> Pyramid:
        """Backbone maps (C-levels)."""
        return self.parts.trunk(self.batch)

    @cached_property
    def features(self) -> Pyramid:
        """Maps the head reads (P-levels)."""
        return self.parts.neck(self.trunk)

    @cached_property
    def output(self) -> HeadOutput:
        """The head's output on its own features."""
        return self.parts.head(self.features, self.batch)


def freeze(parts: DetectorParts) -> DetectorParts:
    """Put a teacher in eval mode and take its parameters out of every gradient."""
    parts.model.eval().requires_grad_(False)
    return parts


@contextmanager
def in_eval(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block, afterwards each module's own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def logit_maps(output: HeadOutput, features: Pyramid) -> list[Tensor]:
    """Class logits as one map per level, (N, A*K, H, W), channel a*K + k."""
    maps = []
    for logits, values in zip(output.logits.split(output.slots, dim=1), features.maps, strict=True):
        height, width = values.shape[-2:]
        cells = logits.reshape(len(logits), height, width, -1)  # slots are row-major (h, w, a)
        maps.append(cells.permute(0, 3, 1, 2))
    return maps


def select_maps(pyramid: Pyramid, levels: Sequence[LevelInfo], *, reader: str) -> list[Tensor]:
    """The maps of ``levels`` out of a pyramid that may belong to another detector.

    Levels are found by stride, since names and positions differ between families; levels that
    nobody asked for are left out.

    Args:
        pyramid: maps of any detector.
        levels: what is wanted, in this order.
        reader: who wants it, for the message: ``"head"`` or ``"neck"``.

    Raises:
        ValueError: a stride is missing, or a map has another number of channels.
    """
    wanted = [level.stride for level in levels]
    missing = [stride for stride in wanted if stride not in pyramid.strides]
    if missing:
        raise ValueError(
            f"this {reader} reads levels of strides {wanted}, but the pyramid has strides "
            f"{pyramid.strides}: {missing} are missing"
        )
    maps = []
    for level in levels:
        found = pyramid.at(level.stride)
        if found.map.shape[1] != level.channels:
            raise ValueError(
                f"adapt the channels first: level {found.name} has {found.map.shape[1]} channels, "
                f"this {reader} reads {level.channels}"
            )
        maps.append(found.map)
    return maps


def name_maps(maps: Sequence[Tensor], levels: Sequence[LevelInfo]) -> Pyramid:
    """A pyramid of these maps under the names and strides of ``levels``."""
    return Pyramid(
        tuple(Level(x.name, x.stride, values) for x, values in zip(levels, maps, strict=True))
    )


def _infos(pyramid: Pyramid) -> tuple[LevelInfo, ...]:
    return tuple(LevelInfo(x.name, x.stride, x.map.shape[1]) for x in pyramid.levels)
