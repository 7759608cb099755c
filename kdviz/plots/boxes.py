"""Images with boxes: ground truth, detections, detectors side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from kdviz.plots.images import as_array, as_boxes, as_image, show_image
from kdviz.plots.marks import outline, write_labels
from kdviz.plots.panels import image_panels, one_panel
from kdviz.plots.theme import INK, MISSED, class_colour, in_role_order, role_colour, theme
from kdviz.structures import Detection, Target

Names = Sequence[str] | Mapping[int, str]
"""Class names: a sequence that begins with the name of label 1, or a mapping from label to name."""

_DASHED = (0.0, (3.0, 2.0))
_DOTTED = (0.0, (1.0, 1.2))


@dataclass(frozen=True)
class _Content:
    """Detections or ground truth of one image as arrays; ``scores`` is None for ground truth."""

    boxes: NDArray[np.float64]
    labels: NDArray[Any]
    scores: NDArray[Any] | None
    crowd: NDArray[np.bool_]

    def at(self, rows: NDArray[Any]) -> _Content:
        scores = None if self.scores is None else self.scores[rows]
        return _Content(self.boxes[rows], self.labels[rows], scores, self.crowd[rows])

    def names(self, names: Names | None) -> list[str]:
        return [_name(names, int(label)) for label in self.labels]


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
    content = _above(_content(boxes), score_threshold)
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
    truth = None if targets is None else _content(targets)
    shown = {name: _above(_content(found), score_threshold) for name, found in detections.items()}
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
        columns=columns or min(len(order), 4),
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
        content = _above(_content(boxes[index]), score_threshold)
        colours = [class_colour(int(label)) for label in content.labels]
        outline(axes, content.boxes, colours, line_width=1.2)
        if names is not None:
            write_labels(axes, content.boxes, content.names(names), colours, content.scores)
    return panels.figure, panels.axes


@dataclass(frozen=True)
class Matches:
    """Which detections are right and which ground truth is found.

    Attributes:
        right: per detection: it is the best match of a ground-truth box of its class.
        ignored: per detection: it lies on a crowd region and counts neither way.
        missed: per ground-truth box: no detection matches it; never true for a crowd region.
    """

    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    missed: NDArray[np.bool_]


def match_boxes(detections: Any, targets: Any, iou_threshold: float = 0.5) -> Matches:
    """Match as the COCO protocol does: best score first, each ground-truth box once.

    Args:
        detections: a `Detection`.
        targets: ground truth of the same image, in the same pixels.
        iou_threshold: least overlap of a match, (0, 1]; for a crowd region the share of the
            detection inside it.
    """
    found, truth = _content(detections), _content(targets)
    overlap = box_iou(found.boxes, truth.boxes, truth.crowd)
    overlap[found.labels[:, None] != truth.labels[None, :]] = -1.0
    right = np.zeros(len(found.boxes), dtype=bool)
    ignored = np.zeros(len(found.boxes), dtype=bool)
    missed = ~truth.crowd
    scores = np.zeros(len(right)) if found.scores is None else found.scores
    for row in np.argsort(-scores, kind="stable"):
        free = np.where(missed, overlap[row], -1.0)
        if free.max(initial=-1.0) >= iou_threshold:
            right[row] = True
            missed[free.argmax()] = False
        else:
            ignored[row] = overlap[row, truth.crowd].max(initial=-1.0) >= iou_threshold
    return Matches(right, ignored, missed)


def box_iou(
    boxes: NDArray[np.float64],
    others: NDArray[np.float64],
    crowd: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Intersection over union, (n, m) in [0, 1]; over the area of ``boxes`` for crowd columns."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    other_area = (others[:, 2:] - others[:, :2]).prod(axis=1)[None, :]
    union = area + other_area - shared
    if crowd is not None:
        union = np.where(crowd[None, :], area, union)
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)


def _content(boxes: Any) -> _Content:
    if isinstance(boxes, _Content):
        return boxes
    if isinstance(boxes, Detection):
        found = as_boxes(boxes.boxes)
        none = np.zeros(len(found), dtype=bool)
        return _Content(found, as_array(boxes.labels), as_array(boxes.scores), none)
    if isinstance(boxes, Mapping):
        found = as_boxes(boxes["boxes"])
        none = np.zeros(len(found), dtype=bool)
        crowd = as_array(boxes["iscrowd"]).astype(bool) if "iscrowd" in boxes else none
        scores = as_array(boxes["scores"]) if "scores" in boxes else None
        return _Content(found, as_array(boxes["labels"]), scores, crowd)
    found = as_boxes(boxes)
    none = np.zeros(len(found), dtype=bool)
    return _Content(found, np.ones(len(found), dtype=np.int64), None, none)


def _above(content: _Content, score_threshold: float) -> _Content:
    if content.scores is None:
        return content
    content = content.at(content.scores >= score_threshold)
    assert content.scores is not None
    return content.at(np.argsort(-content.scores, kind="stable"))


def _name(names: Names | None, label: int) -> str:
    if names is None:
        return str(label)
    if isinstance(names, Mapping):
        return str(names.get(label, label))
    return str(names[label - 1]) if 1 <= label <= len(names) else str(label)


def _title(name: str, content: _Content, matches: Matches | None) -> str:
    if matches is None:
        count = len(content.boxes)
        return f"{name}\n{count} box" + ("" if count == 1 else "es")
    wrong = int((~matches.right & ~matches.ignored).sum())
    return f"{name}\n{matches.right.sum()} right, {wrong} wrong, {matches.missed.sum()} missed"


def _draw_outcome(
    axes: Axes, content: _Content, truth: _Content, matches: Matches, colour: str
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


def _legend(figure: Figure, height: float, iou_threshold: float) -> None:
    lines = [
        Line2D([], [], color=INK, linewidth=1.6),
        Line2D([], [], color=INK, linewidth=1.6, linestyle=_DASHED),
        Line2D([], [], color=MISSED, linewidth=1.6, linestyle=_DOTTED, marker="x", markersize=5),
    ]
    texts = [f"right: IoU ≥ {iou_threshold:g}, same class", "wrong", "missed"]
    figure.legend(lines, texts, loc="center", bbox_to_anchor=(0.5, height), ncols=3)
