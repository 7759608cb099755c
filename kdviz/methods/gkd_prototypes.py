"""The prototypes of GKD: a few instances of each class that stand for all in both detectors.

Each instance is the mean of its box on a level of the pyramid. Those that lie in a dense region of
both feature spaces are candidates, which leaves out the blurred and occluded; a matching pursuit
then takes, one at a time, the instance that reconstructs all of its class best in both spaces at
once, with coefficients that must nearly agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kdviz.checks import check_shape
from kdviz.methods.adapters import in_full_precision

ROWS = 512
"""Instances whose densities are computed at once, to bound the memory of the kernel."""

# --- where ----------------------------------------------------------------------------------------


def box_means(features: Tensor, boxes: Sequence[Tensor], stride: int) -> Tensor:
    r"""Mean of a map over each box: what an instance looks like to this level.

    A box covers the cells from floor(x1/s) to floor(x2/s), both included, likewise in y; what lies
    outside of the map is cut off. The mean is a product with one row and one column of weights for
    each box, so it costs no memory of the size of the map.

    Args:
        features: (N, C, H, W), may have gradient.
        boxes: for each image (G_n, 4), xyxy in network pixels.
        stride: pixels from cell to cell.

    Returns:
        (sum of G_n, C), image by image, float32 (float64 for float64 maps).

    Raises:
        ValueError: a shape does not fit, or there are not as many lists of boxes as images.
    """
    check_shape("features", features, ("N", "C", "H", "W"))
    if len(boxes) != len(features):
        raise ValueError(f"{len(boxes)} lists of boxes for {len(features)} images")
    values = in_full_precision(features)
    means = []
    with torch.autocast(features.device.type, enabled=False):
        for image, corners in zip(values, boxes, strict=True):
            check_shape("boxes", corners, ("G", 4))
            cells = (corners / stride).long()
            rows = _share(cells[:, 1], cells[:, 3], image.shape[1], image.dtype)
            columns = _share(cells[:, 0], cells[:, 2], image.shape[2], image.dtype)
            bands = image @ columns.T  # (C, H, G)
            means.append(torch.einsum("chg,gh->gc", bands, rows))
    return torch.cat(means)


def _share(first: Tensor, last: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Weights of the cells first..last, equal and of sum 1, (G, size)."""
    first = first.clamp(0, size - 1)[:, None]
    last = torch.maximum(last.clamp(max=size - 1)[:, None], first)
    cell = torch.arange(size, device=first.device)
    return ((cell >= first) & (cell <= last)).to(dtype) / (last - first + 1)


def densities(cosines: Tensor, sigma: float = 0.1) -> Tensor:
    r"""How many instances lie near each one.

    .. math:: d_i = \sum_j \exp\!\Big(-\Big(\frac{1 - \cos_{ij}}{\sigma}\Big)^2\Big)

    Args:
        cosines: similarity of all pairs, (n, n).
        sigma: width of the kernel in units of cosine distance, > 0.

    Returns:
        (n,), in [1, n]: each instance is near itself.
    """
    return torch.cat(
        [((1 - x) / sigma).square_().neg_().exp_().sum(dim=1) for x in cosines.split(ROWS)]
    )


def select_prototypes(
    student: Tensor,
    teacher: Tensor,
    count: int,
    alpha: float = 10.0,
    sigma: float = 0.1,
    quantile: float = 0.4,
    unique: bool = False,
) -> Tensor:
    r"""The instances of one class that reconstruct all of them best, in both spaces at once.

    A greedy matching pursuit over the rows, brought to unit length. At each step all instances have
    residuals R^s, R^t, and an atom g that is the instance (a, b) would explain of instance n

    .. math:: u_n = \frac{\alpha (i_n + j_n) + i_n}{1 + 2 \alpha}, \quad
        v_n = \frac{\alpha (i_n + j_n) + j_n}{1 + 2 \alpha}, \quad
        i_n = \langle a, R^s_n \rangle, \; j_n = \langle b, R^t_n \rangle,

    the closed minimum of |R^s_n - u_n a|^2 + |R^t_n - v_n b|^2 + alpha (u_n - v_n)^2. Put back in,
    the atom lowers the error by

    .. math:: \sum_n u_n i_n + v_n j_n
        = \frac{1}{1 + 2\alpha} \sum_n \alpha (i_n + j_n)^2 + i_n^2 + j_n^2,

    and the one that lowers it most is taken. Of the residuals only the products with the atoms are
    ever needed, and a step changes these by a matrix of rank one.

    Args:
        student: student features of the instances, (n, C_s), of any length.
        teacher: teacher features of the same instances, (n, C_t).
        count: how many to take, >= 1.
        alpha: how much the coefficients of the two spaces must agree, >= 0.
        sigma: width of the density kernel, > 0.
        quantile: candidates are denser than this share of the instances, in both spaces, [0, 1).
        unique: take no instance twice. With alpha > 0 a step leaves some of its atom over, so the
            pursuit may well come back to it, and in the release it does.

    Returns:
        Row numbers in the order they were taken, int64 (count,); fewer with ``unique`` where the
        candidates run out.

    Raises:
        ValueError: there is no instance, the row counts differ, or an argument is out of range.
    """
    check_shape("student", student, ("n", "C"))
    check_shape("teacher", teacher, (len(student), "C"))
    if not len(student):
        raise ValueError("there is no instance to choose from; leave out classes without boxes")
    if count < 1 or alpha < 0 or sigma <= 0 or not 0 <= quantile < 1:
        raise ValueError(
            "select_prototypes needs count >= 1, alpha >= 0, sigma > 0 and quantile in [0, 1), "
            f"not count={count}, alpha={alpha}, sigma={sigma}, quantile={quantile}"
        )
    with torch.no_grad(), torch.autocast(student.device.type, enabled=False):
        cosines = [_cosines(in_full_precision(values)) for values in (student, teacher)]
        return _pursue(cosines, _dense_in_both(cosines, sigma, quantile), count, alpha, unique)


def _cosines(features: Tensor) -> Tensor:
    unit = F.normalize(features, dim=1)
    return unit @ unit.T


def _dense_in_both(cosines: Sequence[Tensor], sigma: float, quantile: float) -> Tensor:
    dense = torch.ones(len(cosines[0]), dtype=torch.bool, device=cosines[0].device)
    for each in cosines:
        density = densities(each, sigma)
        dense &= density > density.sort().values[int(quantile * len(density))]
    # A class of two or three instances may have none that is dense in both; then all compete.
    return (dense | ~dense.any()).nonzero().squeeze(1)


def _pursue(
    cosines: Sequence[Tensor], candidates: Tensor, count: int, alpha: float, unique: bool
) -> Tensor:
    atoms_s, atoms_t = (each[candidates] for each in cosines)
    i, j = atoms_s.clone(), atoms_t.clone()  # the first residuals are the instances themselves
    free = torch.ones(len(candidates), dtype=torch.bool, device=candidates.device)
    taken = []
    for _ in range(min(count, len(candidates)) if unique else count):
        gain = alpha * _squares(i + j) + _squares(i) + _squares(j)
        best = gain.masked_fill(~free, -torch.inf).argmax()
        chosen = candidates.index_select(0, best[None])
        taken.append(chosen)
        free.index_fill_(0, best[None], not unique)
        i_best, j_best = (each.index_select(0, best[None]).squeeze(0) for each in (i, j))
        both = alpha * (i_best + j_best)
        u, v = (both + i_best) / (1 + 2 * alpha), (both + j_best) / (1 + 2 * alpha)
        # <a_g, R_n - u_n a> = <a_g, R_n> - u_n <a_g, a>, and <a_g, a> is a column of the cosines.
        i.addr_(atoms_s.index_select(1, chosen).squeeze(1), u, alpha=-1)
        j.addr_(atoms_t.index_select(1, chosen).squeeze(1), v, alpha=-1)
    return torch.cat(taken)


def _squares(values: Tensor) -> Tensor:
    return torch.linalg.vector_norm(values, dim=1).square()
