"""From a detector to COCO results: what is left out on the way."""

import torch

from kdviz.datasets import open_data
from kdviz.datasets.scenes import SceneConfig, cached_scenes
from kdviz.detectors import build
from kdviz.engine.evaluate import evaluate


def test_a_young_head_that_scores_the_column_of_no_class(scenes_cache):
    """FCOS has a column 0 that no target ever is; before training it fires like all others."""
    torch.manual_seed(0)
    parts = build("fcos-shufflenetv2x0.5-c64", 9, min_size=64, max_size=64)
    data = open_data(cached_scenes(scenes_cache, SceneConfig(size=64), 8, 4, seed=5), "val")
    bias = parts.model.head.classification_head.cls_logits.bias
    with torch.no_grad():
        bias[0] += 1.0  # of all columns, 0 is now the likeliest everywhere
        bias[3] += 0.5
    metrics, results = evaluate(parts, data)
    assert metrics.images == 4
    assert {entry["category_id"] for entry in results} <= set(range(1, 9))
