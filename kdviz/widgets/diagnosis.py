"""A diagnosis to turn over: the objects of each transition, the images behind each confusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kdviz.diagnosis.confusion import Confusion
from kdviz.diagnosis.transitions import Transition, Transitions
from kdviz.plots.confusion import confusion_cell, confusion_matrix, shown_classes
from kdviz.widgets.controls import Control, make_control
from kdviz.widgets.interactive import InteractiveFigure, interactive_figure

_CHOSEN = "#D20FC3"  # frame of the cell that is looked at


class HasFigure(Protocol):
    """Whatever carries its figure."""

    @property
    def figure(self) -> Figure:
        """What to show."""
        ...


def explore_transitions(
    transitions: Transitions, pictures: Callable[..., HasFigure], *, count: int = 6
) -> InteractiveFigure:
    """The objects of a transition of choice, page by page.

    Args:
        transitions: of a diagnosis with student and distilled.
        pictures: draws some of them, called as ``pictures(kind, count=..., first=...)``; see
            `kdviz.runs.diagnosis.objects.transition_pictures`, given its first two arguments.
        count: objects of a page.
    """
    counts = transitions.counts()
    kinds = {f"{kind.name.lower().replace('_', ' ')} {n}": kind for kind, n in counts.items()}
    kind = make_control("transition", kinds)
    page = _pages(lambda: counts[kind.source.value], count, kind)

    def render(transition: Transition, page: int) -> Figure:
        return pictures(transition, count=count, first=(page - 1) * count).figure

    return interactive_figure(render, transition=kind, page=page)


def explore_confusion(
    confusions: Mapping[str, Confusion],
    pictures: Callable[..., HasFigure],
    *,
    start: tuple[str, int, int] | None = None,
    count: int = 8,
    most: int = 12,
) -> tuple[InteractiveFigure, InteractiveFigure]:
    """A confusion matrix whose cells open what is in them.

    Args:
        confusions: by role or name of the detector, of the same classes.
        pictures: draws what is in a cell, called as ``pictures(role, row, column, count=...,
            first=...)``; see `kdviz.runs.diagnosis.objects.confusion_pictures`, given its first two
            arguments.
        start: (role, row, column) chosen first; by default the most frequent mix-up of the first.
        count: entries of a page.
        most: classes in the matrix.

    Returns:
        The matrix and the pictures, each for the last line of a cell. They have the same controls,
        so a click on a cell of the matrix opens it.
    """
    role, row, column = start or _first_cell(confusions)
    names = next(iter(confusions.values())).names
    cells = {name: number for number, name in enumerate(names)}
    chosen: dict[str, Any] = {
        "detector": make_control("detector", list(confusions)),
        "annotated": make_control("annotated", cells),
        "detected": make_control("detected", cells),
    }
    for control, value in zip(chosen.values(), (role, row, column), strict=True):
        control.source.value = value

    def entries() -> int:
        at = [control.source.value for control in chosen.values()]
        return int(confusions[at[0]].matrix[at[1], at[2]])

    page = _pages(entries, count, *chosen.values())

    def show_matrix(detector: str, annotated: int, detected: int) -> Figure:
        one = confusions[detector]
        figure, axes = confusion_matrix(one.matrix, one.names, most=most)
        shown = [*shown_classes(one.matrix, most), len(one.names) - 1]
        if annotated in shown and detected in shown:
            place = shown.index(detected) - 0.5, shown.index(annotated) - 0.5
            frame = Rectangle(place, 1, 1, fill=False, edgecolor=_CHOSEN, linewidth=2.5)
            axes.add_patch(frame).set_clip_on(False)
        return figure

    def choose(panel: int, x: float, y: float, state: Mapping[str, Any]) -> dict[str, int]:
        matrix = confusions[state["detector"]].matrix
        cell = confusion_cell(matrix, x, y, most=most) if panel == 0 else None
        return {} if cell is None else {"annotated": cell[0], "detected": cell[1]}

    def show_cell(detector: str, annotated: int, detected: int, page: int) -> Figure:
        first = (page - 1) * count
        return pictures(detector, annotated, detected, count=count, first=first).figure

    grid = interactive_figure(show_matrix, choose, **chosen)
    hidden: dict[str, Any] = {name: Control(None, x.source) for name, x in chosen.items()}
    return grid, interactive_figure(show_cell, **hidden, page=page)


def _first_cell(confusions: Mapping[str, Confusion]) -> tuple[str, int, int]:
    role, one = next(iter(confusions.items()))
    missed = (0, len(one.names) - 1, 0)
    row, column, _ = next(iter(one.mix_ups(1)), missed)
    return role, row, column


def _pages(entries: Callable[[], int], count: int, *choices: Control) -> Control:
    """A slider over the pages of what is chosen, which goes back to the first with each choice."""
    page = make_control("page", range(1, max(1, math.ceil(entries() / count)) + 1))

    def turn(_: object) -> None:
        page.source.value = 1
        page.source.max = max(1, math.ceil(entries() / count))

    for control in choices:
        control.source.observe(turn, "value")
    return page
