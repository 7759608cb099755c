"""Resize, normalise and pad a whole batch where it lies, without a look at the device.

torchvision's transform takes image by image and asks the device for new constants each time, at
which a GPU is emptied. Here images of one size go through together, constants are copied once, and
what is computed from sizes alone stays on the host. The pixels are the same, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from kdviz.detectors.assembly import TorchvisionParts, as_float
from kdviz.detectors.parts import DetectorParts
from kdviz.structures import Batch, Target

Size = tuple[int, int]
"""Height and width, pixels."""

Preprocess = Callable[[Sequence[Tensor], Sequence[Target]], Batch]
"""Makes a batch of images, float in [0, 1] or uint8, and their targets."""


def batched_preprocess(parts: DetectorParts) -> Preprocess:
    """``parts.preprocess`` for a whole batch at once; itself where its transform is its own.

    Targets are believed, since a look at them would make a GPU wait: call
    `kdviz.detectors.assembly.check_targets` while they are on the host.
    """
    transform: Any = getattr(parts.model, "transform", None)
    plain = type(transform) is GeneralizedRCNNTransform and not transform._skip_resize
    if not isinstance(parts, TorchvisionParts) or not plain:
        return parts.preprocess
    return lambda images, targets: _preprocess(transform, images, targets)


def _preprocess(transform: Any, images: Sequence[Tensor], targets: Sequence[Target]) -> Batch:
    before = [_size_of(image) for image in images]
    shorter = _shorter_sides(transform, len(images))
    after = [_resized(size, side, transform) for size, side in zip(before, shorter, strict=True)]
    return Batch(
        images=_pixels(images, after, transform),
        sizes=tuple(after),
        original_sizes=tuple(before),
        targets=tuple(_scaled(targets, before, after)),
    )


def _size_of(image: Tensor) -> Size:
    return image.shape[-2], image.shape[-1]


def _shorter_sides(transform: Any, count: int) -> list[int]:
    """Length that each image's shorter side is brought to, by the random numbers of torchvision."""
    lengths = transform.min_size
    if transform.training:
        drawn = torch.empty(count).uniform_(0.0, float(len(lengths)))
        if len(lengths) > 1:
            return [lengths[int(place)] for place in drawn.tolist()]
    return [lengths[-1]] * count


def _resized(size: Size, shorter: int, transform: Any) -> Size:
    if transform.fixed_size is not None:
        return transform.fixed_size[1], transform.fixed_size[0]
    scale = min(shorter / min(size), transform.max_size / max(size))
    return math.floor(size[0] * scale), math.floor(size[1] * scale)


def _pixels(images: Sequence[Tensor], sizes: Sequence[Size], transform: Any) -> Tensor:
    """Normalised, resized and padded images, (N, 3, H, W)."""
    multiple = transform.size_divisible
    height, width = (
        math.ceil(max(side) / multiple) * multiple for side in zip(*sizes, strict=True)
    )
    alike: dict[tuple[torch.Size, Size], list[int]] = {}
    for place, (image, size) in enumerate(zip(images, sizes, strict=True)):
        alike.setdefault((image.shape, size), []).append(place)
    canvas: Tensor | None = None
    for (_, size), places in alike.items():
        pixels = as_float(torch.stack([images[place] for place in places]))
        mean, std = (
            _constant(tuple(values), pixels.dtype, pixels.device)
            for values in (transform.image_mean, transform.image_std)
        )
        pixels = (pixels - mean) / std
        if pixels.shape[-2:] != size:
            pixels = functional.interpolate(pixels, size, mode="bilinear", align_corners=False)
        if len(alike) == 1 and size == (height, width):
            return pixels
        if canvas is None:
            canvas = pixels.new_zeros(len(images), pixels.shape[1], height, width)
        for place, image in zip(places, pixels, strict=True):
            canvas[place, :, : size[0], : size[1]] = image
    assert canvas is not None  # there is an image
    return canvas


@lru_cache(maxsize=16)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)[:, None, None]


def _scaled(
    targets: Sequence[Target], before: Sequence[Size], after: Sequence[Size]
) -> list[Target]:
    """Targets with their boxes in pixels of the resized images."""
    boxes = torch.cat([target["boxes"] for target in targets])
    counts = [len(target["boxes"]) for target in targets]
    ratio = torch.tensor(after, dtype=torch.float32) / torch.tensor(before, dtype=torch.float32)
    ratio = ratio[:, [1, 0, 1, 0]].repeat_interleave(
        torch.tensor(counts), dim=0, output_size=len(boxes)
    )
    if boxes.is_cuda:  # only from page-locked memory does a copy not make the host wait
        ratio = ratio.pin_memory().to(boxes.device, non_blocking=True)
    scaled = (boxes * ratio).split(counts)
    return [{**target, "boxes": own} for target, own in zip(targets, scaled, strict=True)]
