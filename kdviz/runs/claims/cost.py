"""What a training that was not run would take, from how fast networks were trained elsewhere.

A detector of twice the operations takes about twice the time on the same device, so a speed that
was measured with one pair is carried to another by counting the operations of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from kdviz.datasets.scenes import SceneConfig
from kdviz.detectors import build
from kdviz.detectors.faster_rcnn import FasterRCNNParts

COCO_CLASSES = 80
TRAINED_ROIS = 512
"""Proposals of an image that the second stage of Faster R-CNN is trained on."""


@dataclass(frozen=True)
class Rate:
    """How many operations of networks a device does in a second of training.

    Attributes:
        operations: in a second; a multiplication and an addition are two.
        source: where the number comes from, for the reader.
        is_measured: whether a device was measured; else it is an assumption.
    """

    operations: float
    source: str
    is_measured: bool


ASSUMED = Rate(
    2e13, "from an assumed GPU that does 20 TFLOP/s while it trains; none was measured", False
)


@dataclass(frozen=True)
class Cost:
    """What a training would take.

    Attributes:
        hours: of one device; None where the schedule or the detectors are not known.
        told: where the estimate comes from, or why there is none.
    """

    hours: float | None
    told: str

    @property
    def about(self) -> str:
        """The hours with two digits, or that they are unknown."""
        if self.hours is None:
            return "unknown hours"
        return f"about {self.hours:.2g} h" if self.hours < 10 else f"about {self.hours:.0f} h"

    def __str__(self) -> str:
        return f"{self.about}: {self.told}"


def training_cost(
    *,
    student: str,
    teacher: str | None,
    images: float,
    size: tuple[int, int],
    rate: Rate,
) -> Cost:
    """Hours of one training; the student's backward pass counts twice its forward.

    What a method adds to the two networks is left out: `make bench` measures a few per cent for
    most of them.

    Args:
        student: name in the zoo.
        teacher: name in the zoo; None where the student learns alone.
        images: that a run sees, steps x batch.
        size: shorter and longest side of an image, pixels.
        rate: of the device.
    """
    each = 3 * forward_operations(student, size)
    each += forward_operations(teacher, size) if teacher else 0
    return Cost(images * each / rate.operations / 3600, rate.source)


@cache
def forward_operations(name: str, size: tuple[int, int], classes: int = COCO_CLASSES) -> int:
    """Operations of one image through a detector of the zoo; nothing is computed for it.

    Args:
        name: as in `kdviz.detectors.build`.
        size: shorter and longest side of the image, pixels.
        classes: that it tells apart.

    Raises:
        ValueError: the zoo has no such detector.
    """
    with torch.device("meta"):
        parts = build(name, num_classes=classes + 1)
        images = torch.empty(1, 3, *(-(-side // 32) * 32 for side in size))
    model: Any = parts.model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        maps = model.backbone(images)
        if isinstance(parts, FasterRCNNParts):
            model.rpn.head(list(maps.values()))
            pooled = torch.empty(TRAINED_ROIS, *_roi_shape(model, maps), device="meta")
            model.roi_heads.box_predictor(model.roi_heads.box_head(pooled))
        else:
            model.head(list(maps.values()))
    return int(counter.get_total_flops())


def rate_of(
    images_per_second: float,
    *,
    student: str,
    teacher: str | None,
    size: tuple[int, int],
    classes: int,
    device: str,
) -> Rate:
    """The rate behind a measured speed of training.

    Args:
        images_per_second: that were trained on.
        student: name in the zoo.
        teacher: name in the zoo; None where nobody taught.
        size: shorter and longest side of an image, pixels.
        classes: that the detectors tell apart.
        device: what it was measured on, for the reader.
    """
    each = 3 * forward_operations(student, size, classes)
    each += forward_operations(teacher, size, classes) if teacher else 0
    told = (
        f"scaled by operations from {images_per_second:.3g} images/s of {student} at {size[0]} px, "
        f"measured on {device}"
    )
    return Rate(each * images_per_second, told, True)


def recorded_rate(reports: Iterable[Mapping[str, Any]]) -> Rate | None:
    """The fastest rate that a benchmark of training measured on a GPU; None without one.

    Args:
        reports: ``bench.json`` of `kdviz.runs.bench`, any number of them.
    """
    rates = [
        rate_of(
            row["images_per_second"],
            student=f"{row['detector'].lower()}-{part['workload']['trained']}",
            teacher=None,
            size=tuple(part["workload"]["network_size"]),
            classes=len(SceneConfig().classes),
            device=part["environment"]["gpu"],
        )
        for part in (report.get("training", {}) for report in reports)
        if part.get("workload", {}).get("device") == "cuda"
        for row in part.get("rows", ())
        if "images_per_second" in row
    ]
    return max(rates, key=lambda rate: rate.operations, default=None)


def _roi_shape(model: Any, maps: Mapping[str, torch.Tensor]) -> tuple[int, int, int]:
    height, width = model.roi_heads.box_roi_pool.output_size
    return next(iter(maps.values())).shape[1], height, width
