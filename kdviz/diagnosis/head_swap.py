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
    return [_of_a_class(detection) for detection in found]


def _of_a_class(detection: Detection) -> Detection:
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


@torch.no_grad()
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
    weights, offsets = {}, {}
    for level in target.levels:
        x, y = (_vectors(values) for values in (source.at(level.stride).map, level.map))
        x_mean, y_mean = x.mean(0), y.mean(0)
        x, y = x - x_mean, y - y_mean
        squares = x.T @ x
        # A map without any variation has no direction to translate: 1 keeps the system solvable.
        damping = ridge * float(squares.diagonal().mean()) or 1.0
        eye = torch.eye(len(squares), dtype=x.dtype, device=x.device)
        solved = torch.linalg.solve(squares + damping * eye, x.T @ y)
        weights[level.stride] = solved.to(level.map.dtype)
        offsets[level.stride] = (y_mean - x_mean @ solved).to(level.map.dtype)
    return Stitch(weights, offsets)


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
