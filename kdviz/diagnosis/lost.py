"""The objects that a detector gets wrong, each with the last place inside it where it was seen.

`kdviz.diagnosis.misses` follows the objects of some images back through the network; here its
answer is laid beside the verdicts of the diagnosis, object by object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kdviz.diagnosis.misses import Cause, Traces
from kdviz.diagnosis.overlaps import Integers, Numbers
from kdviz.diagnosis.verdicts import JUDGED, ObjectVerdicts, Verdict
from kdviz.engine.coco_input import GroundTruth
from kdviz.structures import Target


@dataclass(frozen=True)
class LostObjects:
    """What became of each object, and where inside it was seen last.

    Attributes:
        verdicts: what the diagnosis says of them.
        cause: a `Cause` for each object, (G,) int8; -1 for crowds. FOUND holds where some box of
            its class lies on it, and the verdict may still be wrong: that box was another's.
        scores: best score of a box that shows the object, by place as in `Traces`, (G,) in [0, 1];
            NaN for crowds.
        distance: how far the translated maps are from the teacher's at the object, (G,) >= 0, see
            `kdviz.diagnosis.misses.object_distances`; NaN for crowds.
        crossed_threshold: scores from here on counted for the teacher's head on these maps.
        chance: scores of the detector up to here said nothing.
    """

    verdicts: ObjectVerdicts
    cause: NDArray[np.int8]
    scores: dict[str, Numbers]
    distance: Numbers
    crossed_threshold: float
    chance: float

    def counts(self) -> dict[Cause, int]:
        """Objects that the detector gets wrong, by cause."""
        return self._tally(self.verdicts.wrong)

    def by_verdict(self) -> dict[Verdict, dict[Cause, int]]:
        """Objects by verdict and cause."""
        verdict = self.verdicts.verdict
        return {kind: self._tally(verdict == kind) for kind in JUDGED}

    def objects(self, cause: Cause) -> Integers:
        """Wrong objects of a cause, those that the teacher is surest of first, (n,)."""
        chosen = np.flatnonzero(self.verdicts.wrong & (self.cause == cause))
        return chosen[np.argsort(-self.scores["teacher"][chosen], kind="stable")]

    @property
    def read(self) -> tuple[int, int]:
        """Of the objects that the detector finds, how many the teacher's head finds on its maps.

        All of them are in the maps, so this tells how well that head can read them at all: where
        it reads few, an object that it does not find need not be missing from the maps.

        Returns:
            (how many of them it finds, how many there are).
        """
        right = self.verdicts.right
        return int((right & (self.scores["crossed"] >= self.crossed_threshold)).sum()), int(
            right.sum()
        )

    def _tally(self, chosen: NDArray[np.bool_]) -> dict[Cause, int]:
        return {cause: int((chosen & (self.cause == cause)).sum()) for cause in Cause}


def join_traces(
    verdicts: ObjectVerdicts,
    traces: Traces,
    distance: Numbers,
    *,
    crossed_threshold: float,
    chance: float,
) -> LostObjects:
    """Lay traces beside the verdicts of the same objects.

    Args:
        verdicts: of one set of detections.
        traces: of the objects of `targets_of` the same ground truth.
        distance: of these objects, in their order.
        crossed_threshold: that the traces were made with.
        chance: the same.

    Raises:
        ValueError: the traces are of another number of objects.
    """
    truth = verdicts.typed.truth
    order = objects_of(truth)
    if len(traces.cause) != len(order):
        raise ValueError(
            f"{len(traces.cause)} traced objects for {len(order)} annotated ones without crowds; "
            "trace the targets of the same annotations"
        )
    cause = np.full(len(truth.image), -1, np.int8)
    cause[order] = traces.cause.numpy()
    columns = {**{name: x.numpy() for name, x in traces.scores.items()}, "": distance}
    laid = {name: np.full(len(cause), np.nan) for name in columns}
    for name, values in columns.items():
        laid[name][order] = values
    return LostObjects(verdicts, cause, laid, laid.pop(""), crossed_threshold, chance)


def targets_of(truth: GroundTruth) -> list[Target]:
    """The annotated objects of each image without crowds, boxes as annotated.

    Returns:
        For each image of ``truth.image_ids``: ``boxes`` (n, 4) xyxy in pixels of the original
        image, ``labels`` (n,) from 1; the objects of an image in the order of the annotations.
    """
    order = objects_of(truth)
    boxes = truth.boxes[order]
    corners = torch.from_numpy(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1))
    labels = torch.from_numpy(truth.category[order] + 1)
    counts = np.bincount(truth.image[order], minlength=len(truth.image_ids)).tolist()
    parts = zip(corners.float().split(counts), labels.split(counts), strict=True)
    return [{"boxes": own, "labels": names} for own, names in parts]


def objects_of(truth: GroundTruth) -> Integers:
    """The objects of `targets_of` one after the other, without crowds."""
    objects = np.flatnonzero(~truth.crowd)
    return objects[np.argsort(truth.image[objects], kind="stable")]


def causes_table(lost: Mapping[str, LostObjects]) -> str:
    """Where each detector lost the objects that it gets wrong, as text; one row a detector.

    The last column is `LostObjects.read`: how far the column ``neck`` can be trusted.
    """
    shown = [cause for cause in Cause if cause != Cause.FOUND]
    widths = [max(11, len(cause.name) + 2) for cause in shown]
    heads = "".join(f"{cause.name.lower():>{w}}" for cause, w in zip(shown, widths, strict=True))
    room = max(9, *map(len, lost)) + 1
    rows = [f"{'':{room}}{'wrong':>7}{heads}   of the found, read"]
    for name, one in lost.items():
        counts, wrong = one.counts(), int(one.verdicts.wrong.sum())
        cells = [f"{counts[cause]} {counts[cause] / max(wrong, 1):4.0%}" for cause in shown]
        texts = "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        read, right = one.read
        rows.append(
            f"{name:{room}}{wrong:7}{texts}   {read} of {right} ({read / max(right, 1):.0%})"
        )
    return "\n".join(rows)
