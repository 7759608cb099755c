"""SSD and SSDlite in parts: a head of its own for every map of the backbone, no neck."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import torch
from torch import Tensor
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from kdviz.detectors.assembly import (
    TorchvisionParts,
    anchor_counts,
    anchors_of,
    grid_anchors,
    in_original_pixels,
    lay_anchors,
    outputs_of,
    targets_of,
)
from kdviz.detectors.parts import select_maps
from kdviz.structures import Batch, Detection, HeadOutput, Pyramid


class SSDParts(TorchvisionParts):
    """SSD300 and SSDlite: softmax over the classes and a background, at prior boxes of each cell.

    There is no neck: ``neck`` is the identity, and ``features`` are the maps of the trunk under the
    names of P-levels. Every image is stretched to one fixed size, 300 or 320 pixels, at which the
    last maps are 3, 2 or 1 cells wide. Their strides are therefore nominal powers of two, each at
    least twice the one before: SSD300 has 8 to 256, SSDlite has 16 to 512.

    ``boxes`` of its `HeadOutput` are (dx, dy, dw, dh) against the prior box, times the coder's
    weights (10, 10, 5, 5). Column 0 of ``logits`` is the background.

    Keys of ``extras``:
        ``anchors``: for each image (P, 4), prior boxes in network pixels.
    """

    model: SSD

    def __init__(self, model: SSD) -> None:
        super().__init__(model)
        self.num_classes = self.model.head.classification_head.num_columns

    def anchors(self, features: Pyramid, batch: Batch) -> list[Tensor]:
        """Prior boxes of each level, (H, W, A, 4) xyxy in network pixels."""
        maps = select_maps(features, self.levels, reader="head")
        return grid_anchors(self.model.anchor_generator, maps, batch)

    def head(self, features: Pyramid, batch: Batch) -> HeadOutput:
        """Each level's own head, softmax scores.

        Args:
            features: of this or another detector, matched by stride; each level needs the channels
                of this model's level.
            batch: gives the image sizes that the anchors are laid over.

        Raises:
            ValueError: a stride is missing or a map has the wrong number of channels.
        """
        maps = select_maps(features, self.levels, reader="head")
        outputs = self.model.head(maps)
        return HeadOutput(
            logits=outputs["cls_logits"],
            boxes=outputs["bbox_regression"],
            slots=tuple(anchor_counts(self.model.anchor_generator, maps)),
            score="softmax",
            background=0,
            extras={"anchors": lay_anchors(self.model.anchor_generator, maps, batch)},
        )

    def losses(self, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
        """``classification`` (cross entropy, hard negatives) and ``bbox_regression`` (smooth L1).

        Raises:
            ValueError: the batch has no targets.
        """
        targets = targets_of(batch)
        anchors = anchors_of(output)
        matched = []
        for boxes, target in zip(anchors, targets, strict=True):
            if len(target["boxes"]):
                overlaps = box_iou(target["boxes"], boxes)
                matched.append(self.model.proposal_matcher(overlaps))
            else:
                matched.append(torch.full((len(boxes),), -1, device=boxes.device))
        return self.model.compute_loss(targets, outputs_of(output), anchors, matched)

    @torch.no_grad()
    def detections(self, output: HeadOutput, batch: Batch) -> list[Detection]:
        """Boxes after score threshold and NMS, in original pixels; they carry no gradient."""
        results = self.model.postprocess_detections(
            outputs_of(output), anchors_of(output), list(batch.sizes)
        )
        return in_original_pixels(results, batch)

    def _probe_size(self) -> tuple[int, int]:
        width, height = self.model.transform.fixed_size
        return height, width

    def _strides(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[int]:
        strides: list[int] = []
        for values in maps:
            nearest = 2 ** round(log2(size[0] / values.shape[-2]))
            strides.append(max(nearest, 2 * strides[-1]) if strides else nearest)
        return strides
