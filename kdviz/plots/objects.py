"""Objects close up: what each detector says of them, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots.images import as_image
from kdviz.plots.strip_layout import view_around
from kdviz.plots.strips import CloseUp, Mark, Strip, draw_strips
from kdviz.plots.theme import INK, in_role_order, role_colour

GROUND_TRUTH = "ground truth"


@dataclass(frozen=True)
class Answer:
    """What one detector says of an object.

    Attributes:
        verdict: in a few words, two lines at most, written below: ``right .82``, ``missed``.
        is_right: the verdict is good.
        box: (4,) xyxy of the box that shows the object, pixels of the image; None for none.
        name: the class that the box says, written at it.
        counts: False for a box whose score is too low: it is dotted and has no label.
    """

    verdict: str
    is_right: bool
    box: Any = None
    name: str = ""
    counts: bool = True


@dataclass(frozen=True)
class ObjectView:
    """An object, or a place where detectors see one, with what they say of it.

    Attributes:
        image: (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        title: above, such as the class, the size and the file.
        answers: by role or name of the detector.
        box: (4,) xyxy of the object, pixels of the image; None where there is none.
        neighbours: (n, 4) xyxy, annotated objects around, thin in the panel of the ground truth.
    """

    image: Any
    title: str
    answers: Mapping[str, Answer]
    box: Any = None
    neighbours: Any = ()


def object_gallery(
    objects: Sequence[ObjectView],
    *,
    columns: int | None = None,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, Axes]:
    """Objects cut out of their images, once for the annotation and once for each detector.

    All panels of an object show the same square. The object is black; the box that shows it has the
    colour of its detector and carries its class; a dotted one scored too low to count.

    Args:
        objects: to show, in this order; their answers come from the same detectors.
        columns: objects of one row; by default as many as make eight panels.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and its one axes, whose unit is a pixel of the figure: object by object the
        ground truth, student, teacher, distilled, then others.

    Raises:
        ValueError: there is no object, an object has neither a box nor an answer with one, or the
            objects have answers of different detectors.
    """
    if not objects:
        raise ValueError("nothing to draw: give at least one object")
    roles = in_role_order(objects[0].answers)
    for each in objects:
        if set(each.answers) != set(roles):
            raise ValueError(f"{each.title!r} has answers of {sorted(each.answers)}, not {roles}")
    return draw_strips(
        [_strip(each, roles) for each in objects],
        [GROUND_TRUTH, *roles],
        [role_colour(name) for name in (GROUND_TRUTH, *roles)],
        columns=columns,
        caption=caption,
        width=width,
    )


def _strip(each: ObjectView, roles: Sequence[str]) -> Strip:
    pixels = as_image(each.image)
    answered = [answer.box for answer in each.answers.values() if answer.box is not None]
    boxes = answered if each.box is None else [each.box, *answered]
    if not boxes:
        raise ValueError(f"{each.title!r} has no box: neither of the object nor of an answer")
    own = [] if each.box is None else [Mark(each.box, INK)]
    around = [Mark(box, INK, line="thin") for box in each.neighbours]
    panels = [CloseUp([*around, *own])]
    for role in roles:
        answer = each.answers[role]
        marks = marks_of(each.box, answer, role_colour(role))
        panels.append(CloseUp(marks, answer.verdict, is_wrong=not answer.is_right))
    view = view_around(boxes[0], boxes[1:], size=pixels.shape[:2])
    return Strip(pixels, view, each.title, panels)


def marks_of(box: Any, answer: Answer, colour: str) -> list[Mark]:
    """An object and the box that shows it.

    Args:
        box: (4,) xyxy of the object, pixels of the image; None where there is none.
        answer: of a detector.
        colour: of that detector.
    """
    marks = [] if box is None else [Mark(box, INK, line="thin")]
    if answer.box is not None and answer.counts:
        marks.append(Mark(answer.box, colour, answer.name))
    elif answer.box is not None:
        marks.append(Mark(answer.box, colour, line="dotted"))
    return marks
