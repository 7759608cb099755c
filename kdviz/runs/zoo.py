"""Train the embedded checkpoints and put them into ``data/``: ``make zoo``.

Runs that are finished are not repeated; each is exported in half precision, and the two APs in
``checkpoints.yaml`` are those of the exported file: on the validation split, which choices may be
made on, and on a test split that nothing was chosen by.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml

from kdviz.datasets.coco import DetectionData
from kdviz.engine.evaluate import evaluate
from kdviz.files import write_atomically
from kdviz.runs.checkpoints import (
    ADAPTERS,
    load_adapters,
    load_detector,
    save_adapters,
    save_student,
    sha256,
)
from kdviz.runs.embedded import FOLDER
from kdviz.runs.prepare import open_splits, open_test
from kdviz.runs.run import run
from kdviz.runs.spec import RunSpec, load_spec

RECIPES = FOLDER.parent / "notebooks" / "recipes" / "scenes"
ORDER = ("teacher", "student", "fitnets", "fgfi", "frs", "gkd", "dist2")
"""The teacher comes first: the exported file of it is what the students learn from."""

RECIPE_OF = {name: RECIPES / f"{name}.yaml" for name in ORDER} | {
    f"retinanet-{name}": RECIPES / "retinanet" / f"{name}.yaml" for name in ORDER
}
"""Embedded name -> recipe: FCOS, then the same with RetinaNet."""

WITH_ADAPTERS = "fcos"
"""Family whose adapters are kept, too: the notebooks look into them."""

TEST_IMAGES = 500


def embed(folder: Path, spec: RunSpec, recipe: Path, target: Path) -> dict[str, Any]:
    """Export the student of a finished run in half precision.

    Args:
        folder: of the run.
        spec: of the run.
        recipe: file the spec came from.
        target: ``.safetensors`` file to write.

    Returns:
        The entry of ``checkpoints.yaml``.
    """
    parts, classes = load_detector(folder / "student.safetensors")
    result = json.loads((folder / "result.json").read_text())
    ap = result["metrics"]["AP"]
    save_student(target, spec, parts, classes, ap, dtype=torch.float16)
    exported, _ = load_detector(target)
    training, validation = open_splits(spec.data)
    metrics, _ = evaluate(exported, validation)
    tested, _ = evaluate(exported, _test_split(spec, training))
    entry = {
        "file": target.name,
        "sha256": sha256(target),
        "model": spec.student.name,
        "ap": round(metrics.stats["AP"], 4),
        "test_ap": round(tested.stats["AP"], 4),
        "ap_before_rounding": round(ap, 4),
        "methods": result["methods"],
        "command": f"kdviz run {recipe.relative_to(FOLDER.parent)}",
        "seed": spec.train.seed,
        "seconds": round(result["speed"]["seconds"]),
        "environment": result["environment"],
    }
    if (folder / ADAPTERS).exists() and spec.student.name.startswith(WITH_ADAPTERS):
        beside = target.with_suffix(f".{ADAPTERS}")
        teacher, _ = load_detector(FOLDER / "teacher.safetensors")
        methods = load_adapters(folder / ADAPTERS, student=parts, teacher=teacher)
        save_adapters(beside, spec, list(methods.values()), dtype=torch.float16)
        entry |= {"adapters": beside.name, "adapters_sha256": sha256(beside)}
    return entry


def _test_split(spec: RunSpec, training: DetectionData) -> DetectionData:
    """The test split of a recipe's scenes, which the recipe itself may not name."""
    assert spec.data.scenes is not None
    scenes = spec.data.scenes.model_copy(update={"test": TEST_IMAGES})
    test = open_test(spec.data.model_copy(update={"scenes": scenes}), training)
    assert test is not None
    return test


def main() -> None:
    """Run every recipe, export its student, and write the manifest."""
    manifest: dict[str, Any] = {}
    for name, recipe in RECIPE_OF.items():
        spec = load_spec(recipe)
        manifest[name] = embed(run(spec), spec, recipe, FOLDER / f"{name}.safetensors")
        write_atomically(
            FOLDER / "checkpoints.yaml",
            "# Made by `make zoo`; see kdviz/runs/zoo.py.\n"
            + yaml.safe_dump(manifest, sort_keys=False),
        )
        print(f"{name}: AP {manifest[name]['ap']:.3f}")


if __name__ == "__main__":
    main()
