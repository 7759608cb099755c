"""PKD: imitate the pattern of each channel and leave its magnitude alone.

Cao, Zhang, Gao, Cheng, Cheng, Zhang, PKD: General Distillation Framework for Object Detectors via
Pearson Correlation Coefficient, NeurIPS 2022, arXiv:2207.02039. Detectors of different kinds differ
in the magnitude of their maps, and a few large channels or cells then rule a squared error. PKD
compares the maps after each channel is standardised, which makes the pair of detectors nearly free
to choose.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from kdviz.checks import check_same_shape
from kdviz.detectors.parts import DetectorParts, Pass
from kdviz.methods.adapters import ConvAdapter, match_levels, standardise
from kdviz.methods.base import Distillation, Method, TermWeight
from kdviz.structures import Batch


def pattern_error(*, student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """Half the squared difference of the standardised maps, averaged over channels.

    Returns:
        (N, 1, H, W), >= 0; its mean is `pkd_loss`.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    error = standardise(student, eps) - standardise(teacher, eps)
    return error.square().mean(dim=1, keepdim=True) / 2


def pkd_loss(*, student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    r"""Distance between two maps after each channel is standardised.

    Each channel is brought to mean 0 and deviation 1 over the batch and all cells.

    .. math:: L = \frac{1}{2M} \sum_i (\hat s_i - \hat t_i)^2

    Args:
        student: adapted student map, (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        eps: added to the standard deviation, > 0; keeps constant channels finite.

    Returns:
        Scalar in [0, 2]: (1 - r)(n - 1)/n with r the Pearson correlation of a channel, averaged
        over channels, and n = N H W. 0 for equal patterns, about 1 for uncorrelated ones.

    Raises:
        ValueError: the shapes differ.
    """
    return pattern_error(student=student, teacher=teacher, eps=eps).mean()


class PKD(Method):
    """Imitation of standardised maps on every level the two detectors share.

    Args:
        student: the detector that learns.
        teacher: the frozen detector, of any family.

    Raises:
        ValueError: the detectors share no stride.
    """

    weights: Mapping[str, TermWeight] = {"pkd": TermWeight(6.0)}
    """MMRazor's configurations: 6 on each level for Faster R-CNN, 10 for RetinaNet X101 to R50."""

    def __init__(self, student: DetectorParts, teacher: DetectorParts) -> None:
        super().__init__()
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        self.adapter = ConvAdapter(pairs, kernel_size=1, skip_equal=True)

    def forward(self, student: Pass, teacher: Pass, batch: Batch) -> Distillation:
        """Losses ``pkd/<level>``; map ``error``, `pattern_error` of each cell."""
        adapted = self.adapter(student.features)
        errors = adapted.with_maps(
            [
                pattern_error(student=x.map, teacher=teacher.features.at(x.stride).map)
                for x in adapted.levels
            ]
        )
        losses = {f"pkd/{x.name}": x.map.mean() for x in errors.levels}
        return Distillation(losses, {"error": errors.apply(Tensor.detach)})
