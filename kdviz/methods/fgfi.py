"""FGFI: imitate the teacher only near objects, where its anchors overlap a box well.

Wang, Yuan, Zhang, Feng, Distilling Object Detectors with Fine-grained Feature Imitation, CVPR 2019,
arXiv:1906.03609. Away from objects the teacher's activations vary more than near them and say
little; imitating all of them swamps the student (paper, baseline F). FGFI keeps the cells that have
an anchor close to a ground-truth box and, because "close" is relative to the best anchor that this
very box has, no box is ever left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from kdviz.checks import check_same_shape, check_shape
from kdviz.detectors.parts import DetectorParts, HasAnchors, Pass
from kdviz.methods.adapters import ConvAdapter, in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.methods.boxes import (
    boxes_by_level,
    boxes_of_batch,
    levels_by_scale,
    of_one_image,
    one_hot,
    scaled_box_masks,
)
from kdviz.structures import Batch, Pyramid

LevelRule = Literal["scale", "best_anchor"]

# IoUs held at once while a mask is made: a megabyte, which stays in the cache of a CPU core.
IOU_BUDGET = 250_000

# --- where ----------------------------------------------------------------------------------------


def mask_from_iou(iou: Tensor, psi: float = 0.5) -> Tensor:
    r"""Cells with an anchor above ``psi`` times the best IoU that a box reaches anywhere.

    The threshold belongs to each box, F_g = psi * max(m_g), and the inequality is strict: psi = 0
    keeps every cell that touches a box at all, psi = 1 keeps none. A box that no anchor touches
    keeps no cell.

    .. math:: I = \bigvee_g \bigvee_k \big( m_{g,k} > \psi \max_{i,j,k} m_{g,ijk} \big)

    Args:
        iou: overlap of each anchor with each box, (H, W, A, G), in [0, 1].
        psi: threshold factor, in [0, 1].

    Returns:
        Boolean (H, W).

    Raises:
        ValueError: ``iou`` does not have four axes, or psi is outside [0, 1].
    """
    check_shape("iou", iou, ("H", "W", "A", "G"))
    _check_psi(psi)
    return _near_boxes(iou.permute(3, 0, 1, 2), psi).any(dim=0)


def _near_boxes(iou: Tensor, psi: float) -> Tensor:
    """Which cells each box keeps, (G, H, W), by IoUs with the boxes first."""
    return (iou > psi * iou.amax(dim=(1, 2, 3), keepdim=True)).any(dim=3)


def imitation_mask(anchors: Tensor, boxes: Tensor, psi: float = 0.5) -> Tensor:
    """The cells of one level that the student imitates for these boxes.

    Boxes are taken in chunks, so that memory does not grow with their number. All anchors take
    part, also those that cross the border of the image.

    Args:
        anchors: prior boxes, (H, W, A, 4), xyxy in network pixels.
        boxes: ground-truth boxes of this level, (G, 4), xyxy in network pixels.
        psi: threshold factor, in [0, 1].

    Returns:
        Boolean (H, W); all False without boxes.

    Raises:
        ValueError: a shape does not fit, or psi is outside [0, 1].
    """
    return imitation_masks(anchors, boxes, of_one_image(boxes), count=1, psi=psi)[0]


def imitation_masks(
    anchors: Tensor, boxes: Tensor, image: Tensor, *, count: int, psi: float = 0.5
) -> Tensor:
    """`imitation_mask` of each image of a batch, in as many operations as one of them takes.

    Args:
        anchors: prior boxes of every image, (H, W, A, 4), xyxy in network pixels.
        boxes: ground-truth boxes of this level and of all images, (G, 4), xyxy in network pixels.
        image: which image each box is on, int64 (G,), in [0, N).
        count: N, the number of images.
        psi: threshold factor, in [0, 1].

    Returns:
        Boolean (N, H, W).

    Raises:
        ValueError: a shape does not fit, or psi is outside [0, 1].
    """
    check_shape("anchors", anchors, ("H", "W", "A", 4))
    check_shape("boxes", boxes, ("G", 4))
    check_shape("image", image, (len(boxes),))
    _check_psi(psi)
    masks = torch.zeros(count, *anchors.shape[:2], dtype=torch.bool, device=anchors.device)
    first = 0
    for iou in _iou_chunks(anchors, boxes):
        last = first + len(iou)
        own = one_hot(image[first:last], count)
        masks |= torch.einsum("ng,ghw->nhw", own, _near_boxes(iou, psi).float()) > 0
        first = last
    return masks


def _check_psi(psi: float) -> None:
    if not 0.0 <= psi <= 1.0:
        raise ValueError(f"psi is a share of each box's best IoU, in [0, 1], but is {psi}")


def _iou_chunks(anchors: Tensor, boxes: Tensor) -> Iterator[Tensor]:
    """IoUs of some boxes at a time, (G, H, W, A)."""
    flat = anchors.reshape(-1, 4).T.contiguous()
    for chunk in boxes.split(max(1, IOU_BUDGET // max(1, flat.shape[1]))):
        iou = _iou(flat, chunk.T[..., None])
        yield iou.view(len(chunk), *anchors.shape[:3])


def _iou(anchors: Tensor, boxes: Tensor) -> Tensor:
    # One plane a coordinate: with the four of a box side by side, as torchvision's box_iou has
    # them, the same numbers take seven times as long on a CPU.
    ax1, ay1, ax2, ay2 = anchors
    bx1, by1, bx2, by2 = boxes
    width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    height = (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0)
    shared = width.mul_(height)
    return shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared)


def levels_by_best_anchor(boxes: Tensor, anchors: list[Tensor]) -> Tensor:
    """Level of each box by the anchor that overlaps it best, over all levels.

    Args:
        boxes: (G, 4), xyxy in network pixels.
        anchors: of each level, (H, W, A, 4).

    Returns:
        int64 (G,), index into ``anchors``.
    """
    best = [
        torch.cat([iou.amax(dim=(1, 2, 3)) for iou in _iou_chunks(level, boxes)])
        for level in anchors
    ]
    return torch.stack(best).argmax(dim=0)


def mask_anchors(parts: DetectorParts, features: Pyramid, batch: Batch) -> list[Tensor]:
    """Anchors to draw masks with: the detector's own, or RetinaNet's for one that has points only.

    The square of one stride that an FCOS generator puts on each point overlaps no real object well,
    so for FCOS the nine RetinaNet shapes (4 strides x 3 octave steps, 3 ratios) stand in; they
    shape the mask and nothing else.

    Returns:
        One tensor per level, (H, W, 9, 4) or (H, W, A, 4), xyxy in network pixels.
    """
    if isinstance(parts, HasAnchors):
        return parts.anchors(features, batch)
    size_of = [(values.shape[-2], values.shape[-1]) for values in features.maps]
    return [
        retinanet_anchors(size, stride, like=batch.images)
        for size, stride in zip(size_of, features.strides, strict=True)
    ]


def retinanet_anchors(size: tuple[int, int], stride: int, *, like: Tensor) -> Tensor:
    """RetinaNet's nine anchors of each cell, the numbers of torchvision's generator.

    Its generator keeps the shapes on the host, and a copy to a GPU would wait in each step; these
    are made where they are used.

    Args:
        size: (H, W) of the level, cells.
        stride: pixels from cell to cell.
        like: gives type and device.

    Returns:
        (H, W, 9, 4), xyxy in network pixels, round the multiples of the stride.
    """
    thirds, halves, y, x = (
        torch.arange(*span, dtype=like.dtype, device=like.device)
        for span in ((3,), (-1, 2), (size[0],), (size[1],))
    )
    side, root = 4 * stride * torch.exp2(thirds / 3), torch.exp2(halves / 2)[:, None]
    half = torch.stack([side / root, side * root], dim=-1).flatten(0, 1) / 2
    shapes = torch.cat([-half, half], dim=-1).round()
    points = torch.stack(torch.meshgrid(stride * x, stride * y, indexing="xy"), dim=-1)
    return points.repeat(1, 1, 2)[:, :, None] + shapes


# --- loss -----------------------------------------------------------------------------------------


def fgfi_loss(*, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    r"""Half the squared feature distance, averaged over the cells of the mask.

    .. math:: L = \frac{1}{2 N_p} \sum_{n,h,w} I_{nhw} \sum_c (s_{nchw} - t_{nchw})^2,
        \quad N_p = \sum_{n,h,w} I_{nhw}

    N_p counts the cells of the whole batch, so an image with many objects weighs more.

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        mask: which cells to imitate, (N, 1, H, W), boolean or 0/1.

    Returns:
        Scalar >= 0; an attached 0 for an empty mask.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_same_shape(student=student, teacher=teacher)
    n, _, height, width = student.shape
    check_shape("mask", mask, (n, 1, height, width))
    error = (in_full_precision(student) - in_full_precision(teacher)).square().sum(1, keepdim=True)
    mask = mask.to(error.dtype)
    return (mask * error).sum() / (2 * mask.sum()).clamp(min=1.0)


# --- the method -----------------------------------------------------------------------------------


class FGFI(Method):
    """Fine-grained feature imitation on the pyramid levels that the two detectors share.

    Args:
        student: the detector that learns; its anchors shape the masks.
        teacher: the frozen detector.
        psi: threshold factor, in [0, 1]; the paper's sweep is best at 0.5 to 0.6.
        region: ``"anchors"`` is the method; ``"boxes"`` the paper's baseline G.
        levels: which level builds the mask of a box: by the box's ``"scale"``, or that of its
            ``"best_anchor"``. Every box on every level would flood the coarse masks.
        relu: end the adapter in a ReLU. The paper's teachers give post-ReLU maps; a pyramid's maps
            have both signs, so it is off.

    Raises:
        ValueError: the detectors share no stride.
    """

    weights: Mapping[str, TermWeight] = {"fgfi": TermWeight(0.01, start=400)}
    """lambda = 0.01 for VGG-11 Faster R-CNN and 400 steps without imitation, as released;
    the author advises to bring the term to the scale of the detection loss on other detectors."""

    def __init__(
        self,
        student: DetectorParts,
        teacher: DetectorParts,
        psi: float = 0.5,
        region: Literal["anchors", "boxes"] = "anchors",
        levels: LevelRule = "scale",
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.psi, self.region, self.level_rule = psi, region, levels
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs, init_std=1e-4, relu=relu)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``fgfi/<level>``; map ``mask``, boolean, (N, 1, H, W) per level."""
        masks = self.where(student, batch)
        adapted = self.adapter(student.features)
        losses = {
            f"fgfi/{level.name}": fgfi_loss(
                student=level.map,
                teacher=teacher.features.at(level.stride).map,
                mask=masks.at(level.stride).map,
            )
            for level in adapted.levels
        }
        return Distillation(losses, {"mask": masks})

    @torch.no_grad()
    def where(self, student: Pass, batch: Batch) -> Pyramid:
        """Imitation masks of a batch, boolean (N, 1, H, W) on every shared level."""
        shared = Pyramid(tuple(student.features.at(stride) for stride in self.adapter.strides))
        every = mask_anchors(student.parts, student.features, batch)
        anchors = [every[student.features.strides.index(stride)] for stride in shared.strides]
        boxes, image = boxes_of_batch(batch)
        if self.level_rule == "scale":
            owner = levels_by_scale(boxes, shared.strides)
        else:
            owner = levels_by_best_anchor(boxes, anchors)
        count = len(batch.images)
        levels = zip(
            anchors,
            shared.strides,
            boxes_by_level(boxes, image, owner, shared.strides),
            strict=True,
        )
        masks = [self._level_masks(a, *own, count, stride) for a, stride, own in levels]
        return shared.with_maps([mask.unsqueeze(1) for mask in masks])

    def _level_masks(
        self, anchors: Tensor, boxes: Tensor, image: Tensor, count: int, stride: int
    ) -> Tensor:
        if self.region == "boxes":
            size = (anchors.shape[0], anchors.shape[1])
            return scaled_box_masks(size, boxes, image, count=count, stride=stride)
        return imitation_masks(anchors, boxes, image, count=count, psi=self.psi)
