"""FGD: imitate objects and background apart, where the teacher attends, and the context of all.

Yang, Li, Jiang, Gong, Yuan, Zhao, Yuan, Focal and Global Knowledge Distillation for Detectors,
CVPR 2022, arXiv:2111.11837. Focal: each object weighs the same whatever its size, the background is
a term of its own, and both are weighed by the teacher's attention. Global: two context blocks, one
for each detector, bring back the relation between the places that the focal terms treat apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kdviz.checks import check_same_shape, check_shape
from kdviz.detectors.dense import FCOSParts
from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, in_full_precision, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.structures import Batch, Pyramid

PUBLISHED_WEIGHTS = {  # foreground, background, attention, global
    FCOSParts: (1.6e-3, 8e-4, 8e-4, 8e-6),
    FasterRCNNParts: (5e-5, 2.5e-5, 5e-5, 5e-7),
}

# --- where ----------------------------------------------------------------------------------------


def foreground_weights(size: tuple[int, int], boxes: Tensor) -> Tensor:
    """One over the number of cells of the smallest box that covers a cell.

    A box covers the cells from floor(x1) to ceil(x2), both included, likewise in y; at the border
    those that fall off the map are counted too, as in the release.

    Args:
        size: (H, W) of the level, cells.
        boxes: (G, 4), xyxy in cells of this level. Every box counts on every level.

    Returns:
        (H, W), in [0, 1]; 0 outside all boxes.
    """
    check_shape("boxes", boxes, ("G", 4))
    low, high = boxes[:, :2].floor(), boxes[:, 2:].ceil()
    weight = 1.0 / (high + 1 - low).prod(dim=1)
    y, x = (torch.arange(n, device=boxes.device) for n in size)
    rows = (y >= low[:, 1:]) & (y <= high[:, 1:])
    columns = (x >= low[:, :1]) & (x <= high[:, :1])
    inside = rows[:, :, None] & columns[:, None, :]
    # A row of zeros keeps the maximum defined without boxes.
    return torch.cat([weight.new_zeros(1, *size), inside * weight[:, None, None]]).amax(dim=0)


def background_weights(foreground: Tensor) -> Tensor:
    """One over the number of cells outside all boxes, there; (H, W), sums to 1 or is 0."""
    outside = (foreground == 0).to(foreground.dtype)
    return outside / outside.sum().clamp(min=1.0)


def spatial_attention(values: Tensor, temperature: float = 0.5) -> Tensor:
    """H*W softmax over the cells of the channels' mean magnitude: (N, 1, H, W), mean 1."""
    mean = in_full_precision(values).abs().mean(dim=1, keepdim=True)
    weights = (mean.flatten(2) / temperature).softmax(dim=2) * mean[0, 0].numel()
    return weights.view_as(mean)


def channel_attention(values: Tensor, temperature: float = 0.5) -> Tensor:
    """C softmax over the channels of the cells' mean magnitude: (N, C, 1, 1), mean 1."""
    mean = in_full_precision(values).abs().mean(dim=(2, 3), keepdim=True)
    return (mean / temperature).softmax(dim=1) * values.shape[1]


# --- adapt ----------------------------------------------------------------------------------------


class GlobalContext(nn.Module):
    """Adds to every cell one vector made from all of them (Cao et al., GCNet, 2019).

    Its last convolution starts at 0, so at first it changes nothing.

    Args:
        channels: of the map, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 2
        self.mask = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.LayerNorm([hidden, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
        )
        for parameter in self.transform[3].parameters():
            nn.init.zeros_(parameter)

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        looks = self.mask(values).flatten(2).softmax(dim=2)
        context = (values.flatten(2) * looks).sum(dim=2)[:, :, None, None]
        return values + self.transform(context)


# --- loss -----------------------------------------------------------------------------------------


def fgd_loss(*, student: Tensor, teacher: Tensor, mask: Tensor, temperature: float = 0.5) -> Tensor:
    r"""Focal term of one region: squared distance, weighed by region and teacher's attention.

    .. math:: L = \frac{1}{N} \sum_{n,c,h,w} M_{nhw} A^S_{nhw} A^C_{nc} (s_{nchw} - t_{nchw})^2

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient; both attentions are its own.
        mask: `foreground_weights` or `background_weights`, (N, 1, H, W), >= 0.
        temperature: of the attentions, > 0; a small one sharpens them.

    Returns:
        Scalar >= 0; an attached 0 for an empty mask.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    check_same_shape(student=student, teacher=teacher)
    check_shape("mask", mask, (len(student), 1, *student.shape[2:]))
    error = (in_full_precision(student) - in_full_precision(teacher)).square()
    attended = (error * channel_attention(teacher, temperature)).sum(dim=1, keepdim=True)
    return (mask * spatial_attention(teacher, temperature) * attended).sum() / len(student)


def attention_loss(*, student: Tensor, teacher: Tensor, temperature: float = 0.5) -> Tensor:
    r"""Absolute difference of both attentions, summed over an image.

    .. math:: L = \frac{1}{N} \sum_n \Big( \lVert A^S_n(s) - A^S_n(t) \rVert_1
        + \lVert A^C_n(s) - A^C_n(t) \rVert_1 \Big)

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        temperature: of the attentions, > 0.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    differences = (
        (attention(student, temperature) - attention(teacher, temperature)).abs().sum()
        for attention in (spatial_attention, channel_attention)
    )
    return torch.stack(list(differences)).sum() / len(student)


def global_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the maps after their context blocks, summed over an image.

    Args:
        student: (N, C, H, W), has gradient.
        teacher: of the same shape, has gradient for its context block alone.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    error = in_full_precision(student) - in_full_precision(teacher)
    return error.square().sum() / len(student)


# --- the method -----------------------------------------------------------------------------------


class FGD(Method):
    """Focal and global distillation on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        temperature: of the attentions, > 0; if not given, 0.8 for FCOS and 0.5 for other students.

    Raises:
        ValueError: the detectors share no stride.
    """

    weights: Mapping[str, TermWeight] = {
        "fgd_foreground": TermWeight(1e-3),
        "fgd_background": TermWeight(5e-4),
        "fgd_attention": TermWeight(5e-4),
        "fgd_global": TermWeight(5e-6),
    }
    """As released for RetinaNet; a student of another family has its own."""

    def __init__(
        self, student: DetectorParts, teacher: DetectorParts, temperature: float | None = None
    ) -> None:
        super().__init__()
        self.temperature = temperature or (0.8 if isinstance(student, FCOSParts) else 0.5)
        for family, values in PUBLISHED_WEIGHTS.items():
            if isinstance(student, family):
                self.weights = dict(zip(self.weights, map(TermWeight, values), strict=True))
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs, kernel_size=1, skip_equal=True)
        self.student_context, self.teacher_context = (
            nn.ModuleDict({own.name: GlobalContext(taught.channels) for own, taught in pairs})
            for _ in range(2)
        )

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``fgd_<term>/<level>``; maps ``foreground``, ``background`` and ``attention``."""
        adapted = self.adapter(student.features)
        taught = [teacher.features.at(stride).map for stride in adapted.strides]
        maps = self.where(adapted, batch)
        attention = [spatial_attention(values, self.temperature) for values in taught]
        losses: dict[str, Tensor] = {}
        for i, (level, target) in enumerate(zip(adapted.levels, taught, strict=True)):
            for region in ("foreground", "background"):
                losses[f"fgd_{region}/{level.name}"] = fgd_loss(
                    student=level.map,
                    teacher=target,
                    mask=maps[region].maps[i],
                    temperature=self.temperature,
                )
            losses[f"fgd_attention/{level.name}"] = attention_loss(
                student=level.map, teacher=target, temperature=self.temperature
            )
            losses[f"fgd_global/{level.name}"] = global_loss(
                student=self.student_context[level.name](level.map),
                teacher=self.teacher_context[level.name](target),
            )
        return Distillation(losses, maps | {"attention": adapted.with_maps(attention)})

    @torch.no_grad()
    def where(self, adapted: Pyramid, batch: Batch) -> dict[str, Pyramid]:
        """``foreground`` and ``background`` of a batch, (N, 1, H, W) on every shared level.

        The cells of a level are those of the padded images; the release divides by the unpadded
        size, which shifts the boxes of all images but the largest of a batch.
        """
        height, width = batch.images.shape[-2:]
        levels = []
        for values in adapted.maps:
            rows, columns = values.shape[-2:]
            boxes = [
                _scaled(x["boxes"], columns / width, rows / height) for x in batch.targets or ()
            ]
            levels.append([foreground_weights((rows, columns), each) for each in boxes])
        foreground = [torch.stack(x).unsqueeze(1) for x in levels]
        background = [torch.stack([background_weights(w) for w in x]).unsqueeze(1) for x in levels]
        return {
            "foreground": adapted.with_maps(foreground),
            "background": adapted.with_maps(background),
        }


def _scaled(boxes: Tensor, x: float, y: float) -> Tensor:
    # Numbers rather than a tensor of four, which would have to be copied to a GPU.
    return torch.stack((boxes[:, 0::2] * x, boxes[:, 1::2] * y), dim=2).flatten(1)
