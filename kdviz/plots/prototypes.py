"""How well prototypes stand for their classes, and the codes of an instance over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kdviz.plots.images import as_array
from kdviz.plots.panels import chart_panels, text_size
from kdviz.plots.theme import FAINT, class_colour, in_role_order, paler, role_colour, theme

LABEL_SIZE = 8.0
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
    unit = width / (axes.get_xlim()[1] - axes.get_xlim()[0])
    taken: list[tuple[float, float]] = []
    present = np.unique(classes).tolist()
    for group in sorted(present, key=lambda each: each != label):
        centre = float(places[classes == group].mean())
        half = (text_size(names[group - 1], LABEL_SIZE)[0] / 2 + 3) / unit
        if any(abs(centre - other) < half + reach for other, reach in taken):
            continue
        taken.append((centre, half))
        axes.text(centre, -0.03, names[group - 1], size=LABEL_SIZE, ha="center", va="top",
                  weight="bold" if group == label else "normal", color=class_colour(group),
                  transform=axes.get_xaxis_transform())  # fmt: skip
