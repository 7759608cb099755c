"""Pictures of the objects of a diagnosis: by transition, by cell of a confusion matrix, any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from kdviz.diagnosis.confusion import BACKGROUND, Confusion
from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.transitions import Transition
from kdviz.plots.objects import Answer, ObjectView, object_gallery
from kdviz.runs.diagnosis.answers import answer_of, box_answer, called, corners, file_of, title_of
from kdviz.runs.diagnosis.galleries import Gallery, Noun, Thing, take, told
from kdviz.runs.diagnosis.image_files import ImageFiles

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
        images: see `kdviz.runs.diagnosis.image_files.find_images`.
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
        diagnosis, images, objects, _are("object", _KINDS[kind]), order, count, first
    )


def object_pictures(
    diagnosis: Diagnosis,
    images: ImageFiles,
    objects: Iterable[int],
    noun: Noun = ("object", "objects"),
    order: str = "annotated first",
    count: int = 12,
    first: int = 0,
) -> Gallery:
    """Chosen objects with what each detector says of them.

    Args:
        diagnosis: of one to four sets.
        images: see `kdviz.runs.diagnosis.image_files.find_images`.
        objects: positions in the annotations.
        noun: what they are, after their number, for one and for several: ``("object is small",
            "objects are small")``.
        order: which of them come first, after "those".
        count: objects at most.
        first: so many objects are passed over, to turn pages.
    """
    truth = diagnosis.inputs.truth
    judged = {role: one.verdicts for role, one in diagnosis.sets.items()}

    def view(object_: int) -> ObjectView:
        answers = {role: answer_of(one, object_) for role, one in judged.items()}
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
        images: see `kdviz.runs.diagnosis.image_files.find_images`.
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
            answer = answer_of(one.verdicts, object_)
        else:
            answer = box_answer(one.verdicts, box, object_, right=row == column)
        return _view(diagnosis, images, object_, image, {role: answer})

    if names[row] == BACKGROUND:
        name = f"{names[column]} box"
        noun: Noun = (
            f"{name} of {called(role)} matches no object",
            f"{name}es of {called(role)} match no object",
        )
    elif names[column] == BACKGROUND:
        name = f"{names[row]} object"
        noun = (
            f"{name} matches no box of {called(role)}",
            f"{name}s match no box of {called(role)}",
        )
    else:
        taken = "found" if row == column else f"taken for {names[column]}"
        noun = _are(f"{names[row]} object", f"{taken} by {called(role)}")
    order = "annotated first" if names[column] == BACKGROUND else "of the highest scores"
    return _gallery(list(zip(*columns, strict=True)), view, images, noun, order, count, first)


def _are(noun: str, what: str) -> Noun:
    return f"{noun} is {what}", f"{noun}s are {what}"


def _gallery(
    things: Sequence[Thing],
    view: Callable[[Thing], ObjectView],
    images: ImageFiles,
    noun: Noun,
    order: str,
    count: int,
    first: int,
) -> Gallery:
    views, unseen = take(things[first:], view, count)
    text = told(len(things), len(views), noun, order, first, unseen, images)
    figures = (object_gallery(views, caption=f"{text} {_READING}")[0],) if views else ()
    return Gallery(text, figures, len(things), len(views))


def _view(
    diagnosis: Diagnosis, images: ImageFiles, object_: int, image: int, answers: dict[str, Answer]
) -> ObjectView:
    truth = diagnosis.inputs.truth
    around = np.flatnonzero((truth.image == image) & (np.arange(len(truth.image)) != object_))
    return ObjectView(
        image=images[image],
        title=title_of(truth, object_) if object_ >= 0 else f"no match, {file_of(truth, image)}",
        answers=answers,
        box=corners(truth.boxes[object_]) if object_ >= 0 else None,
        neighbours=corners(truth.boxes[around]),
    )


def _number(confusion: Confusion, label: int | str) -> int:
    if isinstance(label, int):
        return label
    if label not in confusion.names:
        raise ValueError(f"there is no class {label!r}, only {', '.join(confusion.names)}")
    return confusion.names.index(label)
