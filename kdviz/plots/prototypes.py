"""How well prototypes stand for their classes, and the codes of an instance over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.panels import BAR, GAP, MARGIN, TITLE_SIZE, chart_panels, shorten, text_size
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.theme import (
    FAINT,
    INK,
    SEQUENTIAL,
    class_colour,
    in_role_order,
    paler,
    role_colour,
    theme,
)

LABEL_SIZE = 8.0
_CELLS = 36  # of a histogram of codes, on each side
_GAP = 1.5  # between the prototypes of two classes, in prototypes


@theme()
def unexplained_curves(
    choices: Mapping[str, Mapping[str, Any]],
    *,
    caption: str | None = None,
    width: float = 8.0,
) -> tuple[Figure, Axes]:
    """What is left of the instances after each further prototype, for several ways to choose them.

    Args:
        choices: by name and role, the share of the squared length that is left, (k + 1,), from no
            prototype on; or (draws, k + 1), drawn as a mean in the range of the draws.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes.
    """
    right = 0.6 + max(text_size(f"teacher: {name}", LABEL_SIZE)[0] for name in choices) / 72
    figure, (axes,) = chart_panels([""], height=2.6, right=right, caption=caption, width=width)
    for role in in_role_order({role: None for choice in choices.values() for role in choice}):
        for style, (name, choice) in zip(cycle(("o-", "--", ":")), choices.items(), strict=False):
            if role not in choice:
                continue
            curves = np.atleast_2d(as_array(choice[role]))
            steps, colour = np.arange(curves.shape[1]), role_colour(role)
            axes.plot(steps, curves.mean(0), style, color=colour, markersize=3.5,
                      label=f"{role}: {name}")  # fmt: skip
            axes.fill_between(steps, curves.min(0), curves.max(0), color=colour, alpha=0.15,
                              linewidth=0)  # fmt: skip
    axes.set(xlim=(0, None), ylim=(0, 1.02), xlabel="prototypes of each class",
             ylabel="squared length left over")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, axis="y")
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), labelcolor="linecolor", handlelength=1.8
    )
    return figure, axes


@theme()
def code_agreement(
    codes: Mapping[str, Any],
    teacher: Any,
    *,
    caption: str | None = None,
    width: float = 9.0,
) -> tuple[Figure, list[Axes]]:
    """Codes of several students against the teacher's: equal codes lie on the diagonal.

    All panels have one scale of cosines and one of colours.

    Args:
        codes: by name, cosines of the instances to the prototypes, (n, P).
        teacher: the teacher's, (n, P).
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and one axes per name; x is the student's cosine, y the teacher's.
    """
    order, theirs = in_role_order(codes), as_array(teacher).ravel()
    ours = {name: as_array(codes[name]).ravel() for name in order}
    low = min(float(values.min()) for values in (theirs, *ours.values()))
    edges = np.linspace(low, 1.0 + 1e-6, _CELLS + 1)
    counts = {name: np.histogram2d(theirs, x, bins=[edges, edges])[0] for name, x in ours.items()}
    most = max(float(each.max()) for each in counts.values())
    side = (width - 0.6 - MARGIN - BAR - (len(order) - 1) * GAP) / len(order)
    head, below = 0.45, 0.42
    figure, floor = captioned_figure(width, head + side + below, caption)
    tall = figure.get_size_inches()[1]
    panels = []
    for column, name in enumerate(order):
        box = 0.6 + column * (side + GAP), floor + below, side, side
        axes = figure.add_axes(_shares(box, width, tall))
        axes.set_title(f"{name}\nmean difference {np.abs(ours[name] - theirs).mean():.3f}",
                       color=role_colour(name), size=TITLE_SIZE, pad=4)  # fmt: skip
        shown = axes.imshow(
            np.where(counts[name] > 0, counts[name], np.nan),
            extent=(low, 1, low, 1), origin="lower", interpolation="nearest",
            cmap=SEQUENTIAL.reversed(), norm=PowerNorm(0.5, 0, most),
        )  # fmt: skip
        axes.plot([low, 1], [low, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set(xlim=(low, 1), ylim=(low, 1), xlabel="cosine in this student")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(4, prune="upper"))
        axes.tick_params(axis="y", labelleft=column == 0)
        panels.append(axes)
    panels[0].set_ylabel("cosine in the teacher")
    box = width - MARGIN - BAR + 0.12, floor + below, 0.12, side
    figure.colorbar(shown, cax=figure.add_axes(_shares(box, width, tall)), label="pairs")
    return figure, panels


def _shares(
    box: tuple[float, float, float, float], width: float, tall: float
) -> tuple[float, float, float, float]:
    """A place in inches (left, bottom, width, height) as shares of the figure."""
    return box[0] / width, box[1] / tall, box[2] / width, box[3] / tall


def draw_codes(
    axes: Axes,
    values: Mapping[str, NDArray[Any]],
    best: Mapping[str, float],
    label: int,
    classes: NDArray[Any],
    names: Sequence[str],
) -> None:
    """Draw the codes of one instance into axes whose height is set: a pair of dots a prototype.

    Args:
        axes: to draw into.
        values: by role, the cosine of the instance to each prototype, (P,).
        best: by role, the best of them in the class of the instance.
        label: that class.
        classes: of the prototypes, (P,), those of a class together.
        names: of the classes, first that of label 1.
    """
    places = np.arange(len(classes)) + _GAP * np.cumsum(np.diff(classes, prepend=classes[:1]) != 0)
    low, high = np.stack(list(values.values())).min(0), np.stack(list(values.values())).max(0)
    ends = np.stack([places, low, places, high], axis=1).reshape(-1, 2, 2)
    axes.add_collection(LineCollection(list(ends), colors=FAINT, linewidths=2.0), autolim=False)
    for role, heights in values.items():
        axes.scatter(places, heights, s=13, color=role_colour(role), linewidths=0, label=role)
    axes.set_xlim(places.min(initial=0) - 1, places.max(initial=1) + 1)
    axes.set(xticks=[], ylabel="cosine to each prototype")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(True, axis="y")
    _name_groups(axes, places, classes, label, names)
    here = places[classes == label]
    if len(here):
        ground = here.min() - 0.75, here.max() + 0.75
        axes.axvspan(*ground, color=paler(class_colour(label), 0.8), linewidth=0, zorder=-1)
        for role, height in best.items():
            axes.plot(ground, [height] * 2, color=role_colour(role), linewidth=1.2)
    axes.legend(loc="lower right", ncols=len(values), labelcolor="linecolor", borderaxespad=0.1,
                handletextpad=0.1, bbox_to_anchor=(1.0, 1.0))  # fmt: skip


def _name_groups(
    axes: Axes, places: NDArray[Any], classes: NDArray[Any], label: int, names: Sequence[str]
) -> None:
    """Each class below its prototypes, where it does not run into another; ``label`` always."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width = figure.get_size_inches()[0] * axes.get_position().width * 72
    low, high = axes.get_xlim()
    taken: list[tuple[float, float]] = []
    for group in sorted(np.unique(classes).tolist(), key=lambda each: each != label):
        name = shorten(names[group - 1], 0.25 * width, LABEL_SIZE)
        # Half of it and a little air, in units of the axis; bold letters are wider by a tenth.
        half = (0.56 * text_size(name, LABEL_SIZE)[0] + 3) * (high - low) / width
        middle = float(places[classes == group].mean())
        middle = min(max(middle, low + half), high - half)
        if any(abs(middle - other) < half + reach for other, reach in taken):
            continue
        taken.append((middle, half))
        axes.text(middle, -0.03, name, size=LABEL_SIZE, ha="center", va="top",
                  weight="bold" if group == label else "normal", color=class_colour(group),
                  transform=axes.get_xaxis_transform())  # fmt: skip
