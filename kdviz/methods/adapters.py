"""Adapt: bring the student's maps to the teacher's channels, level by level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from kdviz.structures import LevelInfo, Pyramid

LevelPair = tuple[LevelInfo, LevelInfo]


def match_levels(
    *, student: Sequence[LevelInfo], teacher: Sequence[LevelInfo]
) -> tuple[LevelPair, ...]:
    """Pairs of levels with one stride, finest first; levels only one side has are left out.

    Args:
        student: levels of the student, each stride once.
        teacher: levels of the teacher.

    Raises:
        ValueError: no stride is shared; names both lists.
    """
    by_stride = {level.stride: level for level in teacher}
    pairs = tuple((x, by_stride[x.stride]) for x in student if x.stride in by_stride)
    if not pairs:
        raise ValueError(
            f"student strides {[x.stride for x in student]} and teacher strides "
            f"{[x.stride for x in teacher]} share no level; choose a pair with a common stride"
        )
    return pairs


class ConvAdapter(nn.Module):
    """One convolution per shared level, student channels to teacher channels.

    Trains with the student and is dropped at inference. It stands between the two even where the
    channels agree: forcing the raw student map to equal the teacher's gains little (Wang et al.,
    CVPR 2019), since the student then has no room to code the same evidence its own way.

    Args:
        pairs: what `match_levels` returned.
        kernel_size: odd, cells; the map keeps its size.
        init_std: standard deviation of the truncated normal that the weights start from; None
            keeps PyTorch's default.
        relu: follow the convolution by a ReLU, for teacher maps that are never negative.
        skip_equal: pass a level on as it is where the channels already agree, as the releases of
            CWD, PKD, FGD and MGD do.
    """

    def __init__(
        self,
        pairs: Sequence[LevelPair],
        kernel_size: int = 3,
        init_std: float | None = None,
        relu: bool = False,
        skip_equal: bool = False,
    ) -> None:
        super().__init__()
        self.strides = tuple(student.stride for student, _ in pairs)
        self.convs = nn.ModuleDict()
        for student, teacher in pairs:
            if skip_equal and student.channels == teacher.channels:
                self.convs[student.name] = nn.Identity()
                continue
            conv = nn.Conv2d(
                student.channels, teacher.channels, kernel_size, padding=kernel_size // 2
            )
            if init_std is not None:
                nn.init.trunc_normal_(conv.weight, std=init_std)
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.convs[student.name] = nn.Sequential(conv, nn.ReLU()) if relu else conv

    def forward(self, features: Pyramid) -> Pyramid:
        """The shared levels of ``features``, adapted: (N, C_teacher, H, W) each."""
        levels = Pyramid(tuple(features.at(stride) for stride in self.strides))
        return levels.with_maps([self.convs[x.name](x.map) for x in levels.levels])


def in_full_precision(values: Tensor) -> Tensor:
    """``values`` in float32, or as they are in float64.

    A sum of squares over one (1, 256, 100, 152) map with an error of 4 per element is 6.2e7, past
    the largest float16; losses are therefore computed in float32 inside autocast.
    """
    return values if values.dtype == torch.float64 else values.float()


def standardise(values: Tensor, eps: float = 1e-6) -> Tensor:
    """Each channel brought to mean 0 and standard deviation 1 over the batch and all cells.

    Args:
        values: (N, C, H, W).
        eps: added to the standard deviation, > 0; a constant channel becomes 0.

    Returns:
        (N, C, H, W), float32 (float64 for float64 input).
    """
    values = in_full_precision(values)
    mean, deviation = channel_moments(values)
    return (values - mean) / (deviation + eps)


def channel_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n - 1 in its divisor) of each channel, (1, C, 1, 1) both."""
    cells = values.numel() // values.shape[1]
    # The one cell of a coarse level, alone in its batch, has deviation 0 and not 0/0.
    deviation, mean = torch.std_mean(
        values, dim=(0, 2, 3), correction=min(1, cells - 1), keepdim=True
    )
    return mean, deviation


def level_losses(
    term: str, loss: Callable[..., Tensor], *, student: Pyramid, teacher: Pyramid
) -> dict[str, Tensor]:
    """``loss`` of each level of ``student`` and its counterpart of one stride, as ``term/level``.

    Args:
        term: name of the loss term.
        loss: takes the maps as ``student=`` and ``teacher=``, returns a scalar.
        student: adapted maps.
        teacher: holds at least the strides of ``student``.
    """
    return {
        f"{term}/{level.name}": loss(student=level.map, teacher=teacher.at(level.stride).map)
        for level in student.levels
    }
