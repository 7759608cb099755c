"""Distillation methods, one file per paper."""

from __future__ import annotations

from kdviz.methods.affinity import Affinity as Affinity
from kdviz.methods.attention import AT as AT
from kdviz.methods.base import Distillation as Distillation
from kdviz.methods.base import Method as Method
from kdviz.methods.base import TermWeight as TermWeight
from kdviz.methods.crosskd import CrossKD as CrossKD
from kdviz.methods.cwd import CWD as CWD
from kdviz.methods.defeat import DeFeat as DeFeat
from kdviz.methods.dist2 import Dist2 as Dist2
from kdviz.methods.fbkd import FBKD as FBKD
from kdviz.methods.fgd import FGD as FGD
from kdviz.methods.fgfi import FGFI as FGFI
from kdviz.methods.fitnets import FitNets as FitNets
from kdviz.methods.frs import FRS as FRS
from kdviz.methods.gid import GID as GID
from kdviz.methods.gkd import GKD as GKD
from kdviz.methods.logits import LogitKD as LogitKD
from kdviz.methods.mgd import MGD as MGD
from kdviz.methods.own import own_method
from kdviz.methods.pkd import PKD as PKD

METHODS: tuple[type[Method], ...] = (
    FitNets,
    FGFI,
    FRS,
    GKD,
    Dist2,
    AT,
    FBKD,
    DeFeat,
    Affinity,
    CWD,
    PKD,
    MGD,
    FGD,
    GID,
    CrossKD,
    LogitKD,
)
"""The four systems after their baseline, then their competitors."""


def method_named(name: str) -> type[Method]:
    """The method of this name in lower case (``fgfi``), or a class of your own by its module.

    Args:
        name: as of `METHODS`, or ``my_package.my_file:MyMethod``.

    Raises:
        ValueError: there is none; lists the names.
    """
    if ":" in name:
        return own_method(name)
    named = {method.__name__.lower(): method for method in METHODS}
    if name not in named:
        raise ValueError(
            f"no method {name!r}; there are {', '.join(sorted(named))}, and your own as "
            "package.module:Class"
        )
    return named[name]
