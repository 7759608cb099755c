"""Augmentation presets of torchvision's detection references, by name."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from kdviz.structures import Target

Preset = Literal["none", "flip", "flip-jitter", "ssd", "multiscale"]

_PER_BOX = ("labels", "iscrowd", "area", "annotation_ids")
_MEAN_COLOUR = (123.0, 117.0, 104.0)  # ImageNet's mean, 0 to 255: what SSD pads with


def train_preset(name: Preset, size: int = 800) -> v2.Compose:
    """The training transform of (image, target), uint8 image in, uint8 image out.

    Every preset first drops crowd boxes and last clips boxes to the image and removes those under
    one pixel; ``labels``, ``iscrowd``, ``area`` and ``annotation_ids`` follow the boxes that stay.
    ``area`` remains that of the annotation, in pixels of the file; ``flipped`` says whether the
    image was mirrored.

    ``none`` augments nothing; ``flip`` mirrors half of the images; ``flip-jitter`` adds brightness,
    contrast, saturation and hue; ``ssd`` adds zooming out and crops that keep an overlap with some
    object; ``multiscale`` mirrors and draws the short side from eleven values between
    0.6 ``size`` and ``size``.

    Args:
        name: one of the five above.
        size: largest short side of ``multiscale``, pixels; the long side stays below 5/3 of it.
            A detector that resizes to a fixed size itself undoes this preset.

    Raises:
        ValueError: there is no such preset.

    Reference: Liu et al., SSD, ECCV 2016, arXiv:1512.02325 (crops, zoom-out, photometric).
    """
    augmentations = {
        "none": [],
        "flip": [_flip],
        "flip-jitter": [v2.RandomPhotometricDistort(), _flip],
        "ssd": [
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(fill=list(_MEAN_COLOUR)),
            v2.RandomIoUCrop(),
            _flip,
        ],
        "multiscale": [
            _flip,
            v2.RandomShortestSize([size * k // 25 for k in range(15, 26)], max_size=size * 5 // 3),
        ],
    }
    if name not in augmentations:
        raise ValueError(f"no augmentation {name!r}; there are {', '.join(get_args(Preset))}")
    return v2.Compose(
        [
            _drop_crowd,
            *augmentations[name],
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(labels_getter=_per_box),
        ]
    )


def eval_preset() -> v2.Compose:
    """The transform of evaluation: every image and every box as they are, crowds included."""
    return v2.Compose([v2.Identity()])


def drop_crowd(target: Target) -> Target:
    """A target without its crowd boxes, which mark regions and not objects."""
    kept = target["iscrowd"] == 0
    boxes = target["boxes"]
    short = {key: target[key][kept] for key in ("boxes", *_PER_BOX)}
    if isinstance(boxes, tv_tensors.BoundingBoxes):
        short["boxes"] = tv_tensors.wrap(short["boxes"], like=boxes)
    return {**target, **short}


def mirror(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    """Image and boxes mirrored left to right, and ``flipped`` set."""
    boxes = v2.functional.horizontal_flip(target["boxes"])
    mirrored = {**target, "boxes": boxes, "flipped": torch.tensor(True)}
    return v2.functional.horizontal_flip(image), mirrored


def _flip(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    if torch.rand(()) < 0.5:
        return mirror(image, target)
    return image, {**target, "flipped": torch.tensor(False)}


def _drop_crowd(image: Tensor, target: Target) -> tuple[Tensor, Target]:
    return image, drop_crowd(target)


def _per_box(sample: tuple[Tensor, Target]) -> tuple[Tensor, ...]:
    return tuple(sample[1][key] for key in _PER_BOX)
