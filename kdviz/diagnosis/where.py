"""Where a method looks: its own map, brought to one kind of map for all methods.

What a method calls its map differs: a mask, an attention, an error. Here each becomes one number
>= 0 for every cell of every level, and it is said what that number is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from kdviz.methods import (
    AT,
    CWD,
    FBKD,
    FGD,
    FGFI,
    FRS,
    GID,
    GKD,
    MGD,
    PKD,
    Affinity,
    CrossKD,
    DeFeat,
    Dist2,
    Distillation,
    FitNets,
    LogitKD,
    Method,
)
from kdviz.structures import Pyramid

Kind = Literal["weight", "target", "error", "uniform"]
"""What an attention is: ``weight``, the loss of a cell is multiplied by it; ``target``, the student
is to reproduce it; ``error``, all cells weigh alike and it is what each adds to the loss;
``uniform``, all cells weigh alike and nothing more is known."""


def attention_of(method: Method, told: Distillation, cells: Pyramid) -> tuple[Kind, Pyramid]:
    """Where a method looks, as one map per level, and what kind of map that is.

    - ``weight``: the map that multiplies a cell's part of the loss. FGFI's mask, FRS's richness,
      FBKD's attention, CWD's (mean over channels of the teacher's distributions), CrossKD's score
      (of its box term), GID's response mask (of its class and box terms). GKD and DeFeat weigh
      objects and background apart, each by its weight over its normaliser; FGD does so too, times
      the teacher's spatial attention. Terms that weigh no cells are left out.
    - ``target``: AT's attention map of the teacher.
    - ``error``: PKD's, LogitKD's, and Dist2's of feature imitation by its first strategy.
    - ``uniform``: FitNets; MGD, which hides cells at random and compares all; Affinity, which
      weighs pairs of cells; Dist2 without feature imitation.

    Any other method is taken at its word: its first map is a weight, without one it is uniform.

    Args:
        method: that was called.
        told: what it said.
        cells: the levels to answer on, (N, C, H, W); only names, strides and sizes count.

    Returns:
        The kind, and (N, 1, H, W) >= 0 per level; 0 on a level that the method leaves alone.
    """
    kind, read = next(
        ((kind, read) for known, kind, read in _READERS if isinstance(method, known)),
        ("weight", _first),
    )
    found = read(method, told.maps)
    if found is None:
        return "uniform", cells.apply(lambda values: torch.ones_like(values[:, :1]).detach())
    values = {level.stride: level.map.detach().float().clamp(min=0) for level in found.levels}
    return kind, cells.with_maps(
        [values.get(x.stride, torch.zeros_like(x.map[:, :1]).detach()) for x in cells.levels]
    )


Reader = Callable[[Method, Mapping[str, Pyramid]], Pyramid | None]
"""From a method and its maps to its attention; None where it weighs all cells alike."""


def _named(name: str) -> Reader:
    return lambda method, maps: maps[name]


def _first(method: Method, maps: Mapping[str, Pyramid]) -> Pyramid | None:
    return next(iter(maps.values()), None)


def _nothing(method: Method, maps: Mapping[str, Pyramid]) -> None:
    return None


def _imitated(method: Method, maps: Mapping[str, Pyramid]) -> Pyramid | None:
    return next((values for name, values in maps.items() if name.startswith("error/")), None)


def _objects_and_rest(term: str, name: str) -> Reader:
    """Each region by its weight over its mass in the batch, as the loss normalises it."""

    def read(method: Method, maps: Mapping[str, Pyramid]) -> Pyramid:
        strong, weak = _region_weights(method, term)

        def weigh(values: Tensor) -> Tensor:
            objects, rest = values.float(), (values == 0).float()
            tiny = torch.finfo(objects.dtype).tiny  # an empty region stays 0
            masses = (part.sum().clamp(min=tiny) for part in (objects, rest))
            return strong * objects / next(masses) + weak * rest / next(masses)

        return maps[name].apply(weigh)

    return read


def _focal(method: Method, maps: Mapping[str, Pyramid]) -> Pyramid:
    strong, weak = _region_weights(method, "fgd")
    regions = zip(*(maps[x].maps for x in ("foreground", "background", "attention")), strict=True)
    return maps["attention"].with_maps([(strong * f + weak * b) * a for f, b, a in regions])


def _region_weights(method: Method, term: str) -> tuple[float, float]:
    foreground, background = (f"{term}_{region}" for region in ("foreground", "background"))
    return method.weights[foreground].value, method.weights[background].value


_READERS: tuple[tuple[type[Method], Kind, Reader], ...] = (
    (FitNets, "uniform", _nothing),
    (FGFI, "weight", _named("mask")),
    (FRS, "weight", _named("richness")),
    (GKD, "weight", _objects_and_rest("gkd", "reliability")),
    (Dist2, "error", _imitated),
    (AT, "target", _named("attention")),
    (FBKD, "weight", _named("attention")),
    (DeFeat, "weight", _objects_and_rest("defeat", "mask")),
    (Affinity, "uniform", _nothing),
    (CWD, "weight", _named("attention")),
    (PKD, "error", _named("error")),
    (MGD, "uniform", _nothing),
    (FGD, "weight", _focal),
    (GID, "weight", _named("response")),
    (CrossKD, "weight", _named("score")),
    (LogitKD, "error", _named("divergence")),
)
