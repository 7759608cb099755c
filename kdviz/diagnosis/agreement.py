"""Do maps point at the same cells? Shares, overlap of the strongest cells, agreement of ranks.

Maps of different methods have different units, so only what survives a change of unit is compared:
each cell's share of the whole map, which cells are the strongest, and the order of the cells. Ties
are frequent, since many maps are masks; no cell is preferred for its place in the array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from kdviz.structures import Pyramid

Array = NDArray[np.float64]


def cells_of(
    maps: Mapping[str, Pyramid], stride: int, sizes: Sequence[tuple[int, int]]
) -> list[Array]:
    """The maps of one level as rows of cells, without those that lie in the padding.

    Args:
        maps: by name, (N, 1, H, W) per level.
        stride: of the level.
        sizes: (height, width) of each image inside the padding, network pixels.

    Returns:
        For each image (M, cells), one row a map.

    Raises:
        KeyError: a map has no such level; names its strides.
    """
    stacks = [each.at(stride).map.detach().cpu().double().numpy()[:, 0] for each in maps.values()]
    return [
        np.stack([x[n, : -(-height // stride), : -(-width // stride)].ravel() for x in stacks])
        for n, (height, width) in enumerate(sizes)
    ]


def strongest(cells: Array, share: float) -> Array:
    """How far each cell belongs to the strongest of its map, so many for every map.

    Cells tied at the border divide what is left among them: a constant map gives each cell
    ``share``, a mask that is too small takes an even part of the cells outside.

    Args:
        cells: (M, cells), >= 0.
        share: of the cells, (0, 1].

    Returns:
        (M, cells) in [0, 1], rows sum to ``share`` times the cells; NaN for a map that is 0.

    Raises:
        ValueError: ``share`` is outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is a part of the cells, in (0, 1], but is {share}")
    count = share * cells.shape[1]
    last = -np.sort(-cells, axis=1)[:, [int(np.ceil(count)) - 1]]
    above, tied = cells > last, cells == last
    rest = (count - above.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
    return np.where(cells.any(axis=1, keepdims=True), above + tied * rest, np.nan)


def top_iou(stacks: Sequence[Array], share: float) -> Array:
    r"""Overlap of the strongest cells of every two maps, image by image.

    .. math:: IoU = \frac{\sum_i \min(a_i, b_i)}{\sum_i \max(a_i, b_i)}

    Args:
        stacks: what `cells_of` returned.
        share: of the cells, (0, 1].

    Returns:
        (N, M, M) in [0, 1]; ``chance_iou(share)`` for a constant map and a choice without ties;
        NaN where a map is 0.
    """
    found = []
    for cells in stacks:
        chosen = strongest(cells, share)
        both = np.stack([np.minimum(row, chosen).sum(axis=1) for row in chosen])
        found.append(both / (2 * share * cells.shape[1] - both))
    return np.stack(found)


def chance_iou(share: float) -> float:
    """IoU that a choice of cells has with an even spread of the same mass."""
    return share / (2 - share)


def rank_correlation(stacks: Sequence[Array]) -> Array:
    """Spearman's correlation of the cells of every two maps, image by image; ties share a rank.

    Args:
        stacks: what `cells_of` returned.

    Returns:
        (N, M, M) in [-1, 1]; NaN where a map is constant and has no order.
    """
    found = []
    for cells in stacks:
        ranks = rankdata(cells, axis=1)
        ranks -= ranks.mean(axis=1, keepdims=True)
        length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
        unit = ranks / np.where(length > 0, length, np.nan)
        found.append(np.clip(unit @ unit.T, -1, 1))
    return np.stack(found)


def mean_and_spread(values: Any) -> tuple[Array, Array]:
    """Mean and standard deviation over the first axis (images); NaN is left out.

    Args:
        values: (N, ...).

    Returns:
        Two of shape (...); NaN where no image has a value, and no spread of fewer than two.
    """
    array = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(array)
    count = known.sum(axis=0)
    some, several = (np.where(count >= least, count, np.nan) for least in (1, 2))
    mean = np.where(known, array, 0).sum(axis=0) / some
    square = np.where(known, (array - mean) ** 2, 0).sum(axis=0)
    return mean, np.sqrt(square / (several - 1))


def pairs_by_similarity(similarity: Array, names: Sequence[str]) -> list[tuple[str, str, float]]:
    """Every two of some things with their similarity, most alike first; NaN is left out.

    Args:
        similarity: (M, M), symmetric.
        names: M names.
    """
    pairs = [
        (names[int(i)], names[int(j)], float(similarity[i, j]))
        for i, j in zip(*np.triu_indices(len(names), k=1), strict=True)
        if not np.isnan(similarity[i, j])
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def similar_together(similarity: Array) -> list[int]:
    """An order of the maps in which similar ones stand side by side.

    Average linkage on 1 - similarity, leaves turned so that neighbours fit; a map that is similar
    to none in any known way (all NaN) comes last.

    Args:
        similarity: (M, M), symmetric.
    """
    off = ~np.eye(len(similarity), dtype=bool)
    known = [i for i, row in enumerate(similarity) if not np.isnan(row[off[i]]).all()]
    unknown = [i for i in range(len(similarity)) if i not in known]
    if len(known) < 3:
        return known + unknown
    distance = 1 - np.nan_to_num(similarity[np.ix_(known, known)])
    np.fill_diagonal(distance, 0)
    condensed = squareform((distance + distance.T) / 2, checks=False)
    tree = linkage(condensed, "average", optimal_ordering=True)
    return [known[i] for i in leaves_list(tree)] + unknown
