"""Distillation methods, one file per paper."""

from __future__ import annotations

from kdviz.methods.base import Distillation as Distillation
from kdviz.methods.base import Method as Method
from kdviz.methods.base import TermWeight as TermWeight
from kdviz.methods.fgfi import FGFI as FGFI
from kdviz.methods.fitnets import FitNets as FitNets

METHODS: tuple[type[Method], ...] = (FitNets, FGFI)


def method_named(name: str) -> type[Method]:
    """The method of this name in lower case (``fgfi``).

    Raises:
        ValueError: there is none; lists the names.
    """
    named = {method.__name__.lower(): method for method in METHODS}
    if name not in named:
        raise ValueError(f"no method {name!r}; there are {', '.join(sorted(named))}")
    return named[name]
