from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from kdviz.detectors import DetectorParts, build

# Small enough for seconds on one core; thresholds of 0 leave detections to compare.
SMALL = {
    "fcos": ("fcos-shufflenetv2x0.5-c64", {"min_size": 64, "max_size": 96, "score_thresh": 0.0}),
    "retinanet": (
        "retinanet-resnet18h-c16",
        {"min_size": 64, "max_size": 96, "score_thresh": 0.0},
    ),
    "fasterrcnn": (
        "fasterrcnn-shufflenetv2x0.5-c16",
        {"min_size": 64, "max_size": 96, "box_score_thresh": 0.0},
    ),
    "ssdlite": ("ssdlite-mobilenetv3-w0.35", {"score_thresh": 0.0}),
}


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=list(SMALL))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def small() -> Callable[..., DetectorParts]:
    """A small detector of a family with four classes and a background."""

    def make(family: str, **options: object) -> DetectorParts:
        name, defaults = SMALL[family]
        return build(name, num_classes=5, **(defaults | options))

    return make


@pytest.fixture
def images() -> list[Tensor]:
    """Two images of odd and different sizes."""
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, *size, generator=generator) for size in ((65, 90), (71, 64))]


@pytest.fixture
def targets() -> list[dict[str, Tensor]]:
    """Three boxes in the first image, none in the second."""
    boxes = torch.tensor(
        [[5.0, 5.0, 40.0, 44.0], [20.0, 20.0, 60.0, 62.0], [50.0, 8.0, 80.0, 30.0]]
    )
    return [
        {"boxes": boxes, "labels": torch.tensor([1, 4, 2]), "image_id": torch.tensor(7)},
        {
            "boxes": torch.zeros(0, 4),
            "labels": torch.zeros(0, dtype=torch.int64),
            "image_id": torch.tensor(8),
        },
    ]
