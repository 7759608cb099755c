"""The model card that is written beside an exported student."""

from __future__ import annotations

from typing import Any

import yaml

from kdviz.runs.spec import RunSpec


def model_card(spec: RunSpec, result: dict[str, Any]) -> str:
    """Markdown with a front matter that model hubs read.

    Args:
        spec: the run.
        result: its ``result.json``.
    """
    front = {
        "license": "apache-2.0",
        "library_name": "torchvision",
        "pipeline_tag": "object-detection",
        "tags": ["kdviz", "knowledge-distillation", *result["methods"]],
    }
    metrics = result["metrics"]
    teacher = result["teacher"]
    taught = "nobody: ground truth alone"
    if teacher is not None:
        taught = (
            f"`{teacher['name']}` (`{teacher['weights']}`, AP {teacher['sample_ap']:.3f} on "
            f"{teacher['sample_images']} validation images) by {', '.join(result['methods'])}"
        )
    rows = "\n".join(f"| {key} | {value:.4f} |" for key, value in metrics.items())
    environment = ", ".join(f"{key} {value}" for key, value in result["environment"].items())
    return f"""---
{yaml.safe_dump(front, sort_keys=False).strip()}
---
# {spec.folder_name}

`{spec.student.name}` with {result["student"]["parameters"]:,} parameters, taught by {taught}.

```python
from kdviz.runs.checkpoints import load_detector

detector, classes = load_detector("student.safetensors")
```

Plain torchvision reads the weights too: `model.load_state_dict(load_file("student.safetensors"))`.

## Score on the validation split

{result["data"]["val"]["images"]} images, data hash `{result["data"]["val"]["hash"][:12]}`.

| COCO number | value |
|---|---|
{rows}

One seed ({spec.train.seed}); one number says little about a method.

## How it was made

`kdviz run spec.yaml`: {spec.train.steps} steps of {spec.train.batch_size} images,
{result["speed"]["seconds"]:.0f} s. Environment: {environment}.
"""
