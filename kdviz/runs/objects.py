"""Pictures of a diagnosis: its objects and images, opened only where something is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.diagnosis.confusion import BACKGROUND, Confusion
from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.errors import BoxType
from kdviz.diagnosis.per_image import most_improved
from kdviz.diagnosis.transitions import Transition
from kdviz.diagnosis.verdicts import ObjectVerdicts, Verdict
from kdviz.plots.boxes import compare_detections
from kdviz.plots.objects import Answer, ObjectView, object_gallery
from kdviz.plots.sheets import captioned_figure
from kdviz.plots.theme import in_role_order
from kdviz.runs.image_files import ImageFiles
from kdviz.structures import Detection

Thing = TypeVar("Thing")
Which = Literal["worst", "improved", "worsened"]

_WIDTH = 8.0
_READING = (
    "Black: the object. In colour: the box that a detector shows it by, with its class; dotted: a "
    "right box that scores too low to count. Thin in the ground truth: other annotated objects."
)
_KINDS = {
    Transition.FIXED: "fixed: wrong for the student alone, right for the distilled student",
    Transition.BROKEN: "broken: right for the student alone, wrong for the distilled student",
    Transition.INHERITED: (
        "inherited: the distilled student makes the teacher's mistake, which the student alone "
        "does not make"
    ),
    Transition.KEPT_RIGHT: "kept right: right for the student alone and the distilled student",
    Transition.KEPT_WRONG: "kept wrong: wrong for the student alone and the distilled student",
}
_ORDERS = {
    Transition.FIXED: "that gained most score",
    Transition.KEPT_RIGHT: "that gained most score",
}
_BOX_SAYS = {
    BoxType.BACKGROUND: "on nothing",
    BoxType.DUPLICATE: "second box",
    BoxType.LOCALISATION: "badly localised",
    BoxType.CLASS: "wrong class",
    BoxType.BOTH: "class and place wrong",
    BoxType.TRUE: "its object went to another box",
}


@dataclass(frozen=True)
class Gallery:
    """Pictures and what they show.

    Attributes:
        text: how many there are of what, and how many of them are shown; where nothing is shown,
            why.
        figures: with the text in their captions; empty where there is nothing to show.
        total: things of this kind.
        shown: things in the figures.
    """

    text: str
    figures: tuple[Figure, ...]
    total: int
    shown: int

    @property
    def figure(self) -> Figure:
        """The first figure; the text alone where there is none."""
        return self.figures[0] if self.figures else captioned_figure(_WIDTH, 0.0, self.text)[0]


def transition_pictures(
    diagnosis: Diagnosis,
    images: ImageFiles,
    kind: Transition | str,
    count: int = 12,
    first: int = 0,
) -> Gallery:
    """Objects of a transition, those that gained or lost most first.

    Args:
        diagnosis: with student and distilled.
        images: see `kdviz.runs.image_files.find_images`.
        kind: a `Transition` or its name, ``fixed``.
        count: objects at most.
        first: so many objects are passed over, to turn pages.

    Raises:
        KeyError: there is no such transition.
    """
    kind = Transition[kind.upper().replace(" ", "_")] if isinstance(kind, str) else kind
    if diagnosis.transitions is None or not diagnosis.transition_shares:
        return Gallery("Transitions need detections of student and distilled.", (), 0, 0)
    objects = diagnosis.transitions.objects(kind)
    order = _ORDERS.get(kind, "that lost most score")
    return object_pictures(
        diagnosis, images, objects, f"objects are {_KINDS[kind]}", order, count, first
    )


def object_pictures(
    diagnosis: Diagnosis,
    images: ImageFiles,
    objects: Iterable[int],
    noun: str = "objects",
    order: str = "that come first",
    count: int = 12,
    first: int = 0,
) -> Gallery:
    """Chosen objects with what each detector says of them.

    Args:
        diagnosis: of one to four sets.
        images: see `kdviz.runs.image_files.find_images`.
        objects: positions in the annotations.
        noun: what they are, after their number: ``objects are small``.
        order: which of them come first, after "those".
        count: objects at most.
        first: so many objects are passed over, to turn pages.
    """
    truth = diagnosis.inputs.truth
    judged = {role: one.verdicts for role, one in diagnosis.sets.items()}

    def view(object_: int) -> ObjectView:
        answers = {role: _answer(one, object_) for role, one in judged.items()}
        return _view(diagnosis, images, object_, int(truth.image[object_]), answers)

    return _gallery([int(x) for x in objects], view, images, noun, order, count, first)


def confusion_pictures(
    diagnosis: Diagnosis,
    images: ImageFiles,
    role: str,
    true_label: int | str,
    taken_for: int | str,
    count: int = 12,
    first: int = 0,
) -> Gallery:
    """What falls in a cell of a set's confusion matrix, boxes of high score first.

    Args:
        diagnosis: of one to four sets.
        images: see `kdviz.runs.image_files.find_images`.
        role: whose confusion matrix.
        true_label: row: a class, ``background``, or its number from 0.
        taken_for: column: the same.
        count: entries at most.
        first: so many entries are passed over, to turn pages.

    Raises:
        KeyError: there is no such set.
        ValueError: there is no such class.
    """
    one = diagnosis.sets[role]
    row, column = (_number(one.confusion, label) for label in (true_label, taken_for))
    cell, names = one.confusion.cell(row, column), one.confusion.names
    columns = cell.objects.tolist(), cell.boxes.tolist(), cell.images.tolist()

    def view(entry: tuple[int, int, int]) -> ObjectView:
        object_, box, image = entry
        if box < 0:
            answer = _answer(one.verdicts, object_)
        else:
            answer = _box_answer(one.verdicts, box, object_, right=row == column)
        return _view(diagnosis, images, object_, image, {role: answer})

    if names[row] == BACKGROUND:
        noun = f"{names[column]} boxes of the {role} match no object"
    elif names[column] == BACKGROUND:
        noun = f"{names[row]} objects match no box of the {role}"
    else:
        taken = "found" if row == column else f"taken for {names[column]}"
        noun = f"{names[row]} objects are {taken} by the {role}"
    order = "that come first" if names[column] == BACKGROUND else "of the highest scores"
    return _gallery(list(zip(*columns, strict=True)), view, images, noun, order, count, first)


def image_pictures(
    diagnosis: Diagnosis,
    images: ImageFiles,
    which: Which,
    role: str = "distilled",
    count: int = 4,
) -> Gallery:
    """Whole images that a detector does worst on, or that changed most through distillation.

    Args:
        diagnosis: of one to four sets.
        images: see `kdviz.runs.image_files.find_images`.
        which: ``worst`` by F1 of ``role``; ``improved`` or ``worsened`` from student to distilled.
        role: whose worst images.
        count: images at most, one figure for each.

    Raises:
        KeyError: there is no such set.
        ValueError: ``which`` is none of the three.
    """
    truth = diagnosis.inputs.truth
    scores = {name: one.images for name, one in diagnosis.sets.items()}
    total = len(truth.image_ids)
    if which == "worst":
        chosen = scores[role].worst(total)
        noun, order = f"images have objects or boxes of the {role}", "of the lowest F1"
    elif which in ("improved", "worsened"):
        if not {"student", "distilled"} <= scores.keys():
            return Gallery(f"Which images {which} takes student and distilled.", (), 0, 0)
        pair = [scores["student"], scores["distilled"]]
        before, after = pair if which == "improved" else pair[::-1]
        chosen = most_improved(before, after, total)
        noun = f"images {which} from student to distilled"
        order = "that lost most mistakes" if which == "improved" else "that gained most mistakes"
    else:
        raise ValueError(f"which={which!r} must be worst, improved or worsened")
    drawn, unseen = _take(chosen.tolist(), lambda image: (image, images[image]), count)
    text = _told(len(chosen), len(drawn), noun, order, 0, unseen, images)
    figures = [_image_figure(diagnosis, image, pixels) for image, pixels in drawn]
    return Gallery(text, tuple(figures), len(chosen), len(drawn))


def _image_figure(diagnosis: Diagnosis, image: int, pixels: NDArray[np.uint8]) -> Figure:
    truth = diagnosis.inputs.truth
    here = np.flatnonzero(truth.image == image)
    targets = {
        "boxes": torch.from_numpy(_corners(truth.boxes[here])),
        "labels": torch.from_numpy(truth.category[here] + 1),
        "iscrowd": torch.from_numpy(truth.crowd[here].astype(np.int64)),
    }
    found, mistakes = {}, []
    for name in in_role_order(diagnosis.sets):
        one = diagnosis.sets[name].verdicts
        boxes = one.typed.boxes
        counts = (boxes.image == image) & (boxes.scores >= one.threshold)
        kept = np.flatnonzero(counts & (one.typed.type != BoxType.SURPLUS))
        found[name] = Detection(
            torch.from_numpy(_corners(boxes.boxes[kept])),
            torch.from_numpy(boxes.scores[kept]),
            torch.from_numpy(boxes.category[kept] + 1),
        )
        mistakes.append(f"{name} {diagnosis.sets[name].images.mistakes[image]}")
    caption = f"{_file(diagnosis, image)}: wrong boxes and missed objects: {', '.join(mistakes)}."
    return compare_detections(
        pixels, found, targets, truth.category_names, score_threshold=0.0, caption=caption
    )[0]


def _gallery(
    things: Sequence[Thing],
    view: Callable[[Thing], ObjectView],
    images: ImageFiles,
    noun: str,
    order: str,
    count: int,
    first: int,
) -> Gallery:
    views, unseen = _take(things[first:], view, count)
    text = _told(len(things), len(views), noun, order, first, unseen, images)
    figures = (object_gallery(views, caption=f"{text} {_READING}")[0],) if views else ()
    return Gallery(text, figures, len(things), len(views))


def _take(
    things: Sequence[Thing], show: Callable[[Thing], Any], count: int
) -> tuple[list[Any], list[str]]:
    """The first so many that can be shown, and why those before the last of them cannot."""
    shown: list[Any] = []
    unseen: list[str] = []
    for thing in things:
        if len(shown) == count:
            break
        try:
            shown.append(show(thing))
        except (OSError, ValueError) as error:
            unseen.append(str(error))
    return shown, unseen


def _told(
    total: int,
    shown: int,
    noun: str,
    order: str,
    first: int,
    unseen: Sequence[str],
    images: ImageFiles,
) -> str:
    words = [f"{total or 'No'} {noun}."]
    if shown and first:
        words.append(f"Here are {shown} after the first {first} of those {order}.")
    elif 0 < shown < total:
        words.append(f"Here are {shown}, those {order}.")
    if unseen and images.missing:
        words.append(f"{len(unseen)} cannot be shown: {images.complaint}.")
    elif unseen:
        words.append(f"{len(unseen)} cannot be shown: {unseen[0]}.")
    return " ".join(words)


def _view(
    diagnosis: Diagnosis, images: ImageFiles, object_: int, image: int, answers: dict[str, Answer]
) -> ObjectView:
    truth = diagnosis.inputs.truth
    around = np.flatnonzero((truth.image == image) & (np.arange(len(truth.image)) != object_))
    title, box = "no object", None
    if object_ >= 0:
        width, height = truth.boxes[object_, 2:]
        title = f"{truth.category_names[truth.category[object_]]}, {width:.0f} by {height:.0f} px"
        box = _corners(truth.boxes[object_])
    return ObjectView(
        image=images[image],
        title=f"{title}, {_file(diagnosis, image)}",
        answers=answers,
        box=box,
        neighbours=_corners(truth.boxes[around]),
    )


def _answer(one: ObjectVerdicts, object_: int) -> Answer:
    """What a set says of an object at its threshold."""
    typed, verdict, box = one.typed, Verdict(one.verdict[object_]), int(one.box[object_])
    if box < 0:
        low = int(typed.found_by[object_])
        if low < 0:
            return Answer("missed", is_right=False)
        score = _short(typed.boxes.scores[low])
        return Answer(
            f"missed\n{score} is below {_short(one.threshold)}",
            is_right=False,
            box=_corners(typed.boxes.boxes[low]),
            counts=False,
        )
    score, iou = _short(typed.boxes.scores[box]), _short(typed.iou[box])
    name = typed.truth.category_names[typed.boxes.category[box]]
    says = {
        Verdict.RIGHT: f"right {score}",
        Verdict.WRONG_CLASS: f"wrong class\n{name} {score}",
        Verdict.BADLY_LOCALISED: f"badly localised\nIoU {iou}",
        Verdict.BOTH_WRONG: f"wrong class, place\n{name}, IoU {iou}",
    }[verdict]
    return _shown(one, box, says, right=verdict == Verdict.RIGHT)


def _box_answer(one: ObjectVerdicts, box: int, object_: int, *, right: bool) -> Answer:
    """What a box says of the object that it matches whatever its class, or of none."""
    score = _short(one.typed.boxes.scores[box])
    name = one.typed.truth.category_names[one.typed.boxes.category[box]]
    if object_ >= 0:
        return _shown(one, box, f"right {score}" if right else f"{name} {score}", right=right)
    return _shown(one, box, f"{_BOX_SAYS[BoxType(one.typed.type[box])]}\n{score}", right=False)


def _shown(one: ObjectVerdicts, box: int, says: str, *, right: bool) -> Answer:
    boxes = one.typed.boxes
    return Answer(
        says,
        is_right=right,
        box=_corners(boxes.boxes[box]),
        name=one.typed.truth.category_names[boxes.category[box]],
    )


def _number(confusion: Confusion, label: int | str) -> int:
    if isinstance(label, int):
        return label
    if label not in confusion.names:
        raise ValueError(f"there is no class {label!r}, only {', '.join(confusion.names)}")
    return confusion.names.index(label)


def _file(diagnosis: Diagnosis, image: int) -> str:
    truth = diagnosis.inputs.truth
    return truth.file_names[image] or f"image {truth.image_ids[image]}"


def _corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes as xyxy, from x, y, width, height."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def _short(number: float) -> str:
    return f"{number:.2f}".removeprefix("0")
