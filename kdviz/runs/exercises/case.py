"""What a learner's function is tried with: hidden cases, each with a hint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Inputs = dict[str, Any]


def no_leaves(inputs: Inputs) -> dict[str, Tensor]:
    """Nothing that a gradient has to reach."""
    return {}


def no_complaint(inputs: Inputs) -> str | None:
    """Nothing is wrong."""
    return None


@dataclass(frozen=True)
class Case:
    """One call of a learner's function.

    Attributes:
        title: what is special about it.
        hint: for the one who fails it.
        inputs: makes the arguments, by name; anew and alike at each call.
        leaves: tensors behind the inputs that the answer must have the right gradient for.
        complaint: what is wrong with the inputs after the call; None if nothing is.
    """

    title: str
    hint: str
    inputs: Callable[[], Inputs]
    leaves: Callable[[Inputs], dict[str, Tensor]] = no_leaves
    complaint: Callable[[Inputs], str | None] = no_complaint


@dataclass(frozen=True)
class Exercise:
    """A function for the learner to write.

    Attributes:
        library: what does the same in kdviz.
        cases: what both are tried with, the plain ones first.
        is_detached: the answer carries no gradient.
        read: the tensors of an answer, by a name for messages.
    """

    library: Callable[..., Any]
    cases: tuple[Case, ...]
    is_detached: bool = False
    read: Callable[[Any], dict[str, Tensor]] = lambda answer: {"the result": as_tensor(answer)}


def as_tensor(value: Any) -> Tensor:
    """The value itself.

    Raises:
        TypeError: it is no tensor; says what it is, in words for a learner.
    """
    if value is None:
        raise TypeError("it returns nothing; is the `return` missing?")
    if not isinstance(value, Tensor):
        raise TypeError(f"it returns a {type(value).__name__}, expected a tensor")
    return value


def draw(seed: int) -> torch.Generator:
    """Random numbers that are the same at each call."""
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    """Normal random numbers of this shape."""
    return torch.randn(*shape, generator=draw(seed))


def uniform(seed: int, *shape: int) -> Tensor:
    """Uniform random numbers of this shape, in [0, 1)."""
    return torch.rand(*shape, generator=draw(seed))
