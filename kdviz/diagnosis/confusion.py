"""Which class is taken for which, with the boxes and objects of every cell at hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdviz.diagnosis.errors import FOREGROUND_IOU, BoxType, TypedBoxes, pair_with_objects
from kdviz.diagnosis.overlaps import Integers, falling, match_greedily

BACKGROUND = "background"


@dataclass(frozen=True)
class Cell:
    """What falls in one cell of a confusion matrix, boxes of high score first.

    Attributes:
        objects: one for each entry; -1 where there is none, in the background row, (m,).
        boxes: one for each entry; -1 where there is none, in the background column, (m,).
        images: number of the image of each entry, (m,).
    """

    objects: Integers
    boxes: Integers
    images: Integers


@dataclass(frozen=True)
class Confusion:
    """Objects over boxes, by class.

    Attributes:
        typed: the set of detections.
        threshold: boxes of lower score were not looked at.
        names: of the rows and columns: the classes by rising id, then ``background``.
        matrix: entries of each cell, (K + 1, K + 1): row the annotated class, column the detected
            one. The last column holds the missed objects, the last row the boxes on nothing.
        row: of each entry, (m,).
        column: of each entry, (m,).
        object: of each entry, or -1, (m,).
        box: of each entry, or -1, (m,).
    """

    typed: TypedBoxes
    threshold: float
    names: tuple[str, ...]
    matrix: Integers
    row: Integers
    column: Integers
    object: Integers
    box: Integers

    def cell(self, row: int, column: int) -> Cell:
        """The entries of a cell, the number of the last class + 1 being the background."""
        here = np.flatnonzero((self.row == row) & (self.column == column))
        objects, boxes = self.object[here], self.box[here]
        truth, found = self.typed.truth, self.typed.boxes
        if column < len(self.names) - 1:
            order = np.argsort(-found.scores[boxes], kind="stable")
            objects, boxes = objects[order], boxes[order]
            return Cell(objects, boxes, found.image[boxes])
        return Cell(objects, boxes, truth.image[objects])

    def mix_ups(self, count: int = 10) -> list[tuple[int, int, int]]:
        """The most frequent pairs of different classes: row, column and entries."""
        classes = self.matrix[:-1, :-1].copy()
        np.fill_diagonal(classes, 0)
        order = np.argsort(-classes, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(order, classes.shape)
        found = zip(rows.tolist(), columns.tolist(), classes[rows, columns].tolist(), strict=True)
        return [entry for entry in found if entry[2]]


def confuse(typed: TypedBoxes, threshold: float) -> Confusion:
    """Match boxes to objects whatever their classes, and count which class meets which.

    Boxes choose by falling score the free object that they overlap most, by an IoU of .5 or more.
    Unlike the typing of boxes, where only objects of the own class can be found, this lets a box of
    the wrong class take an object away from a later box of the right one. Boxes without an object
    are left out where they lie in a crowd region of their class.

    Args:
        typed: the set of detections.
        threshold: scores from here on count, in [0, 1].
    """
    truth, boxes, classes = typed.truth, typed.boxes, len(typed.truth.category_ids)
    count = len(boxes.scores)
    shown = (boxes.scores >= threshold) & (typed.type != BoxType.SURPLUS)
    pairs = pair_with_objects(truth, boxes, crowd=False, among=shown)
    rank = np.empty(count, np.int64)
    rank[falling(boxes.scores)] = np.arange(count)
    found = match_greedily(
        pairs.where(pairs.iou >= FOREGROUND_IOU), rank, count, len(truth.category)
    )
    alone = np.flatnonzero(shown & (found < 0) & (typed.type != BoxType.IGNORED))
    matched = np.flatnonzero(found >= 0)
    unmatched = ~truth.crowd
    unmatched[found[matched]] = False
    missed = np.flatnonzero(unmatched)

    object_ = np.concatenate([found[matched], missed, np.full(len(alone), -1)])
    box = np.concatenate([matched, np.full(len(missed), -1), alone])
    # An index of -1 takes what is appended: the number of the background.
    row = np.append(truth.category, classes)[object_]
    column = np.append(boxes.category, classes)[box]
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(matrix, (row, column), 1)
    names = (*truth.category_names, BACKGROUND)
    return Confusion(typed, threshold, names, matrix, row, column, object_, box)
