"""The page that a finished run leaves: its numbers, its losses, and some of what it detects."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kdviz.datasets.coco import DetectionDataset
from kdviz.engine.coco_metrics import CocoMetrics
from kdviz.engine.evaluate import Results
from kdviz.plots import compare_detections, loss_curves
from kdviz.runs.pages import page, picture
from kdviz.runs.prepare import Prepared
from kdviz.runs.spec import RunSpec
from kdviz.structures import Detection

SAMPLES = 3
"""Validation images that are shown."""


def run_report(
    spec: RunSpec,
    scene: Prepared,
    metrics: CocoMetrics,
    results: Results,
    history: Sequence[Mapping[str, Any]],
) -> str:
    """One HTML page that opens without a network, pictures inside.

    Args:
        spec: the run.
        scene: its data and detectors.
        metrics: on the validation split.
        results: detections on it, COCO results.
        history: records of ``metrics.jsonl``.
    """
    methods = ", ".join(method.name for method in spec.methods) or "none, ground truth alone"
    dataset = DetectionDataset(scene.validation)
    shown = range(min(SAMPLES, len(dataset)))
    images = "\n".join(_sample(scene, dataset, results, index) for index in shown)
    curves = picture(loss_curves(history)[0], "loss terms over the steps")
    body = f"""<h1>{html.escape(spec.folder_name)}</h1>
<p><code>{html.escape(spec.student.name)}</code>, methods: {html.escape(methods)};
{spec.train.steps} steps of {spec.train.batch_size} images, seed {spec.train.seed}.
One seed says little about a method.</p>
<h2>Score on the validation split</h2>
<pre>{html.escape(metrics.table())}</pre>
<h2>Losses, unweighted</h2>
{curves}
<h2>What it detects, scores from 0.5</h2>
{images}
<h2>The spec</h2>
<pre>{html.escape(spec.to_yaml())}</pre>"""
    return page(spec.folder_name, body)


def _sample(scene: Prepared, dataset: DetectionDataset, results: Results, index: int) -> str:
    image, target = dataset[index]
    image_id = int(target["image_id"])
    labels = {category.id: category.label for category in scene.validation.categories}
    found = [entry for entry in results if entry["image_id"] == image_id]
    boxes = torch.tensor([entry["bbox"] for entry in found], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    detection = Detection(
        boxes,
        torch.tensor([entry["score"] for entry in found]),
        torch.tensor([labels[entry["category_id"]] for entry in found], dtype=torch.int64),
    )
    role = "distilled" if len(scene.trainee.methods) else "student"
    figure, _ = compare_detections(
        image, {role: detection}, target, scene.names, score_threshold=0.5
    )
    return picture(figure, f"detections on image {image_id}")
