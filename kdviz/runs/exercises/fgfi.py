"""Hidden cases of FGFI's imitation mask."""

from __future__ import annotations

import torch
from torch import Tensor

from kdviz.methods.fgfi import imitation_mask
from kdviz.runs.exercises.case import Case, Exercise, Inputs, uniform


def _grid(rows: int = 8, columns: int = 10, stride: int = 8) -> Tensor:
    """Three anchors on each cell, (H, W, 3, 4)."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centre = torch.stack([x, y, x, y], dim=-1)[:, :, None] * stride + stride / 2
    sides = torch.tensor([[16.0, 16.0], [12.0, 24.0], [24.0, 12.0]])
    return centre + torch.cat([-sides / 2, sides / 2], dim=1)


def _boxes(seed: int, count: int) -> Tensor:
    corner = uniform(seed, count, 2) * torch.tensor([60.0, 44.0])
    return torch.cat([corner, corner + 4 + 20 * uniform(seed + 1, count, 2)], dim=1)


def _mask_case(title: str, hint: str, boxes: Tensor, psi: float = 0.5) -> Case:
    return Case(title, hint, lambda: {"anchors": _grid(), "boxes": boxes.clone(), "psi": psi})


def _tie() -> Inputs:
    """The best anchor fits exactly, the other has an IoU of exactly one half."""
    anchors = torch.zeros(1, 2, 1, 4)
    anchors[0, 0, 0] = torch.tensor([0.0, 0, 16, 16])
    anchors[0, 1, 0] = torch.tensor([0.0, 0, 16, 8])
    return {"anchors": anchors, "boxes": torch.tensor([[0.0, 0, 16, 16]]), "psi": 0.5}


MASK = Exercise(
    imitation_mask,
    (
        _mask_case(
            "one object",
            "a cell is kept if any of its anchors has an IoU above psi times the best IoU of the "
            "object",
            torch.tensor([[20.0, 12, 44, 30]]),
        ),
        _mask_case(
            "a large and a tiny object",
            "the threshold belongs to each object: psi times its own best IoU, not the best of all",
            torch.tensor([[16.0, 12, 40, 36], [60.0, 40, 65, 44]]),
        ),
        _mask_case("many objects", "a cell is kept if it is kept for any object", _boxes(0, 30)),
        _mask_case(
            "no object at all",
            "`boxes` may be (0, 4); then the mask is (H, W) and False everywhere",
            torch.zeros(0, 4),
        ),
        _mask_case(
            "an object that no anchor touches",
            "its best IoU is 0, and nothing is larger than psi times 0",
            torch.tensor([[300.0, 300, 320, 320]]),
        ),
        Case(
            "an anchor exactly at the threshold",
            "the inequality is strict: larger, not larger or equal",
            _tie,
        ),
        _mask_case(
            "psi = 0", "every cell that overlaps an object at all is kept", _boxes(2, 3), psi=0.0
        ),
        _mask_case("psi = 1", "no anchor is better than the best", _boxes(2, 3), psi=1.0),
    ),
)
