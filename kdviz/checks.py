"""One wording for everything that can be wrong with shapes and levels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def check_shape(name: str, value: Tensor, axes: Sequence[str | int]) -> None:
    """Raise ValueError unless ``value`` has these axes.

    Args:
        name: what the caller calls the tensor.
        value: the tensor.
        axes: one entry per axis: a number must match, a letter is free but must repeat equal.
    """
    known: dict[str, int] = {}
    fits = value.ndim == len(axes)
    for axis, size in zip(axes, value.shape, strict=False):
        expected = known.setdefault(axis, size) if isinstance(axis, str) else axis
        fits = fits and size == expected
    if not fits:
        wanted = ", ".join(str(axis) for axis in axes)
        raise ValueError(f"{name} must have shape ({wanted}) but has {tuple(value.shape)}")


def check_same_shape(*, student: Tensor, teacher: Tensor) -> None:
    """Raise ValueError unless both maps have one shape."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} must have the same "
            "shape; adapt the student's channels and match the levels by stride first"
        )
