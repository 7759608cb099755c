"""Images made harder on purpose: the same objects, with one thing changed."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional


def blurred(image: Tensor, sigma: float) -> Tensor:
    """The image out of focus.

    Args:
        image: (3, h, w) in [0, 1].
        sigma: standard deviation of the Gaussian, pixels, >= 0.
    """
    if sigma == 0:
        return image
    # The filter must stay smaller than the image that it is mirrored into.
    side = min(2 * math.ceil(3 * sigma) + 1, 2 * min(image.shape[-2:]) - 1)
    return functional.gaussian_blur(image, side, sigma)


def covered(image: Tensor, boxes: Tensor, share: float) -> Tensor:
    """The image with an upright bar over the middle of every box, in the image's mean colour.

    Args:
        image: (3, h, w) in [0, 1].
        boxes: (G, 4), xyxy in pixels of the image.
        share: width of the bar as a share of the box, [0, 1].
    """
    bars = boxes.clone()
    centre, half = (boxes[:, 0] + boxes[:, 2]) / 2, share * (boxes[:, 2] - boxes[:, 0]) / 2
    bars[:, 0], bars[:, 2] = centre - half, centre + half
    hidden = torch.zeros(image.shape[-2:], dtype=torch.bool, device=image.device)
    for left, top, right, bottom in bars.round().int().tolist():
        hidden[top:bottom, left:right] = True
    return torch.where(hidden, image.mean(dim=(1, 2), keepdim=True), image)


def faded(image: Tensor, contrast: float) -> Tensor:
    """The image with its colours drawn towards their mean.

    Args:
        image: (3, h, w) in [0, 1].
        contrast: what is left of it, [0, 1].
    """
    mean = image.mean(dim=(1, 2), keepdim=True)
    return mean + contrast * (image - mean)
