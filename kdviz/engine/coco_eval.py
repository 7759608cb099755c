"""The COCO numbers of a detector: for all objects, for each class, for each kind of difficulty.

A Rust evaluator does the matching; its precision and recall arrays are averaged here in the order
of the COCO reference code, which makes all numbers equal to that code's to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
from numpy.typing import NDArray

from kdviz.engine.coco_input import DetectionColumns, GroundTruth, read_annotations, read_detections
from kdviz.engine.coco_metrics import ClassMetrics, CocoMetrics, Slice, SliceMetrics
from kdviz.structures import Detection

_IOU_50, _IOU_75 = 0, 5
_AREAS = ("all", "small", "medium", "large")
_LIMITS = (1, 10, 100)
# Outside every area range of COCO, of which "all" ends at 1e10 square pixels.
_AREA_OUTSIDE = 1e12


def evaluate_coco(
    annotations: str | Path | Mapping[str, Any],
    detections: str | Path | Sequence[Mapping[str, Any]],
    slices: Sequence[Slice] | None = None,
) -> CocoMetrics:
    """The 12 COCO numbers of the detections, also for each class and each kind of difficulty.

    For a slice the objects outside it are treated as COCO treats those outside an area range:
    nobody misses them, and a detection matched to one of them is left out. Detections that match
    nothing are false positives of every slice, so slices compare detectors on the same objects,
    not with one another where their numbers of objects differ.

    Args:
        annotations: COCO annotations, a file or what is in it. Ids of annotations are not read;
            COCO's own code misreads an object of id 0 as never found, this one does not.
        detections: COCO results, a file or the list in it, boxes x, y, width, height in original
            pixels, scores in [0, 1].
        slices: kinds of difficulty; None takes `default_slices`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: something cannot be evaluated; the message counts and names the first cases.

    Reference: Lin et al., Microsoft COCO, ECCV 2014, arXiv:1405.0312.
    """
    truth = read_annotations(annotations)
    results = read_detections(detections, truth)
    whole = _Evaluation(truth, results, truth.area)
    regular = ~truth.crowd
    per_class = {
        name: ClassMetrics(
            category_id=int(truth.category_ids[k]),
            objects=int((regular & (truth.category == k)).sum()),
            detections=int((results.category == k).sum()),
            stats=whole.stats(k),
        )
        for k, name in enumerate(truth.category_names)
    }
    per_factor: dict[str, tuple[SliceMetrics, ...]] = {}
    for one in default_slices(truth) if slices is None else slices:
        if one.factor not in truth.factors:
            raise ValueError(
                f"no annotation has the factor {one.factor!r}; there are {sorted(truth.factors)}"
            )
        values = truth.factors[one.factor]
        inside = (values > one.low) & (values <= one.high)
        sliced = _Evaluation(truth, results, np.where(inside, truth.area, _AREA_OUTSIDE))
        entry = SliceMetrics(one, int((inside & regular).sum()), sliced.stats())
        per_factor[one.factor] = (*per_factor.get(one.factor, ()), entry)
    return CocoMetrics(
        stats=whole.stats(),
        per_class=per_class,
        per_factor=per_factor,
        images=len(truth.image_ids),
        objects=int(regular.sum()),
        detections=len(results.scores),
        notes=(*truth.notes, *results.notes),
    )


def default_slices(truth: GroundTruth) -> list[Slice]:
    """Up to three slices for each factor: objects without it, and a lower and an upper half.

    Where some values are 0 and none is below, 0 is a slice of its own; the others part at their
    median. They cover every value, so each object that tells its factor is in one slice.
    """
    slices = []
    for factor, values in sorted(truth.factors.items()):
        known = values[~np.isnan(values) & ~truth.crowd]
        low = -math.inf
        if len(known) and known.min() == 0:
            slices.append(Slice(factor, "zero", high=0.0))
            known, low = known[known > 0], 0.0
        if not len(known):
            continue
        middle = float(np.median(known))
        if known.max() > middle:
            slices.append(Slice(factor, "low", low, middle))
            slices.append(Slice(factor, "high", middle))
        else:
            slices.append(Slice(factor, "present", low))
    return slices


def to_coco_results(
    detections: Sequence[Detection], image_ids: Sequence[int], category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Detections as COCO results, ready to be evaluated and written.

    Boxes are rounded to a thousandth of a pixel and scores to nine significant digits, which keeps
    any two float32 scores apart and in order. Evaluate what this returns, not something finer: then
    the file gives the same numbers when it is read again.

    Args:
        detections: one per image, boxes xyxy in original pixels, labels 1..K.
        image_ids: id of each image.
        category_ids: id of the category of label 1, 2, ... K.

    Raises:
        ValueError: the lengths differ, or a label is outside 1..K.
    """
    if len(detections) != len(image_ids):
        raise ValueError(f"{len(detections)} detections do not fit {len(image_ids)} image ids")
    results = []
    for one, image_id in zip(detections, image_ids, strict=True):
        xyxy = one.boxes.detach().cpu().double().numpy().reshape(-1, 4)
        boxes = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).round(3).tolist()
        for box, score, label in zip(boxes, one.scores.tolist(), one.labels.tolist(), strict=True):
            if not 1 <= label <= len(category_ids):
                raise ValueError(
                    f"image {image_id} has a detection of label {label}; with "
                    f"{len(category_ids)} categories labels are 1 to {len(category_ids)}"
                )
            results.append(
                {
                    "image_id": int(image_id),
                    "category_id": int(category_ids[label - 1]),
                    "bbox": box,
                    "score": float(f"{score:.9g}"),
                }
            )
    return results


class _Evaluation:
    """Precision and recall of all detections, given how large each object is said to be."""

    def __init__(
        self, truth: GroundTruth, results: DetectionColumns, area: NDArray[np.float64]
    ) -> None:
        # Numbers from 1 in place of the caller's ids: an annotation id of 0 reads as "no match",
        # and large ids would lose digits in the float column of the results.
        dataset = hotcoco.COCO.from_arrays(
            [{"id": i + 1} for i in range(len(truth.image_ids))],
            [{"id": k + 1, "name": str(k)} for k in range(len(truth.category_ids))],
            truth.image + 1,
            truth.category + 1,
            truth.boxes,
            ids=np.arange(1, len(area) + 1),
            area=area,
            iscrowd=truth.crowd.astype(np.int64),
        )
        rows = np.column_stack(
            [results.image + 1, results.boxes, results.scores, results.category + 1]
        )
        evaluator = hotcoco.COCOeval(dataset, dataset.load_res(rows), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        curves = evaluator.eval or {}
        self._precision = np.asarray(curves["precision"])  # IoU, recall, class, area, limit
        self._recall = np.asarray(curves["recall"])  # IoU, class, area, limit

    def stats(self, category: int | None = None) -> dict[str, float]:
        """The 12 numbers of all categories or of one."""
        chosen = slice(None) if category is None else slice(category, category + 1)
        precision, recall = self._precision[:, :, chosen], self._recall[:, chosen]
        stats = {
            "AP": _mean(precision[..., 0, 2]),
            "AP50": _mean(precision[_IOU_50, ..., 0, 2]),
            "AP75": _mean(precision[_IOU_75, ..., 0, 2]),
        }
        stats |= {f"AP{_AREAS[a][0]}": _mean(precision[..., a, 2]) for a in (1, 2, 3)}
        stats |= {f"AR{limit}": _mean(recall[..., 0, m]) for m, limit in enumerate(_LIMITS)}
        stats |= {f"AR{_AREAS[a][0]}": _mean(recall[..., a, 2]) for a in (1, 2, 3)}
        return stats


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what exists; -1 when nothing does."""
    existing = values[values > -1]
    return float(existing.mean()) if existing.size else -1.0
