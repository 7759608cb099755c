"""A feature space of many dimensions, seen on a plane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdviz.checks import check_shape


@dataclass(frozen=True)
class Plane:
    """Instances on the plane that keeps most of how they differ.

    Attributes:
        points: (n, 2), units of the features.
        share: of the variance that the plane keeps, [0, 1].
    """

    points: Tensor
    share: float


def principal_plane(features: Tensor) -> Plane:
    """The first two principal components of the directions of some features.

    Each is brought to unit length first, since GKD compares by cosines.

    Args:
        features: (n, C).

    Raises:
        ValueError: there are not two dimensions.
    """
    check_shape("features", features, ("n", "C"))
    unit = F.normalize(features.double(), dim=1)
    centred = unit - unit.mean(dim=0)
    left, lengths, _ = torch.linalg.svd(centred, full_matrices=False)
    points = F.pad(left[:, :2] * lengths[:2], (0, max(0, 2 - len(lengths))))
    total = lengths.square().sum()
    share = float(lengths[:2].square().sum() / total) if total > 0 else 1.0
    return Plane(points.float(), share)


def turned_to(points: Tensor, like: Tensor) -> Tensor:
    """Points turned, and mirrored where that helps, to lie as near as can be to others.

    The axes of principal components have no sign and no name, so this takes nothing from a picture
    and makes two of them comparable (orthogonal Procrustes).

    Args:
        points: (n, 2).
        like: the same instances in another picture, (n, 2).
    """
    check_shape("like", like, tuple(points.shape))
    u, _, v = torch.linalg.svd(points.T.double() @ like.double())
    return (points.double() @ u @ v).float()
