"""Outlines of boxes, readable on any image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray

from kdviz.plots.theme import PAPER

LINE_WIDTH = 1.6


def outline(
    axes: Axes,
    boxes: NDArray[np.float64],
    colours: Sequence[str] | str,
    *,
    dashes: str | tuple[float, tuple[float, ...]] = "solid",
    line_width: float = LINE_WIDTH,
    halo: bool = True,
) -> None:
    """Outline boxes (n, 4) xyxy; a white halo keeps each colour readable on any image."""
    if not len(boxes):
        return
    corners: Any = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    if halo:
        wide = line_width + 1.4
        axes.add_collection(
            PolyCollection(
                corners, facecolors="none", edgecolors=PAPER, linewidths=wide, alpha=0.7
            ),
            autolim=False,
        )
    axes.add_collection(
        PolyCollection(
            corners,
            facecolors="none",
            edgecolors=colours,
            linewidths=line_width,
            linestyles=[dashes],
        ),
        autolim=False,
    )
