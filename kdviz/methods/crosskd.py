"""CrossKD: the scale alignment that lets one detector read the maps of another."""

from __future__ import annotations

from torch import Tensor

from kdviz.checks import check_same_shape
from kdviz.methods.adapters import channel_moments, in_full_precision, standardise


def align_scale(*, student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    r"""The student's map with the mean and deviation that each channel has in the teacher's.

    .. math:: \hat s_c = \frac{s_c - \mu(s_c)}{\sigma(s_c) + \epsilon} \sigma(t_c) + \mu(t_c)

    Moments are taken over the batch and all cells. What is left of the student is the pattern; the
    layers of the teacher that come next read it in the range they were trained on.

    Args:
        student: (N, C, H, W), has gradient.
        teacher: teacher map of the same shape, no gradient.
        eps: added to the student's deviation, > 0.

    Returns:
        (N, C, H, W), float32 (float64 for float64 input).

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    mean, deviation = channel_moments(in_full_precision(teacher))
    return standardise(student, eps) * deviation + mean
