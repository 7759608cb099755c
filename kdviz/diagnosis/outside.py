"""How much of what a teacher knows of an object lies outside the object's box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from kdviz.diagnosis.overlaps import Numbers
from kdviz.diagnosis.richness import holds_points
from kdviz.methods.boxes import levels_by_scale
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


def at_equal(size: Numbers, values: Numbers, bins: int = 5) -> Numbers:
    """The rank of each object's value among objects of about its size, so that size drops out.

    A map has a stride: richness spills over the border of a small box more than of a large one,
    whatever lies there.

    Args:
        size: (G,).
        values: (G,); NaN where it is unknown.
        bins: parts of equal number that the objects are cut into by size, >= 1.

    Returns:
        (G,) in (0, 1); NaN where the value is.
    """
    ranks = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    for part in np.array_split(known[np.argsort(size[known], kind="stable")], bins):
        ranks[part] = (rankdata(values[part]) - 0.5) / max(len(part), 1)
    return ranks
