"""FCOS and RetinaNet in parts: one head slid over every level of an FPN."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection import FCOS, RetinaNet

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


class _DenseParts(TorchvisionParts):
    """What FCOS and RetinaNet share: everything but the signature of their losses."""

    def __init__(self, model: FCOS | RetinaNet) -> None:
        super().__init__(model)
        self.num_classes = self.model.head.classification_head.num_classes

    def head(self, features: Pyramid, batch: Batch) -> HeadOutput:
        """Shared head on every level, sigmoid scores; all of it in float32 also inside autocast.

        Args:
            features: of this or another detector, matched by stride; needs this head's channels.
            batch: gives the image sizes that the anchors are laid over.

        Raises:
            ValueError: a stride is missing or a map has the wrong number of channels.
        """
        maps = select_maps(features, self.levels, reader="head")
        outputs = {name: _full(values) for name, values in self.model.head(maps).items()}
        extras: dict[str, object] = {
            "anchors": lay_anchors(self.model.anchor_generator, maps, batch)
        }
        if "bbox_ctrness" in outputs:
            extras["bbox_ctrness"] = outputs["bbox_ctrness"]
        return HeadOutput(
            logits=outputs["cls_logits"],
            boxes=outputs["bbox_regression"],
            slots=tuple(anchor_counts(self.model.anchor_generator, maps)),
            score="sigmoid",
            extras=extras,
        )

    @torch.no_grad()
    def detections(self, output: HeadOutput, batch: Batch) -> list[Detection]:
        """Boxes after score threshold and NMS, in original pixels; they carry no gradient."""
        slots = list(output.slots)
        outputs = {
            name: list(values.split(slots, dim=1)) for name, values in outputs_of(output).items()
        }
        anchors = [list(each.split(slots)) for each in anchors_of(output)]
        results = self.model.postprocess_detections(outputs, anchors, list(batch.sizes))
        return in_original_pixels(results, batch)


class FCOSParts(_DenseParts):
    """FCOS: each cell is a point that predicts its distances to the four sides of a box.

    One slot a cell. ``boxes`` of its `HeadOutput` are the distances (left, top, right, bottom) in
    strides, >= 0. Column 0 of ``logits`` is never a target.

    Keys of ``extras``:
        ``anchors``: for each image (P, 4), squares of the stride's side round the points.
        ``bbox_ctrness``: (N, P, 1), logits of the centre-ness.

    Points are no prior boxes: this adapter does not have the ability `HasAnchors`.
    """

    model: FCOS

    def losses(self, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
        """``classification`` (focal), ``bbox_regression`` (GIoU) and ``bbox_ctrness``.

        Raises:
            ValueError: the batch has no targets.
        """
        return self.model.compute_loss(
            targets_of(batch), outputs_of(output), anchors_of(output), list(output.slots)
        )


class RetinaNetParts(_DenseParts):
    """RetinaNet: each cell has A prior boxes (9 by default), each predicts its own correction.

    ``boxes`` of its `HeadOutput` are (dx, dy, dw, dh) against the prior box. Column 0 of ``logits``
    is never a target.

    Keys of ``extras``:
        ``anchors``: for each image (P, 4), prior boxes in network pixels.
    """

    model: RetinaNet

    def anchors(self, features: Pyramid, batch: Batch) -> list[Tensor]:
        """Prior boxes of each level, (H, W, A, 4) xyxy in network pixels."""
        maps = select_maps(features, self.levels, reader="head")
        return grid_anchors(self.model.anchor_generator, maps, batch)

    def losses(self, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
        """``classification`` (focal) and ``bbox_regression`` (L1).

        Raises:
            ValueError: the batch has no targets.
        """
        return self.model.compute_loss(targets_of(batch), outputs_of(output), anchors_of(output))


def _full(values: Tensor) -> Tensor:
    # Boxes are decoded, and scores compared, in this type.
    return values if values.dtype == torch.float64 else values.float()
