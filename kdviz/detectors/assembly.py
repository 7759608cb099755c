"""What all torchvision detectors share: a transform, a backbone, and names for its maps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import log2
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import resize_boxes
from torchvision.transforms.v2.functional import to_dtype

from kdviz.detectors.parts import (
    DetectorParts,
    InputFormat,
    in_eval,
    name_maps,
    select_maps,
)
from kdviz.structures import Batch, Detection, HeadOutput, LevelInfo, Pyramid, Target

PROBE_SIZE = (256, 256)
"""Least size in pixels at which a level of stride 128 still has more than one cell."""


class TorchvisionParts(DetectorParts):
    """Transform, trunk and neck of a torchvision detector; the families add head and losses.

    Trunk and neck are ``backbone.body`` and ``backbone.fpn`` of a `BackboneWithFPN`. Any other
    backbone is all trunk, and the neck is the identity: the P-levels are then the trunk's maps
    under the names of P-levels.

    Names and strides are measured once, at construction, on a blank image of 256 x 256 pixels:
    a scene of 64 pixels gives P6 and P7 one cell each, and could not tell them apart. On such
    scenes torchvision lays its anchors at steps of image size // map size, 64 // 1 for P7; they
    are left as they are, since training and detection agree on them.
    """

    model: Any

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        transform = self.model.transform
        self.input_format = InputFormat(
            mean=tuple(transform.image_mean),
            std=tuple(transform.image_std),
            min_size=tuple(transform.min_size),
            max_size=transform.max_size,
            size_divisible=transform.size_divisible,
            fixed_size=transform.fixed_size,
        )
        # Now rather than at first use, where a caller's hooks would see the blank image pass.
        _ = self._probed

    def preprocess(
        self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Batch:
        """Resize, normalise and pad as the model's own transform does; boxes follow.

        In training mode a transform with several ``min_size`` draws one for each image, here and
        nowhere else: student and teacher must share the batch that comes out.

        Args:
            images: each (3, h, w), floating point in [0, 1] or uint8, on the model's device.
            targets: one per image, boxes in pixels of the image; other entries are kept as given.

        Raises:
            ValueError: a box is empty or turned round, a label is not in 1 .. num_classes - 1, or
                the numbers of images and targets, or of boxes and labels, differ.
        """
        if targets is not None:
            check_targets(images, targets, self.num_classes)
        images = [as_float(image) for image in images]
        resized, moved = self.model.transform(images, targets and list(targets))
        return Batch(
            images=resized.tensors,
            sizes=tuple(resized.image_sizes),
            original_sizes=tuple((image.shape[-2], image.shape[-1]) for image in images),
            targets=None if targets is None else tuple(moved),
        )

    def trunk(self, batch: Batch) -> Pyramid:
        """Maps of ``backbone.body``, or of the whole backbone where it has no neck."""
        return name_maps(list(self._body(batch.images).values()), self.trunk_levels)

    def neck(self, trunk: Pyramid) -> Pyramid:
        """``backbone.fpn`` on trunk maps matched by stride; the identity where there is no FPN.

        Raises:
            ValueError: a stride is missing or a map has the wrong number of channels.
        """
        maps = select_maps(trunk, self.trunk_levels, reader="neck")
        named = OrderedDict(zip(self._trunk_keys, maps, strict=True))
        return name_maps(list(self._fpn(named).values()), self.levels)

    def _body(self, images: Tensor) -> dict[str, Tensor]:
        backbone = self.model.backbone
        maps = backbone.body(images) if _has_fpn(backbone) else backbone(images)
        return OrderedDict({"0": maps}) if isinstance(maps, Tensor) else maps

    def _fpn(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        backbone = self.model.backbone
        return backbone.fpn(maps) if _has_fpn(backbone) else maps

    def _probe(self) -> tuple[tuple[LevelInfo, ...], tuple[LevelInfo, ...]]:
        size = self._probe_size()
        weight = next(self.model.parameters())
        with in_eval(self.model), torch.no_grad():
            blank = torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device)
            trunk = self._body(blank)
            self._trunk_keys = tuple(trunk)
            features = self._fpn(trunk)
        self._keys = tuple(features)
        return (
            _infos("c", list(trunk.values()), self._strides(list(trunk.values()), size)),
            _infos("p", list(features.values()), self._strides(list(features.values()), size)),
        )

    def _probe_size(self) -> tuple[int, int]:
        return PROBE_SIZE

    def _strides(self, maps: Sequence[Tensor], size: tuple[int, int]) -> list[int]:
        strides = [2 ** round(log2(size[0] / values.shape[-2])) for values in maps]
        if len(set(strides)) < len(strides):
            raise ValueError(
                f"levels are matched by stride, but this backbone has levels of strides {strides}; "
                "build it without dilation or return fewer layers"
            )
        return strides


def targets_of(batch: Batch) -> list[Target]:
    """Targets of a batch that is to give losses.

    Raises:
        ValueError: the batch was made without targets.
    """
    if batch.targets is None:
        raise ValueError("losses need targets: make the batch with preprocess(images, targets)")
    return list(batch.targets)


def in_original_pixels(results: Sequence[dict[str, Tensor]], batch: Batch) -> list[Detection]:
    """Detections with their boxes scaled back.

    The model's own ``transform.postprocess`` does this in eval mode only.
    """
    return [
        Detection(
            boxes=resize_boxes(result["boxes"], size, original),
            scores=result["scores"],
            labels=result["labels"],
        )
        for result, size, original in zip(results, batch.sizes, batch.original_sizes, strict=True)
    ]


def outputs_of(output: HeadOutput) -> dict[str, Tensor]:
    """A dense head's output under the names that torchvision's losses and NMS read."""
    extras: dict[str, Any] = output.extras
    names = {name: extras[name] for name in ("bbox_ctrness",) if name in extras}
    return {"cls_logits": output.logits, "bbox_regression": output.boxes} | names


def anchors_of(output: HeadOutput) -> list[Tensor]:
    """Prior boxes that the output was made with, for each image (P, 4)."""
    anchors: Any = output.extras["anchors"]
    return anchors


def lay_anchors(generator: nn.Module, maps: Sequence[Tensor], batch: Batch) -> list[Tensor]:
    """Prior boxes of each image, (P, 4) xyxy in network pixels, in float32 also inside autocast.

    torchvision lays them in the type of the maps, and bfloat16 knows the position 800 only to four
    pixels. All images of a batch share one tensor.
    """
    dtype = torch.promote_types(maps[0].dtype, torch.float32)
    grids = [values.new_empty((), dtype=dtype).expand(values.shape) for values in maps]
    one = ImageList(batch.images, list(batch.sizes[:1]))
    return generator(one, grids) * len(batch.sizes)


def grid_anchors(generator: nn.Module, maps: Sequence[Tensor], batch: Batch) -> list[Tensor]:
    """Prior boxes of each level, (H, W, A, 4) xyxy in network pixels, the same for all images."""
    flat = lay_anchors(generator, maps, batch)[0]
    counts = anchor_counts(generator, maps)
    return [
        boxes.view(*values.shape[-2:], -1, 4)
        for boxes, values in zip(flat.split(counts), maps, strict=True)
    ]


def anchor_counts(generator: Any, maps: Sequence[Tensor]) -> list[int]:
    """Number of prediction slots of each level: H * W * A."""
    return [
        values.shape[-2] * values.shape[-1] * each
        for values, each in zip(maps, generator.num_anchors_per_location(), strict=True)
    ]


def _has_fpn(backbone: nn.Module) -> bool:
    # A subclass with a forward of its own may do more than body and fpn: it stays in one piece.
    return (
        isinstance(backbone, BackboneWithFPN) and type(backbone).forward is BackboneWithFPN.forward
    )


def _infos(letter: str, maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[LevelInfo, ...]:
    return tuple(
        LevelInfo(f"{letter}{stride.bit_length() - 1}", stride, values.shape[1])
        for values, stride in zip(maps, strides, strict=True)
    )


def as_float(images: Tensor) -> Tensor:
    """Pixels in [0, 1] of uint8 images; floating point images as they are."""
    if images.is_floating_point():
        return images
    return to_dtype(images, torch.float32, scale=True)


def check_targets(images: Sequence[Tensor], targets: Sequence[Target], num_classes: int) -> None:
    """Raise unless there is a target for each image, of sound boxes and known labels.

    It looks at the values once for the whole batch, which makes a GPU wait: check them before they
    go there.

    Raises:
        ValueError: names the first target that cannot be right, and why.
    """
    if len(images) != len(targets):
        raise ValueError(f"{len(images)} images but {len(targets)} targets; give one per image")
    for index, target in enumerate(targets):
        shape, count = tuple(target["boxes"].shape), tuple(target["labels"].shape)
        if len(shape) != 2 or shape[1] != 4 or count != shape[:1]:
            raise ValueError(
                f"target {index} must have boxes (G, 4) and labels (G,) but has {shape} and {count}"
            )
    boxes = torch.cat([target["boxes"] for target in targets])
    labels = torch.cat([target["labels"] for target in targets])
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(dim=1)
    wrong = empty | (labels < 1) | (labels >= num_classes)
    if not wrong.any():  # the only look at the device, for the whole batch
        return
    row = int(wrong.nonzero()[0])
    owner = [index for index, target in enumerate(targets) for _ in target["boxes"]][row]
    if empty[row]:
        raise ValueError(
            f"boxes are (x1, y1, x2, y2) with x1 < x2 and y1 < y2, but target {owner} has "
            f"{boxes[row].tolist()}; drop empty boxes, convert from (x, y, width, height)"
        )
    raise ValueError(
        f"labels run from 1 to {num_classes - 1}, but target {owner} has {int(labels[row])}; take "
        "a detector of these classes, built with their number + 1, and count them from 1"
    )
