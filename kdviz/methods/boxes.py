"""Boxes on the levels of a pyramid: whose image and level they are, and the cells they cover."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kdviz.structures import Batch


def boxes_of_batch(batch: Batch) -> tuple[Tensor, Tensor]:
    """Ground-truth boxes of all images, (G, 4), and which image each is on, int64 (G,).

    Raises:
        ValueError: the batch has no targets.
    """
    if batch.targets is None:
        raise ValueError("a mask needs targets: make the batch with preprocess(images, targets)")
    boxes = [target["boxes"] for target in batch.targets]
    images = [of_one_image(own) + number for number, own in enumerate(boxes)]
    return torch.cat(boxes), torch.cat(images)


def of_one_image(boxes: Tensor) -> Tensor:
    """What `boxes_of_batch` says of the boxes where the first image is all there is."""
    return torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)


def one_hot(image: Tensor, count: int) -> Tensor:
    """1 where a box is on an image, (N, G)."""
    return (image == torch.arange(count, device=image.device)[:, None]).float()


def levels_by_scale(boxes: Tensor, strides: list[int]) -> Tensor:
    r"""Level of each box by its size, as in DeFeat's port of FGFI to pyramids.

    The paper's own rule was never released. Boxes up to 112 px go to the level of stride 4, each
    octave above to the next; with strides from 8 all sizes double:

    .. math:: l = \Big\lfloor \log_2 \frac{\sqrt{w h}}{14 s_0} \Big\rfloor,
        \quad \text{clamped to the levels there are}

    Args:
        boxes: (G, 4), xyxy in network pixels.
        strides: of the levels, finest first, each twice the one before.

    Returns:
        int64 (G,), index into ``strides``.
    """
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(dim=1)
    octave = (torch.sqrt(width * height) / (14 * strides[0]) + 1e-6).log2().floor()
    return octave.clamp(0, len(strides) - 1).long()


def boxes_by_level(
    boxes: Tensor, image: Tensor, owner: Tensor, strides: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each level `boxes_of_level` of a batch, and which image each of them is on.

    Args:
        boxes: of all images, (G, 4), xyxy in network pixels.
        image: which image each is on, int64 (G,).
        owner: level of each box, int64 (G,), index into ``strides``.
        strides: of the levels.
    """
    for i, stride in enumerate(strides):
        belongs = owner == i
        own = boxes_of_level(boxes, belongs, stride)
        yield own, image[belongs] if image.device.type == "cpu" else image


def boxes_of_level(boxes: Tensor, belongs: Tensor, stride: int) -> Tensor:
    """The boxes that build the mask of one level.

    A GPU would have to count them, and the host to wait for the count: there the others stay, as
    points off the map, which cover no cell and overlap no anchor.

    Args:
        boxes: (G, 4), xyxy in network pixels.
        belongs: which of them, boolean (G,).
        stride: of the level.
    """
    if boxes.device.type == "cpu":
        return boxes[belongs]
    return boxes_off_the_map(boxes, belongs, stride)


def boxes_off_the_map(boxes: Tensor, belongs: Tensor, stride: int) -> Tensor:
    """Boxes in their order, those that do not belong as a point one cell before the first."""
    return torch.where(belongs[:, None], boxes, -stride)


def scaled_box_mask(size: tuple[int, int], boxes: Tensor, stride: int) -> Tensor:
    """The cells inside the ground-truth boxes (the paper's baseline G).

    A box covers the cells [floor(x1/s), floor(x2/s)) and at least one, likewise in y.

    Args:
        size: (H, W) of the level, cells.
        boxes: (G, 4), xyxy in network pixels.
        stride: pixels from cell to cell.

    Returns:
        Boolean (H, W).
    """
    return scaled_box_masks(size, boxes, of_one_image(boxes), count=1, stride=stride)[0]


def scaled_box_masks(
    size: tuple[int, int], boxes: Tensor, image: Tensor, *, count: int, stride: int
) -> Tensor:
    """`scaled_box_mask` of each image of a batch.

    Args:
        size: (H, W) of the level, cells.
        boxes: of all images, (G, 4), xyxy in network pixels.
        image: which image each box is on, int64 (G,), in [0, N).
        count: N, the number of images.
        stride: pixels from cell to cell.

    Returns:
        Boolean (N, H, W).
    """
    low, high = (boxes / stride).floor().split(2, dim=1)
    high = torch.maximum(high, low + 1)
    y, x = (torch.arange(n, device=boxes.device) for n in size)
    rows = ((y >= low[:, 1:]) & (y < high[:, 1:])).float()
    columns = ((x >= low[:, :1]) & (x < high[:, :1])).float()
    return torch.einsum("ng,gh,gw->nhw", one_hot(image, count), rows, columns) > 0
