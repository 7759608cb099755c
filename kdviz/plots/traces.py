"""Missed objects followed back through the network, and where they were lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots.images import as_boxes, as_image
from kdviz.plots.objects import Answer, marks_of
from kdviz.plots.panels import chart_panels, text_size
from kdviz.plots.strip_layout import view_around
from kdviz.plots.strips import CloseUp, Mark, Strip, draw_strips
from kdviz.plots.theme import INK, ROLE_COLOURS, in_role_order, name_colours, paler, theme

CAUSES = {
    "suppressed": "a good box fell to NMS",
    "threshold": "seen, but scored too low",
    "head": "its maps show it, its head does not",
    "neck": "missing from its maps",
    "teacher": "the teacher misses it, too",
    "found": "its box counts for another object",
}
"""Where an object was lost, from the end of the network to its beginning, and what that means."""

_PROBE = paler(ROLE_COLOURS["teacher"], 0.35)
_LABEL_SIZE = 8.5
_BAR_HEIGHT = 0.36


@dataclass(frozen=True)
class Sight:
    """What is seen of an object at one place of the network.

    Attributes:
        score: best score of a box that shows it, [0, 1]; 0 where there is none.
        needed: scores from here on count, [0, 1].
        box: (4,) xyxy of that box, pixels of the image; None for none.
        others: (n, 4) xyxy, further boxes around the object.
    """

    score: float
    needed: float
    box: Any = None
    others: Any = ()


@dataclass(frozen=True)
class MissView:
    """A missed object and the way back to where it was seen last.

    Attributes:
        image: (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        title: such as the class, the size and the file.
        cause: one of `CAUSES`.
        box: (4,) xyxy of the object, pixels of the image.
        student: what the student shows in the end.
        candidates: its boxes before NMS.
        crossed: those of the teacher's head on the student's maps.
        teacher: those of the teacher.
        distance: how far the student's maps are from the teacher's at the object, >= 0; None where
            it is not known.
    """

    image: Any
    title: str
    cause: str
    box: Any
    student: Answer
    candidates: Sight
    crossed: Sight
    teacher: Sight
    distance: float | None = None


def miss_gallery(
    misses: Sequence[MissView],
    role: str = "student",
    *,
    columns: int | None = None,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, Axes]:
    """Missed objects, each on its way back through the network, from left to right.

    The object is black. First what the student shows in the end, then its boxes before NMS, then
    what the teacher's head finds on the student's maps, then what the teacher finds on its own. The
    box that shows the object is thick, dotted where its score does not suffice; others are thin.

    Args:
        misses: to show, in this order.
        role: whose misses, ``student`` or ``distilled``.
        columns: objects of one row.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its one axes, whose unit is a pixel of the figure.

    Raises:
        ValueError: there is no object, or a cause is none of `CAUSES`.
    """
    for each in misses:
        if each.cause not in CAUSES:
            raise ValueError(f"{each.cause!r} is no cause; the causes are {', '.join(CAUSES)}")
    own = name_colours([role])[role]
    colours = [own, own, _PROBE, ROLE_COLOURS["teacher"]]
    return draw_strips(
        [_strip(each, colours) for each in misses],
        [role, "before NMS", "teacher's head", "teacher"],
        colours,
        columns=columns,
        caption=caption,
        width=width,
    )


def _strip(each: MissView, colours: Sequence[str]) -> Strip:
    pixels = as_image(each.image)
    far = "" if each.distance is None else f"maps {_short(each.distance)} apart"
    sights = (each.candidates, each.crossed, each.teacher)
    # The maps are compared where the teacher's head reads them.
    notes = ["", far, ""]
    panels = [
        CloseUp(
            marks_of(each.box, each.student, colours[0]),
            each.student.verdict,
            is_wrong=not each.student.is_right,
        ),
        *map(lambda s, c, n: _close_up(each.box, s, c, n), sights, colours[1:], notes),
    ]
    shown = [x.box for x in (each.student, *sights) if x.box is not None]
    view = view_around(each.box, shown, size=pixels.shape[:2])
    return Strip(pixels, view, f"{each.cause}: {CAUSES[each.cause]} ({each.title})", panels)


def _close_up(box: Any, sight: Sight, colour: str, note: str) -> CloseUp:
    enough = sight.box is not None and sight.score >= sight.needed
    marks = [Mark(other, colour, line="thin") for other in as_boxes(sight.others)]
    marks.append(Mark(box, INK, line="thin"))
    if sight.box is not None:
        marks.append(Mark(sight.box, colour, line="solid" if enough else "dotted"))
    score = "no box" if sight.box is None else _short(sight.score)
    told = f"{score}, needs {_short(sight.needed)}"
    return CloseUp(marks, f"{told}\n{note}".strip(), is_wrong=not enough)


def _short(number: float) -> str:
    return f"{number:.2f}".removeprefix("0")


@theme()
def cause_bars(
    counts: Mapping[str, Mapping[str, int]],
    *,
    caption: str | None = None,
    width: float = 8.0,
) -> tuple[Figure, Axes]:
    """Where detectors lost the objects that they miss: objects of each cause, with their share.

    Args:
        counts: by role or name of the detector, objects by cause; shares are of their sum.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its axes: one row a cause in the order of `CAUSES`, the first at the top.
        Causes that no detector has are left out.

    Raises:
        ValueError: no object is counted, or a cause is none of `CAUSES`.
    """
    strange = {cause for each in counts.values() for cause in each} - CAUSES.keys()
    if strange:
        raise ValueError(f"{sorted(strange)} are no causes; the causes are {', '.join(CAUSES)}")
    causes = [cause for cause in CAUSES if any(each.get(cause, 0) for each in counts.values())]
    if not causes:
        raise ValueError("no object is counted, so there are no causes to draw")
    roles = in_role_order(counts)
    colours = name_colours(roles)
    left = max(text_size(CAUSES[cause], _LABEL_SIZE)[0] for cause in causes) / 72 + 0.2
    height = len(causes) * (len(roles) * _BAR_HEIGHT * 0.6 + 0.22)
    figure, (axes,) = chart_panels(
        [""], height=height, left=left, right=1.1, caption=caption, width=width
    )
    thick = 0.8 / len(roles)
    for number, role in enumerate(roles):
        values = np.array([counts[role].get(cause, 0) for cause in causes])
        places = np.arange(len(causes)) + (number - (len(roles) - 1) / 2) * thick
        axes.barh(places, values, 0.9 * thick, color=colours[role], label=role)
        for place, value in zip(places, values.tolist(), strict=True):
            share = 100 * value / max(1, int(sum(counts[role].values())))
            axes.annotate(f"{value} ({share:.0f} %)", (value, place), (3, 0),
                          textcoords="offset points", size=8, va="center_baseline",
                          annotation_clip=False)  # fmt: skip
    axes.set_ylim(len(causes) - 0.5, -0.5)
    names = [f"{cause}\n{CAUSES[cause]}" for cause in causes]
    axes.set_yticks(range(len(causes)), names, size=_LABEL_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("objects")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.0)
    return figure, axes
