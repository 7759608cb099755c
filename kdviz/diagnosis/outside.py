"""How much of what a teacher knows of an object lies outside the object's box."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdviz.diagnosis.richness import holds_points
from kdviz.methods.fgfi import levels_by_scale
from kdviz.structures import Pyramid

GROW = 0.5
"""The neighbourhood of an object is its box grown by this share of its sides, on every side."""


def evidence_outside(richness: Pyramid, boxes: Sequence[Tensor], offset: float = 0.0) -> Tensor:
    r"""Share of an object's richness that lies around its box, and not in it.

    .. math:: e = \frac{\sum_{\text{ring}} S}{\sum_{\text{ring}} S + \sum_{\text{box}} S}

    on the level that owns boxes of its size. A cell is where its point is; the box holds the points
    inside it, the ring those inside the box grown by half its sides on every side, and in no box of
    the image: what lies in a neighbour's box speaks for the neighbour.

    The share is not only about what lies outside: it is large as well for a small object, which a
    stride blurs over its border, and for one that the teacher hardly sees.

    Args:
        richness: of the teacher, (N, 1, H, W) >= 0 per level, see `kdviz.methods.frs.richness`.
        boxes: of each image, (n, 4) xyxy in network pixels.
        offset: of a cell's point, see `kdviz.diagnosis.richness.point_offset`.

    Returns:
        (G,) in [0, 1], objects in the order of the boxes; NaN for one whose box and ring hold no
        point, or no richness.
    """
    shares = [torch.empty(0)]
    for image, own in enumerate(boxes):
        levels = levels_by_scale(own, richness.strides)
        for box, index in zip(own, levels.tolist(), strict=True):
            level = richness.levels[index]
            values = level.map[image, 0]
            grown = box + GROW * (box[2:] - box[:2]).repeat(2) * torch.tensor([-1, -1, 1, 1])
            inside = holds_points(box[None], values.shape, level.stride, offset)
            ring = holds_points(grown[None], values.shape, level.stride, offset)
            ring &= ~holds_points(own, values.shape, level.stride, offset)
            outer = values[ring].sum()
            shares.append((outer / (outer + values[inside].sum()))[None].cpu())
    return torch.cat(shares)
