"""The head-swap grid and its pictures: a click on a pair shows what it detects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from kdviz.plots.boxes import compare_detections
from kdviz.plots.matching import Names
from kdviz.plots.swap import swap_grid
from kdviz.structures import Detection, Target
from kdviz.widgets.controls import make_control, thumbnails
from kdviz.widgets.interactive import InteractiveFigure, interactive_figure

Pairs = Mapping[tuple[str, str], Sequence[Detection]]
"""Detections of each image by (whose neck, whose head); a pair that does not fit is absent."""


def explore_swaps(
    images: Sequence[Any],
    cells: Mapping[str, Pairs],
    grids: Mapping[str, Any],
    detectors: Sequence[str],
    targets: Sequence[Target] | None = None,
    names: Names | None = None,
    *,
    start: tuple[str, str, str],
    image: int = 0,
    score_threshold: float = 0.3,
    caption: str | None = None,
) -> tuple[InteractiveFigure, InteractiveFigure]:
    """A grid of every neck before every head, and what the chosen pair finds on a chosen image.

    Both figures have the same controls, so a click on a pair in the grid repaints the pictures.

    Args:
        images: each (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        cells: by the way maps come to a head, the detections of every pair.
        grids: by the same ways, (necks, heads), the number of every pair; NaN where it is absent.
        detectors: names of rows and columns.
        targets: ground truth, one per image.
        names: of the classes, first that of label 1.
        start: (way, neck, head) that is chosen first.
        image: that is shown first.
        score_threshold: detections below are not drawn, [0, 1].
        caption: sentence below the grid.

    Returns:
        The grid and the pictures, each for the last line of a cell.
    """
    chosen = {"maps": list(grids), "neck": list(detectors), "head": list(detectors)}
    controls: dict[str, Any] = {
        name: make_control(name, choices) for name, choices in chosen.items()
    }
    for control, value in zip(controls.values(), start, strict=True):
        control.source.value = value

    def show_grid(maps: str, neck: str, head: str) -> Figure:
        pair = (maps, neck, head)
        return swap_grid(grids, detectors, detectors, chosen=pair, caption=caption)[0]

    def choose(panel: int, x: float, y: float, state: Mapping[str, Any]) -> dict[str, str]:
        maps = list(grids)[panel]
        return {"maps": maps, "neck": detectors[round(y)], "head": detectors[round(x)]}

    def show_pair(image: int, maps: str, neck: str, head: str) -> Figure:
        pairs = dict.fromkeys([(neck, neck), (neck, head), (head, head)])
        found = {
            f"{one} neck, {other} head": cells[maps][one, other][image]
            for one, other in pairs
            if (one, other) in cells[maps]
        }
        figure, _ = compare_detections(
            images[image],
            found,
            None if targets is None else targets[image],
            names,
            score_threshold=score_threshold,
            columns=4,
            caption=_beside(neck, head, fits=(neck, head) in cells[maps]),
        )
        return figure

    grid = interactive_figure(show_grid, choose, **controls)
    pictures = interactive_figure(show_pair, image=thumbnails(images, start=image), **controls)
    return grid, pictures


def _beside(neck: str, head: str, *, fits: bool) -> str | None:
    """How to read the pictures of a pair; nothing where it is one detector as it is."""
    if neck == head:
        return None
    if not fits:
        return f"The {neck} neck does not fit the {head} head: each is shown with its own."
    return (
        "Left of the pair: the same neck under its own head. Right: the same head on its own neck."
    )
