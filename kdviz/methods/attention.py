"""AT: imitate where the map as a whole is active.

Zagoruyko, Komodakis, Paying More Attention to Attention, ICLR 2017, arXiv:1612.03928. The energy of
a map over its channels says how much the network made of each place. It has one channel whatever
the width of the network, so no adapter is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from kdviz.checks import check_same_shape
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import in_full_precision, level_losses, match_levels
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.structures import Batch, Pyramid


def attention_map(values: Tensor) -> Tensor:
    r"""Mean of the squares over the channels, brought to length 1 over the cells of each image.

    .. math:: A = a / \lVert a \rVert_2, \quad a_{hw} = \frac{1}{C} \sum_c F_{chw}^2

    Args:
        values: (N, C, H, W).

    Returns:
        (N, 1, H, W), >= 0; 0 for a map that is 0.
    """
    energy = in_full_precision(values).square().mean(dim=1, keepdim=True)
    return functional.normalize(energy.flatten(1), dim=1).view_as(energy)


def at_loss(*, student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of the attention maps.

    .. math:: L = \frac{1}{N H W} \sum_{n,h,w} (A^s_{nhw} - A^t_{nhw})^2

    Args:
        student: student map, (N, C_s, H, W), has gradient.
        teacher: teacher map, (N, C_t, H, W), no gradient; its channels may be more or fewer.

    Returns:
        Scalar >= 0; 0 whenever student = c * teacher.

    Raises:
        ValueError: batch or size of the maps differ.
    """
    own, target = attention_map(student), attention_map(teacher)
    check_same_shape(student=own, teacher=target)
    return (own - target).square().mean()


class AT(Method):
    """Attention transfer on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.

    Raises:
        ValueError: the detectors share no stride.
    """

    weights: Mapping[str, TermWeight] = {"at": TermWeight(500.0)}
    """beta / 2 with the paper's beta of 1000 over the mean of the squares."""

    def __init__(self, student: DetectorParts, teacher: DetectorParts) -> None:
        super().__init__()
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.strides = tuple(own.stride for own, _ in pairs)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``at/<level>``; map ``attention``, `attention_map` of the teacher."""
        own, taught = (
            Pyramid(tuple(seen.features.at(stride) for stride in self.strides))
            for seen in (student, teacher)
        )
        losses = level_losses("at", at_loss, student=own, teacher=taught)
        looks = [attention_map(values).detach() for values in taught.maps]
        return Distillation(losses, {"attention": own.with_maps(looks)})
