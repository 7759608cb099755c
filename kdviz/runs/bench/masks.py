"""How fast are FGFI's masks and GKD's prototypes, beside the loops that they replace?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchvision.ops import box_iou

from kdviz.methods.fgfi import imitation_mask, mask_from_iou
from kdviz.methods.gkd import select_prototypes
from kdviz.runs.bench.counting import peak_bytes
from kdviz.runs.bench.rounds import interleaved, stopwatch
from kdviz.runs.bench.workload import Workload


def masks(where: Workload, limit: float, boxes: int = 100) -> dict[str, Any]:
    """FGFI masks of one 800 x 1333 image on RetinaNet's finest level, beside one box at a time."""
    height, width, stride = 100, 167, 8
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centre = torch.stack([x, y, x, y], dim=-1)[:, :, None] * stride
    sides = torch.tensor([[32.0 * s * r**0.5, 32.0 * s / r**0.5]
                          for s in (1, 1.26, 1.59) for r in (0.5, 1, 2)])  # fmt: skip
    anchors = centre + torch.cat([-sides / 2, sides / 2], dim=1)
    corner = torch.rand(boxes, 2) * torch.tensor([1200.0, 700.0])
    truth = torch.cat([corner, corner + 20 + 60 * torch.rand(boxes, 2)], dim=1)
    turns = {
        "all at once": stopwatch(lambda: imitation_mask(anchors, truth)),
        "one by one": stopwatch(lambda: _one_by_one(anchors, truth)),
    }
    times = interleaved(turns, rounds=10 * where.rounds, limit=limit)
    ratio = times.ratio("one by one", "all at once")
    return {
        "boxes": boxes,
        "seconds": times.median("all at once"),
        "seconds_one_by_one": times.median("one by one"),
        "times_as_fast": ratio,
        "extra_megabytes": peak_bytes(lambda: imitation_mask(anchors, truth)) / 2**20,
        "ratios": {"one box at a time over all at once": ratio},
    }


def _one_by_one(anchors: Tensor, boxes: Tensor) -> Tensor:
    mask = torch.zeros(anchors.shape[:2], dtype=torch.bool)
    for box in boxes:
        iou = box_iou(anchors.reshape(-1, 4), box[None]).view(*anchors.shape[:3], 1)
        mask |= mask_from_iou(iou)
    return mask


def prototypes(
    where: Workload, limit: float, instances: int = 2000, channels: int = 256, count: int = 10
) -> dict[str, Any]:
    """GKD's choice of prototypes among many instances, beside trying each candidate on its own."""
    student, teacher = torch.randn(2, instances, channels).abs()
    few = 300  # the naive way takes minutes for all of them, and grows with their square
    turns = {
        "all": stopwatch(lambda: select_prototypes(student, teacher, count)),
        "few": stopwatch(lambda: select_prototypes(student[:few], teacher[:few], 1), repeats=20),
        "naive": stopwatch(lambda: _first_prototype(student[:few], teacher[:few])),
    }
    times = interleaved(turns, rounds=where.rounds, limit=limit)
    ratio = times.ratio("naive", "few")
    return {
        "instances": instances,
        "count": count,
        "few": few,
        "seconds": times.median("all"),
        "seconds_few": times.median("few"),
        "seconds_few_naive": times.median("naive"),
        "times_as_fast": ratio,
        "ratios": {"candidate by candidate over all at once": ratio},
    }


def _first_prototype(student: Tensor, teacher: Tensor, alpha: float = 10.0) -> int:
    """The first greedy choice, one candidate and one instance at a time."""
    ours, theirs = normalize(student, dim=1), normalize(teacher, dim=1)
    errors = []
    for atom, twin in zip(ours, theirs, strict=True):
        error = 0.0
        for one, other in zip(ours, theirs, strict=True):
            i, j = float(atom @ one), float(twin @ other)
            u = (alpha * (i + j) + i) / (1 + 2 * alpha)
            v = (alpha * (i + j) + j) / (1 + 2 * alpha)
            error += 2 + u * u - 2 * u * i + v * v - 2 * v * j + alpha * (u - v) ** 2
        errors.append(error)
    return errors.index(min(errors))
