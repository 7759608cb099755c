"""Imitation strategies as paths through the two networks: where a map leaves, where it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from kdviz.plots.panels import image_panels, points_per_unit, shorten
from kdviz.plots.theme import FAINT, FIGURE_WIDTH, INK, PAPER, ROLE_COLOURS, paler, theme

PARTS = ("backbone", "neck", "head")
"""The parts of each network, from the image on."""
AFTER = {"b": "backbone", "n": "neck"}
"""A place is the map that this part puts out."""
MAP_NAMES = {"b": "C", "n": "P"}
"""C-levels and P-levels, as on the maps themselves."""

# A panel is 100 units wide; y grows upwards.
_HEIGHT = 38.0
_ROWS = {"student": 28.0, "teacher": 9.0}
_PART_X = {"backbone": 24.0, "neck": 52.0, "head": 78.0}
_MAP_X = {"b": 39.0, "n": 65.0}
_HALF_WIDTH, _HALF_HEIGHT = 8.0, 3.6
_RADIUS = 2.9
_TEXT_SIZE = 8.5


class Route(NamedTuple):
    """The parts that a strategy's path passes: of the student before f_trans, then the teacher."""

    student: tuple[str, ...]
    teacher: tuple[str, ...]


def route(source: str, target: str) -> Route:
    """Parts on the way of an imitated map.

    Args:
        source: place in the student, ``b`` or ``n``: the map after backbone or neck.
        target: place in the teacher where it goes in.

    Raises:
        ValueError: a place is neither.
    """
    if unknown := {source, target} - AFTER.keys():
        raise ValueError(f"places are b (backbone) and n (neck), not {sorted(unknown)}")
    until, since = PARTS.index(AFTER[source]) + 1, PARTS.index(AFTER[target]) + 1
    return Route(PARTS[:until], PARTS[since:])


@theme()
def strategy_paths(
    places: Mapping[str, tuple[str, str]],
    *,
    levels: Mapping[str, str] | None = None,
    caption: str | None = None,
) -> tuple[Figure, list[Axes]]:
    """Each strategy as a path from the image through the student, f_trans and the teacher.

    The thick path is what DI trains through: parts of the student, then parts of the frozen
    teacher. FI compares where the path enters the teacher. Parts off the path are pale.

    Args:
        places: by strategy (source in the student, target in the teacher), ``b`` or ``n``, such as
            ``kdviz.methods.dist2.PLACES``.
        levels: by strategy, which levels are imitated; written at f_trans.
        caption: sentence below.

    Returns:
        The figure and one axes per strategy, in the order given. The patch of each part carries its
        name as gid (``teacher neck``), and so do the three lines of the path (``student path``,
        ``f_trans``, ``teacher path``).

    Raises:
        ValueError: a place is neither ``b`` nor ``n``, or there is no strategy.
    """
    columns = min(2, len(places))
    panels = image_panels(
        (round(_HEIGHT), 100),
        [
            f"{strategy.upper()}: student's {AFTER[source]} to teacher's {AFTER[target]}"
            for strategy, (source, target) in places.items()
            if route(source, target)
        ],
        columns=columns,
        caption=caption,
        width=FIGURE_WIDTH * columns / 2,
    )
    for axes, (strategy, (source, target)) in zip(panels.axes, places.items(), strict=True):
        axes.set(xlim=(0, 100), ylim=(0, _HEIGHT))
        axes.set_axis_off()
        _draw_networks(axes, route(source, target))
        _draw_path(axes, source, target, (levels or {}).get(strategy, ""))
    return panels.figure, panels.axes


def _draw_networks(axes: Axes, passed: Route) -> None:
    """Both networks in a row each, the parts of the path in full colour."""
    for role, y in _ROWS.items():
        colour = ROLE_COLOURS[role]
        axes.plot([11, 93], [y, y], color=FAINT, linewidth=1.2, zorder=1)
        axes.text(0, y + 5.6, role, size=_TEXT_SIZE, color=colour, weight="bold")
        axes.text(0, y, "image", size=_TEXT_SIZE, va="center_baseline")
        for part, x in _PART_X.items():
            shown = part in (passed.student if role == "student" else passed.teacher)
            box = FancyBboxPatch(
                (x - _HALF_WIDTH, y - _HALF_HEIGHT), 2 * _HALF_WIDTH, 2 * _HALF_HEIGHT,
                boxstyle="round,pad=0,rounding_size=1.2", linewidth=1, zorder=3,
                edgecolor=colour if shown else paler(colour, 0.6),
                facecolor=colour if shown else paler(colour, 0.9),
            )  # fmt: skip
            box.set_gid(f"{role} {part}")
            axes.add_patch(box)
            axes.text(x, y, part, size=_TEXT_SIZE, ha="center", va="center_baseline", zorder=4,
                      color=PAPER if shown else paler(INK, 0.45))  # fmt: skip
        for place, x in _MAP_X.items():
            axes.add_patch(
                Circle((x, y), _RADIUS, facecolor=PAPER, edgecolor=FAINT, linewidth=1, zorder=3)
            )
            axes.text(x, y, MAP_NAMES[place], size=_TEXT_SIZE, ha="center", va="center_baseline",
                      zorder=5)  # fmt: skip


def _draw_path(axes: Axes, source: str, target: str, levels: str) -> None:
    """From the image to the source, across to the target, and on to the teacher's loss."""
    colour = ROLE_COLOURS["distilled"]
    (above, below), start, end = _ROWS.values(), _MAP_X[source], _MAP_X[target]
    thick: dict[str, Any] = {"color": colour, "linewidth": 3.2, "zorder": 2}
    axes.plot([11, start], [above, above], gid="student path", **thick)
    axes.plot([end, 92], [below, below], gid="teacher path", **thick)
    crossing = FancyArrowPatch(
        (start, above), (end, below), arrowstyle="-|>", mutation_scale=13, color=colour,
        linewidth=3.2, shrinkA=0, shrinkB=11, zorder=2,
    )  # fmt: skip
    crossing.set_gid("f_trans")
    axes.add_patch(crossing)
    for x, y in ((start, above), (end, below)):
        axes.add_patch(
            Circle((x, y), _RADIUS, facecolor=PAPER, edgecolor=colour, linewidth=2.2, zorder=4)
        )
    middle = (start + end) / 2 + (3 if start == end else 5)
    told = f"f_trans {levels}".strip()
    told = shorten(told, (100 - middle) * points_per_unit(axes), _TEXT_SIZE)
    axes.text(middle, (above + below) / 2, told, size=_TEXT_SIZE, va="center", color=colour)
    axes.text(94, below, "DI", size=_TEXT_SIZE + 1, va="center_baseline", color=colour,
              weight="bold")  # fmt: skip
    axes.text(94, above, "loss", size=_TEXT_SIZE, va="center_baseline", color=paler(INK, 0.45))
    axes.text(end, below - 7.4, "FI", size=_TEXT_SIZE + 1, ha="center", color=colour,
              weight="bold")  # fmt: skip
