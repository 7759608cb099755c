"""From a detector and a data set to COCO results and COCO numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from kdviz.datasets.coco import DetectionData, DetectionDataset
from kdviz.datasets.loader import eval_loader
from kdviz.datasets.transforms import eval_preset
from kdviz.detectors.parts import DetectorParts, in_eval
from kdviz.engine.coco_eval import evaluate_coco, to_coco_results
from kdviz.engine.coco_metrics import CocoMetrics
from kdviz.structures import Detection

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Results = list[dict[str, Any]]


def detect(
    parts: DetectorParts,
    data: DetectionData,
    *,
    batch_size: int = 16,
    workers: int = 0,
    fabric: Fabric | None = None,
) -> Results:
    """Detections on every image of a data set, as COCO results.

    Of several processes each takes its share of the images; all return the whole list.

    Args:
        parts: the detector; its modes are as before afterwards.
        data: images and categories.
        batch_size: images a step.
        workers: processes that load images.
        fabric: precision and processes; None uses one process and float32, where the model is.
    """
    if fabric is None:
        # It takes seconds to import, which who only looks at a map need not wait for.
        from lightning.fabric import Fabric

        fabric = Fabric(accelerator="cpu", devices=1)
    device = next(parts.model.parameters()).device
    dataset = DetectionDataset(data, eval_preset())
    loader = eval_loader(dataset, batch_size, workers, fabric.global_rank, fabric.world_size)
    category_ids = [category.id for category in data.categories]
    results: Results = []
    with in_eval(parts.model), torch.no_grad(), fabric.autocast():
        for images, targets in _with_progress(loader, fabric):
            batch = parts.preprocess([image.to(device) for image in images])
            found = parts.detections(parts.head(parts.features(batch), batch), batch)
            found = [_of_a_class(detection) for detection in found]
            image_ids = [int(target["image_id"]) for target in targets]
            results += to_coco_results(found, image_ids, category_ids)
    if fabric.world_size > 1:
        gathered: list[Any] = [None] * fabric.world_size
        torch.distributed.all_gather_object(gathered, results)
        results = sorted((x for share in gathered for x in share), key=lambda x: x["image_id"])
    return results


def evaluate(
    parts: DetectorParts,
    data: DetectionData,
    *,
    batch_size: int = 16,
    workers: int = 0,
    fabric: Fabric | None = None,
) -> tuple[CocoMetrics, Results]:
    """COCO numbers of a detector on a data set, and the detections they come from."""
    results = detect(parts, data, batch_size=batch_size, workers=workers, fabric=fabric)
    return evaluate_coco(data.record, results), results


def _of_a_class(detection: Detection) -> Detection:
    """Without label 0: a sigmoid head never learns that column, and a young one still scores it."""
    kept = detection.labels > 0
    return Detection(detection.boxes[kept], detection.scores[kept], detection.labels[kept])


def _with_progress(loader: DataLoader, fabric: Fabric) -> tqdm:
    disable = None if fabric.is_global_zero else True
    return tqdm(loader, desc="detect", unit="batch", delay=2, leave=False, disable=disable)
