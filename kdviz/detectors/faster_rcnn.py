"""Faster R-CNN in parts: a dense first stage, and a second stage that scores proposals."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.models.detection.rpn import concat_box_prediction_layers

from kdviz.detectors.assembly import (
    TorchvisionParts,
    anchor_counts,
    anchors_of,
    grid_anchors,
    in_original_pixels,
    lay_anchors,
    targets_of,
)
from kdviz.detectors.parts import select_maps
from kdviz.structures import Batch, Detection, HeadOutput, Pyramid, Target


class FasterRCNNParts(TorchvisionParts):
    """Faster R-CNN: the RPN is its dense evidence, the RoI stage classifies proposals.

    ``logits`` (N, P, 1) and ``boxes`` (N, P, 4) of its `HeadOutput` are those of the RPN:
    objectness (sigmoid) and (dx, dy, dw, dh) against the anchor, slots level by level. The classes
    are in ``extras``; ``num_classes`` is the length of *their* class axis, background in column 0.

    Which proposals the RoI stage scores does not depend on the model's mode, only on what is asked:

    ============================  ========  =====================================================
    call                          scored    proposals
    ============================  ========  =====================================================
    batch without targets         all       those that are kept at inference (1000 an image)
    batch with targets            sampled   drawn from those kept in training, as torchvision does
    ``proposals=...``             given     these; with targets they are labelled, never sampled
    ============================  ========  =====================================================

    Sampling draws random numbers in torchvision's order, anchors before proposals, so the losses
    are those of ``model.train()(images, targets)`` under the same seed. ``detections`` of a sampled
    output sends the proposals kept at inference through the RoI stage a second time, on the same
    maps: validation losses and detections cost one pass of the backbone. For imitation both
    detectors must score the same boxes: give the teacher the student's
    ``output.extras["proposals"]``; a call with given proposals draws no random number.

    Keys of ``extras``, R_i being the number of proposals of image i and R their sum:
        ``anchors``: for each image (P, 4), prior boxes of the RPN in network pixels.
        ``scored``: ``"all"``, ``"sampled"`` or ``"given"``.
        ``proposals``: for each image (R_i, 4) xyxy in network pixels, no gradient.
        ``class_logits``: (R, num_classes) of the RoI stage, softmax.
        ``box_regression``: (R, 4 * num_classes), (dx, dy, dw, dh) of each class against the
        proposal, times the coder's weights (10, 10, 5, 5).
        ``labels``: for each image (R_i,), 0 for background, -1 for neither; None without targets.
        ``regression_targets``: for each image (R_i, 4) in the coding above; None without targets.
        ``sampled_anchors``: (positive, negative) rows of the flattened (N * P) anchors that the
        loss of the RPN counts; None unless sampled.
        ``anchor_labels``, ``anchor_targets``: for each image (P,) and (P, 4); None unless sampled.
        ``maps``: the maps that the RoI stage pooled from, under torchvision's keys.
    """

    model: FasterRCNN

    def __init__(self, model: FasterRCNN) -> None:
        heads: Any = model.roi_heads
        if heads.has_mask() or heads.has_keypoint():
            raise TypeError(
                f"{type(model).__name__} has a mask or keypoint head, whose losses would be lost; "
                "only box detectors can be seen in parts"
            )
        super().__init__(model)
        self.num_classes = heads.box_predictor.cls_score.out_features

    def anchors(self, features: Pyramid, batch: Batch) -> list[Tensor]:
        """Prior boxes of the RPN on each level, (H, W, A, 4) xyxy in network pixels."""
        maps = select_maps(features, self.levels, reader="head")
        return grid_anchors(self.model.rpn.anchor_generator, maps, batch)

    def head(
        self, features: Pyramid, batch: Batch, proposals: Sequence[Tensor] | None = None
    ) -> HeadOutput:
        """RPN on every level, then the RoI stage on the proposals; see the class for which.

        Args:
            features: of this or another detector, matched by stride; needs this head's channels.
            batch: gives the image sizes, and with its targets the sampling.
            proposals: for each image (R_i, 4) xyxy in network pixels, to be scored as they are.

        Raises:
            ValueError: a stride is missing, a map has the wrong number of channels, or there are
                not as many lists of proposals as images.
        """
        rpn, sizes = self.model.rpn, list(batch.sizes)
        chosen = select_maps(features, self.levels, reader="head")
        maps = OrderedDict(zip(self._keys, chosen, strict=True))
        logits, deltas = concat_box_prediction_layers(*rpn.head(chosen))
        output = HeadOutput(
            logits=logits.view(len(sizes), -1, 1),
            boxes=deltas.view(len(sizes), -1, 4),
            slots=tuple(anchor_counts(rpn.anchor_generator, chosen)),
            score="sigmoid",
            extras={"anchors": lay_anchors(rpn.anchor_generator, chosen, batch), "maps": maps},
        )
        targets = None if batch.targets is None else list(batch.targets)
        stage: dict[str, Any] = dict.fromkeys(_SAMPLING)
        if proposals is not None:
            if len(proposals) != len(sizes):
                raise ValueError(f"{len(proposals)} lists of proposals for {len(sizes)} images")
            stage |= self._given(list(proposals), targets)
        elif targets is not None:
            stage |= self._sampled(output, targets, batch)
        else:
            stage |= {"scored": "all", "proposals": self._proposals(output, batch, training=False)}
        stage |= self._score(maps, stage["proposals"], batch)
        return replace(output, extras=output.extras | stage)

    def losses(self, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
        """``loss_classifier``, ``loss_box_reg``, ``loss_objectness`` and ``loss_rpn_box_reg``.

        An output of given proposals has its anchors sampled here, since ``head`` drew nothing.

        Raises:
            ValueError: the batch has no targets, or ``head`` saw a batch without targets.
        """
        targets = targets_of(batch)
        extras: dict[str, Any] = output.extras
        if extras["labels"] is None:
            raise ValueError(
                "this output was made from a batch without targets, so no proposal has a label; "
                "call head on the batch with targets"
            )
        if extras["sampled_anchors"] is None:
            extras = extras | self._sample_anchors(output, targets)
        labels = torch.cat(extras["labels"])
        counted = labels >= 0
        classifier, box_reg = fastrcnn_loss(
            extras["class_logits"][counted],
            extras["box_regression"][counted],
            [labels[counted]],
            [torch.cat(extras["regression_targets"])[counted]],
        )
        objectness, rpn_box_reg = _rpn_losses(output, **{x: extras[x] for x in _RPN_LOSS})
        return {
            "loss_classifier": classifier,
            "loss_box_reg": box_reg,
            "loss_objectness": objectness,
            "loss_rpn_box_reg": rpn_box_reg,
        }

    @torch.no_grad()
    def detections(self, output: HeadOutput, batch: Batch) -> list[Detection]:
        """Boxes after score threshold and NMS, in original pixels; they carry no gradient.

        An output of given proposals gives the detections of these proposals.
        """
        extras: dict[str, Any] = output.extras
        if extras["scored"] == "sampled":
            proposals = self._proposals(output, batch, training=False)
            extras = {"proposals": proposals} | self._score(extras["maps"], proposals, batch)
        boxes, scores, labels = self.model.roi_heads.postprocess_detections(
            extras["class_logits"], extras["box_regression"], extras["proposals"], list(batch.sizes)
        )
        results = [
            {"boxes": b, "scores": s, "labels": k}
            for b, s, k in zip(boxes, scores, labels, strict=True)
        ]
        return in_original_pixels(results, batch)

    def _proposals(self, output: HeadOutput, batch: Batch, *, training: bool) -> list[Tensor]:
        rpn, anchors = self.model.rpn, anchors_of(output)
        decoded = rpn.box_coder.decode(output.boxes.detach().reshape(-1, 4), anchors)
        decoded = decoded.view(len(anchors), -1, 4)
        with _counting_as(rpn, training=training):
            return rpn.filter_proposals(
                decoded, output.logits, list(batch.sizes), list(output.slots)
            )[0]

    def _score(
        self, maps: dict[str, Tensor], proposals: list[Tensor], batch: Batch
    ) -> dict[str, Tensor]:
        heads = self.model.roi_heads
        pooled = heads.box_head(heads.box_roi_pool(maps, proposals, list(batch.sizes)))
        class_logits, box_regression = heads.box_predictor(pooled)
        return {"class_logits": class_logits, "box_regression": box_regression}

    def _sample_anchors(self, output: HeadOutput, targets: list[Target]) -> dict[str, Any]:
        rpn, anchors = self.model.rpn, anchors_of(output)
        labels, matched = rpn.assign_targets_to_anchors(anchors, targets)
        positive, negative = rpn.fg_bg_sampler(labels)
        return {
            "anchor_labels": labels,
            "anchor_targets": rpn.box_coder.encode(matched, anchors),
            "sampled_anchors": tuple(
                torch.where(torch.cat(masks))[0] for masks in (positive, negative)
            ),
        }

    def _sampled(self, output: HeadOutput, targets: list[Target], batch: Batch) -> dict[str, Any]:
        kept = self._proposals(output, batch, training=True)
        sampled = self._sample_anchors(output, targets)  # first, as torchvision draws them
        proposals, _, labels, encoded = self.model.roi_heads.select_training_samples(kept, targets)
        return sampled | {
            "scored": "sampled",
            "proposals": proposals,
            "labels": labels,
            "regression_targets": encoded,
        }

    def _given(self, proposals: list[Tensor], targets: list[Target] | None) -> dict[str, Any]:
        if targets is None:
            return {"scored": "given", "proposals": proposals}
        heads = self.model.roi_heads
        boxes = [target["boxes"] for target in targets]
        nearest, labels = heads.assign_targets_to_proposals(
            proposals, boxes, [target["labels"] for target in targets]
        )
        # An image without boxes has only background, whose regression target nobody reads.
        matched = [
            each[index] if len(each) else torch.zeros_like(given)
            for each, index, given in zip(boxes, nearest, proposals, strict=True)
        ]
        return {
            "scored": "given",
            "proposals": proposals,
            "labels": labels,
            "regression_targets": list(heads.box_coder.encode(matched, proposals)),
        }


_RPN_LOSS = ("sampled_anchors", "anchor_labels", "anchor_targets")
_SAMPLING = ("labels", "regression_targets", *_RPN_LOSS)


def _rpn_losses(
    output: HeadOutput,
    *,
    sampled_anchors: tuple[Tensor, Tensor],
    anchor_labels: list[Tensor],
    anchor_targets: list[Tensor],
) -> tuple[Tensor, Tensor]:
    # `rpn.compute_loss` samples the anchors itself; here they have been drawn in ``head``.
    positive, negative = sampled_anchors
    sampled = torch.cat([positive, negative])
    box_loss = functional.smooth_l1_loss(
        output.boxes.reshape(-1, 4)[positive],
        torch.cat(anchor_targets)[positive],
        beta=1 / 9,
        reduction="sum",
    )
    objectness = functional.binary_cross_entropy_with_logits(
        output.logits.flatten()[sampled], torch.cat(anchor_labels)[sampled]
    )
    return objectness, box_loss / sampled.numel()


@contextmanager
def _counting_as(rpn: nn.Module, *, training: bool) -> Iterator[None]:
    """The RPN alone, none of its children, believes in this mode: it then keeps that many boxes."""
    mode = rpn.training
    rpn.training = training
    try:
        yield
    finally:
        rpn.training = mode
