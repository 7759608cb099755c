"""Head swap: what one detector's head makes of another detector's maps.

A head reads a pyramid and nothing else, so it can be put behind any neck that offers its strides
and its number of channels. If it then detects, the two necks speak one language. If it does not,
the evidence may be missing, or only be written otherwise; a stitch, the best linear translation of
the maps, tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kdviz.detectors import DetectorParts, Pass
from kdviz.methods import Dist2, Method
from kdviz.methods.adapters import ConvAdapter
from kdviz.structures import Batch, Detection, Pyramid

Cell = tuple[str, str]
"""(whose neck, whose head)."""


def can_read(head: DetectorParts, features: Pyramid) -> bool:
    """Whether a pyramid has every level of this head, each with its number of channels."""
    offered = {level.stride: level.map.shape[1] for level in features.levels}
    return all(offered.get(level.stride) == level.channels for level in head.levels)


@torch.no_grad()
def read(head: DetectorParts, features: Pyramid, batch: Batch) -> list[Detection]:
    """What a detector's head finds on any maps, low scores kept.

    Args:
        head: whose head, and whose way from its output to boxes.
        features: of this or another detector, matched by stride.
        batch: the images, as this or a detector of one input format takes them.

    Raises:
        ValueError: a stride is missing, or a map has another number of channels.
    """
    found = head.detections(head.head(features, batch), batch)
    return [of_a_class(detection) for detection in found]


def of_a_class(detection: Detection) -> Detection:
    """Without label 0, which no head was taught: low on the maps it knows, not on strange ones."""
    kept = detection.labels > 0
    return Detection(detection.boxes[kept], detection.scores[kept], detection.labels[kept])


def swap_heads(
    passes: Mapping[str, Pass], stitches: Mapping[Cell, Stitch] | None = None
) -> dict[Cell, list[Detection]]:
    """Every neck before every head.

    Args:
        passes: by name, each over the same images.
        stitches: translations of the maps on their way from a neck to a head; a pair without one
            passes them on as they are.

    Returns:
        Detections of each image by (whose neck, whose head); pairs that do not fit are left out.
    """
    cells: dict[Cell, list[Detection]] = {}
    for neck, source in passes.items():
        for head, target in passes.items():
            features = source.features
            if stitches is not None and (neck, head) in stitches:
                features = stitches[neck, head](features)
            if can_read(target.parts, features):
                cells[neck, head] = read(target.parts, features, target.batch)
    return cells


# --- stitches -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stitch:
    """A linear translation of maps, channel by channel and cell by cell: a 1x1 convolution.

    Attributes:
        weights: by stride, (C_source, C_target).
        offsets: by stride, (C_target,).
    """

    weights: dict[int, Tensor]
    offsets: dict[int, Tensor]

    def __call__(self, features: Pyramid) -> Pyramid:
        """The levels that the stitch knows, in the target's channels."""
        known = Pyramid(tuple(features.at(stride) for stride in self.weights))
        return known.with_maps(
            [
                torch.einsum("nchw,cd->ndhw", level.map, self.weights[level.stride])
                + self.offsets[level.stride].view(1, -1, 1, 1)
                for level in known.levels
            ]
        )


class StitchFit:
    """The moments that a `Stitch` is solved from: any number of images, and no map is kept."""

    def __init__(self) -> None:
        self._moments: dict[int, _Moments] = {}
        self._dtypes: dict[int, torch.dtype] = {}

    @torch.no_grad()
    def add(self, *, source: Pyramid, target: Pyramid) -> None:
        """Take in the maps of some images; see `fit_stitch`.

        Raises:
            KeyError: ``source`` lacks a stride of ``target``.
        """
        for level in target.levels:
            new = _moments(_vectors(source.at(level.stride).map), _vectors(level.map))
            old = self._moments.get(level.stride)
            self._moments[level.stride] = new if old is None else _merged(old, new)
            self._dtypes[level.stride] = level.map.dtype

    def solve(self, ridge: float = 1e-2) -> Stitch:
        """The translation that is best on all images so far; see `fit_stitch`."""
        weights, offsets = {}, {}
        for stride, (_, x_mean, y_mean, squares, products) in self._moments.items():
            # A map without any variation has no direction to translate; 1 keeps it solvable.
            damping = ridge * float(squares.diagonal().mean()) or 1.0
            eye = torch.eye(len(squares), dtype=squares.dtype, device=squares.device)
            solved = torch.linalg.solve(squares + damping * eye, products)
            weights[stride] = solved.to(self._dtypes[stride])
            offsets[stride] = (y_mean - x_mean @ solved).to(self._dtypes[stride])
        return Stitch(weights, offsets)


_Moments = tuple[int, Tensor, Tensor, Tensor, Tensor]
"""Count, both means, and around them the products of source with source and with target."""


def _moments(x: Tensor, y: Tensor) -> _Moments:
    x_mean, y_mean = x.mean(0), y.mean(0)
    around = x - x_mean
    return len(x), x_mean, y_mean, around.T @ around, around.T @ (y - y_mean)


def _merged(old: _Moments, new: _Moments) -> _Moments:
    """Of two sets of cells as one (Chan, Golub and LeVeque 1983): no difference of large sums."""
    count = old[0] + new[0]
    x_step, y_step = new[1] - old[1], new[2] - old[2]
    part = new[0] / count
    between = old[0] * part * x_step
    return (
        count,
        old[1] + part * x_step,
        old[2] + part * y_step,
        old[3] + new[3] + between.outer(x_step),
        old[4] + new[4] + between.outer(y_step),
    )


def fit_stitch(*, source: Pyramid, target: Pyramid, ridge: float = 1e-2) -> Stitch:
    r"""The 1x1 convolution that brings one detector's maps nearest to another's, in closed form.

    .. math:: \min_{W, b} \sum_{\text{cells}} \lVert s W + b - t \rVert^2 + \rho \lVert W \rVert^2

    It is where plain feature imitation would end for a frozen student: no training of such an
    adapter brings its maps nearer on these images. Judge it on other images.

    Args:
        source: maps that are translated, (N, C_source, H, W) per level.
        target: maps of the same images that they should become.
        ridge: rho as a share of the sum of squares of a mean source channel, > 0. A coarse level
            has few cells, fewer perhaps than channels, and would be learned by heart without.

    Returns:
        A translation of each level of ``target``.

    Raises:
        KeyError: ``source`` lacks a stride.
    """
    fit = StitchFit()
    fit.add(source=source, target=target)
    return fit.solve(ridge)


def fit_stitches(passes: Mapping[str, Pass]) -> dict[Cell, Stitch]:
    """A stitch from every neck to every other one that has its strides.

    Args:
        passes: by name, each over the same images, which should not be those that are judged.
    """
    return {
        (neck, head): fit_stitch(source=source.features, target=target.features)
        for neck, source in passes.items()
        for head, target in passes.items()
        if neck != head and set(target.features.strides) <= set(source.features.strides)
    }


def _vectors(values: Tensor) -> Tensor:
    """(N, C, H, W) as (N * H * W, C), in float64: squares of channels are summed."""
    return values.permute(0, 2, 3, 1).flatten(0, 2).double()


# --- trained adapters, and how far maps are apart -------------------------------------------------


@torch.no_grad()
def adapted(method: Method, student: Pass, teacher: Pass) -> Pyramid | None:
    """The student's maps as a method brought them to the teacher, whole enough for its head.

    Args:
        method: with its trained adapters; of several strategies of Dist2 the first one counts.
        student: pass of the detector that learned.
        teacher: pass of its teacher over the same images.

    Returns:
        Maps at the teacher's neck; None for a method that adapts no neck.
    """
    if isinstance(method, Dist2):
        transform = next(iter(method.transforms.values()))
        return transform.neck(transform(student, teacher), student, teacher)
    adapter = getattr(method, "adapter", None)
    return adapter(student.features) if isinstance(adapter, ConvAdapter) else None


def feature_distance(features: Pyramid, target: Pyramid) -> float:
    r"""How far maps are from others: squared distance over squared length, all levels together.

    .. math:: d = \sum_l \lVert s_l - t_l \rVert^2 \Big/ \sum_l \lVert t_l \rVert^2

    Args:
        features: maps in the target's channels; levels are matched by stride.
        target: the maps to be like.

    Returns:
        >= 0: 0 for equal maps, 1 for maps of zeros.

    Raises:
        KeyError: a stride of ``target`` is missing.
    """
    pairs = [(features.at(level.stride).map, level.map) for level in target.levels]
    error = sum(float((ours.double() - theirs.double()).square().sum()) for ours, theirs in pairs)
    return error / sum(float(theirs.double().square().sum()) for _, theirs in pairs)
