"""Images with boxes: ground truth, detections, detectors side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kdviz.plots.images import as_image, show_image
from kdviz.plots.labels import write_labels
from kdviz.plots.marks import outline
from kdviz.plots.matching import BoxSet, Matches, Names, above, box_set, match_boxes
from kdviz.plots.panels import MARGIN, image_panels, one_panel, text_size
from kdviz.plots.theme import INK, MISSED, class_colour, in_role_order, role_colour, theme
from kdviz.structures import Detection, Target

_DASHED = (0.0, (3.0, 2.0))
_DOTTED = (0.0, (1.0, 1.2))


@theme()
def draw_boxes(
    image: Any,
    boxes: Detection | Target | Any,
    names: Names | None = None,
    *,
    score_threshold: float = 0.0,
    colour: str | None = None,
    title: str = "",
    caption: str | None = None,
    width: float | None = None,
    axes: Axes | None = None,
) -> tuple[Figure, Axes]:
    """One image with its detections or its ground truth.

    Labels are written where they cover no other label and stay inside the image, best score first;
    where a crowd leaves no room, the box stays without one.

    Args:
        image: (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        boxes: a `Detection`, a target, or boxes (n, 4) xyxy in pixels of ``image``.
        names: of the classes, first that of label 1; without them the label's number is written.
        score_threshold: detections below are not drawn, [0, 1].
        colour: of all boxes; by default each class has its own.
        title: above the image.
        caption: sentence below.
        width: of a new figure, inches.
        axes: to draw into, instead of a new figure.

    Returns:
        The figure and its axes, whose coordinates are pixels of ``image``.
    """
    pixels = as_image(image)
    figure, axes, _ = one_panel(axes, pixels.shape[:2], title, caption, width)
    show_image(axes, pixels)
    content = above(box_set(boxes), score_threshold)
    colours = [colour or class_colour(int(label)) for label in content.labels]
    outline(axes, content.boxes, colours)
    write_labels(axes, content.boxes, content.names(names), colours, content.scores)
    return figure, axes


@theme()
def compare_detections(
    image: Any,
    detections: Mapping[str, Detection],
    targets: Target | None = None,
    names: Names | None = None,
    *,
    score_threshold: float = 0.3,
    iou_threshold: float = 0.5,
    caption: str | None = None,
    columns: int | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """Detectors side by side on one image: what each finds, invents and misses.

    Ground truth stands first, then student, teacher, distilled, whatever the order of the
    arguments. A solid box matches a ground-truth box of its class, a dashed one matches none, a
    dotted one with a cross is ground truth that was missed. A right box carries its score alone:
    its class is that of the ground truth.

    Args:
        image: (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        detections: by role: ``student``, ``teacher``, ``distilled``, or any other name.
        targets: ground truth; without it all boxes are solid.
        names: of the classes, first that of label 1.
        score_threshold: detections below are neither drawn nor counted, [0, 1].
        iou_threshold: overlap from which a detection matches, (0, 1].
        caption: sentence below.
        columns: panels of one row.
        width: of the figure, inches.

    Returns:
        The figure and one axes per panel, in the order of the panels.
    """
    pixels = as_image(image)
    truth = None if targets is None else box_set(targets)
    shown = {name: above(box_set(found), score_threshold) for name, found in detections.items()}
    panels_of = dict(shown) if truth is None else {"ground truth": truth, **shown}
    order = in_role_order(panels_of)
    matches = {
        name: match_boxes(shown[name], truth, iou_threshold)
        for name in order
        if truth is not None and name in shown
    }
    panels = image_panels(
        pixels.shape[:2],
        [_title(name, panels_of[name], matches.get(name)) for name in order],
        colours=[role_colour(name) for name in order],
        columns=columns,
        caption=caption,
        width=width,
        foot=0.28 if matches else 0.0,
    )
    for axes, name in zip(panels.axes, order, strict=True):
        show_image(axes, pixels)
        content, colour = panels_of[name], role_colour(name)
        if name in matches:
            assert truth is not None
            _draw_outcome(axes, content, truth, matches[name], colour)
        else:
            outline(axes, content.boxes[~content.crowd], colour)
            outline(axes, content.boxes[content.crowd], colour, dashes=_DOTTED, line_width=1.0)
        words = content.names(names)
        if name in matches:  # a right box has the class of the ground truth below it
            right = matches[name].right
            words = ["" if fits else word for word, fits in zip(words, right, strict=True)]
        write_labels(axes, content.boxes, words, [colour] * len(words), content.scores)
    if matches:
        _legend(panels.figure, panels.foot, iou_threshold)
    return panels.figure, panels.axes


@theme()
def gallery(
    images: Sequence[Any],
    boxes: Sequence[Detection | Target | Any] | None = None,
    names: Names | None = None,
    *,
    titles: Sequence[str] | None = None,
    score_threshold: float = 0.3,
    columns: int = 6,
    caption: str | None = None,
    width: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """A contact sheet: many images in equal cells, with or without their boxes.

    Args:
        images: each (3, h, w) float in [0, 1] or (h, w, 3) uint8; sizes may differ.
        boxes: one `Detection` or target per image.
        names: of the classes; without them boxes carry no label, only the colour of their class.
        titles: one per image.
        score_threshold: detections below are not drawn, [0, 1].
        columns: images of one row.
        caption: sentence below.
        width: of the figure, inches.

    Returns:
        The figure and one axes per image.

    Raises:
        ValueError: ``boxes`` or ``titles`` are not as many as ``images``.
    """
    for what, given in (("boxes", boxes), ("titles", titles)):
        if given is not None and len(given) != len(images):
            raise ValueError(f"{len(given)} {what} for {len(images)} images; give one per image")
    arrays = [as_image(image) for image in images]
    # The cell takes the shape most images have; the others are centred in it.
    ratios = sorted(array.shape[0] / array.shape[1] for array in arrays)
    ratio = ratios[len(ratios) // 2] if ratios else 1.0
    panels = image_panels(
        (round(1000 * ratio), 1000),
        titles or [""] * len(arrays),
        columns=columns,
        caption=caption,
        width=width,
    )
    for index, (axes, array) in enumerate(zip(panels.axes, arrays, strict=True)):
        show_image(axes, array)
        if boxes is None:
            continue
        content = above(box_set(boxes[index]), score_threshold)
        colours = [class_colour(int(label)) for label in content.labels]
        outline(axes, content.boxes, colours, line_width=1.2)
        if names is not None:
            write_labels(axes, content.boxes, content.names(names), colours, content.scores)
    return panels.figure, panels.axes


def _title(name: str, content: BoxSet, matches: Matches | None) -> str:
    if matches is None:
        count = len(content.boxes)
        return f"{name}\n{count} box" + ("" if count == 1 else "es")
    wrong = int((~matches.right & ~matches.ignored).sum())
    return f"{name}\n{matches.right.sum()} right, {wrong} wrong, {matches.missed.sum()} missed"


def _draw_outcome(
    axes: Axes, content: BoxSet, truth: BoxSet, matches: Matches, colour: str
) -> None:
    missed = truth.boxes[matches.missed]
    outline(axes, missed, MISSED, dashes=_DOTTED)
    centres = (missed[:, :2] + missed[:, 2:]) / 2
    axes.plot(*centres.T, "x", color=MISSED, markersize=6, markeredgewidth=1.6, scalex=False,
              scaley=False)  # fmt: skip
    wrong = ~matches.right & ~matches.ignored
    outline(axes, content.boxes[matches.ignored], colour, line_width=0.8)
    outline(axes, content.boxes[wrong], colour, dashes=_DASHED)
    outline(axes, content.boxes[matches.right], colour)


def _legend(figure: Figure, middle: float, iou_threshold: float) -> None:
    right = f"right: IoU ≥ {iou_threshold:g}, same class"
    entries: list[tuple[str, dict[str, Any]]] = [
        (right, {"color": INK}),
        ("wrong", {"color": INK, "linestyle": _DASHED}),
        ("missed", {"color": MISSED, "linestyle": _DOTTED, "marker": "x", "markersize": 5}),
    ]
    inch = 1 / figure.get_size_inches()[0]
    x = MARGIN
    for text, style in entries:
        figure.add_artist(
            Line2D([x * inch, (x + 0.3) * inch], [middle] * 2, linewidth=1.6, **style)
        )
        figure.text((x + 0.37) * inch, middle, text, size=8, va="center_baseline")
        x += 0.6 + text_size(text, 8)[0] / 72
