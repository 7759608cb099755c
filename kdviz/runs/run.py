"""One run, from a spec to a complete folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdviz.datasets.coco import DetectionData, DetectionDataset
from kdviz.datasets.loader import eval_loader
from kdviz.datasets.transforms import train_preset
from kdviz.engine.coco_metrics import CocoMetrics
from kdviz.engine.evaluate import Results, evaluate
from kdviz.engine.guards import moved_tensors
from kdviz.engine.history import read_history
from kdviz.engine.train import Interrupted, Outcome, train
from kdviz.files import write_atomically, write_json_atomically
from kdviz.runs.card import model_card
from kdviz.runs.checkpoints import ADAPTERS, save_adapters, save_student, sha256
from kdviz.runs.environment import environment
from kdviz.runs.locks import Busy, locked
from kdviz.runs.prepare import (
    Prepared,
    load_teacher,
    loaded_from,
    prepare,
    training_batches,
)
from kdviz.runs.report import run_report
from kdviz.runs.spec import RunSpec

ON_THE_WAY = ("AP", "AP50", "AP75")
"""COCO numbers that ``train.eval_every`` asks for."""

SNAPSHOTS = "snapshots"
"""Folder inside a run's: the student after each of ``train.keep_steps``."""


def run(spec: RunSpec, root: Path = Path("runs")) -> Path:
    """Train, score and export what a spec describes; go on where an earlier attempt stopped.

    Everything that can be refused is refused before the folder is made. ``result.json`` is written
    last: a folder that has one is a finished run, and is returned as it is.

    Args:
        spec: the run.
        root: folder of all runs.

    Returns:
        ``root/<name>-<hash8>``.

    Raises:
        FileNotFoundError: data or a checkpoint is missing.
        ValueError: data, checkpoints and spec do not fit each other, or a term is always zero.
        RuntimeError: a GPU is asked for and there is none, or another process is at this run.
        FloatingPointError: a loss is not finite.
        kdviz.engine.train.Interrupted: SIGTERM came; the checkpoint is written.
        OSError: the disk is full.
    """
    folder = root / spec.folder_name
    if (folder / "result.json").exists():
        print(f"{folder} is finished already")
        return folder
    scene = prepare(spec)
    if scene.fabric.is_global_zero:
        print(_told(spec, scene))

    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder, scene):
        # Another process may have done it while we prepared.
        if not scene.fabric.broadcast((folder / "result.json").exists()):
            _fill(folder, spec, scene, fresh)
    return folder


def _fill(folder: Path, spec: RunSpec, scene: Prepared, fresh: bool) -> None:
    """Train, score and export into a folder that exists."""
    try:
        write_atomically(folder / "spec.yaml", spec.to_yaml())
        outcome = _train(spec, scene, folder)
    except BaseException:
        if fresh and not (folder / "last.ckpt").exists() and scene.fabric.is_global_zero:
            shutil.rmtree(folder, ignore_errors=True)  # nothing in it is worth resuming
        raise
    metrics, results = evaluate(
        scene.trainee.student,
        scene.validation,
        batch_size=spec.train.batch_size,
        fabric=scene.fabric,
    )
    tested = _tested(spec, scene)
    if scene.fabric.is_global_zero:
        result = _result(spec, scene, metrics, outcome) | tested
        history = read_history(folder / "metrics.jsonl")
        report = run_report(spec, scene, metrics, results, history)
        write_atomically(folder / "report.html", report)
        _export(folder, spec, scene, result, results)
        print(metrics)
    scene.fabric.barrier()


@contextmanager
def _alone_in(folder: Path, scene: Prepared) -> Iterator[None]:
    """Keep a second command out of a run's folder, until the block or this process ends."""
    if not scene.fabric.is_global_zero:
        yield
        return
    with locked(folder) as alone:  # the folder itself, so that nothing is left behind
        if not alone:
            raise Busy(
                f"another process is at work on {folder}; wait until it is done, or stop it, and "
                "give the same command again"
            )
        yield


def _train(spec: RunSpec, scene: Prepared, folder: Path) -> Outcome:
    still = DetectionDataset(scene.training, train_preset("none"))

    def score() -> dict[str, float]:
        metrics, _ = evaluate(
            scene.trainee.student,
            scene.validation,
            batch_size=spec.train.batch_size,
            fabric=scene.fabric,
        )
        return {name: metrics.stats[name] for name in ON_THE_WAY}

    def keep(step: int) -> None:
        if scene.fabric.is_global_zero:
            kept = folder / SNAPSHOTS / f"step-{step:06d}.safetensors"
            kept.parent.mkdir(exist_ok=True)
            save_student(kept, spec, scene.trainee.student, scene.names, None, step=step)

    return train(
        scene.trainee,
        lambda start: training_batches(spec, scene, start),
        eval_loader(still, spec.train.batch_size, spec.train.workers),
        spec.train,
        weights=scene.weights,
        folder=folder,
        spec_hash=spec.hash8,
        fabric=scene.fabric,
        score=score,
        keep=keep,
    )


def _export(
    folder: Path, spec: RunSpec, scene: Prepared, result: dict[str, Any], results: Results
) -> None:
    write_json_atomically(folder / "detections.json", results)
    exported = folder / "student.safetensors"
    save_student(exported, spec, scene.trainee.student, scene.names, result["metrics"]["AP"])
    result["student"]["sha256"] = sha256(exported)
    save_adapters(folder / ADAPTERS, spec, scene.trainee.methods)
    write_atomically(folder / "README.md", model_card(spec, result))
    write_json_atomically(folder / "result.json", result, indent=2)


def _result(
    spec: RunSpec, scene: Prepared, metrics: CocoMetrics, outcome: Outcome
) -> dict[str, Any]:
    told = metrics.as_dict()
    return {
        "schema": 1,
        "name": spec.name,
        "spec_hash": spec.hash8,
        "methods": [method.name for method in spec.methods],
        "metrics": told.pop("stats"),
        **told,
        "student": {
            "name": spec.student.name,
            "parameters": sum(p.numel() for p in scene.trainee.model.parameters()),
        },
        "teacher": _taught(spec, scene),
        "data": {
            split: {"hash": data.data_hash, "images": len(data.record["images"])}
            for split, data in _splits(scene).items()
        },
        "speed": asdict(outcome),
        "environment": environment(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _tested(spec: RunSpec, scene: Prepared) -> dict[str, Any]:
    """The COCO numbers on the test split; nothing where there is none."""
    if scene.test is None:
        return {}
    batch_size = spec.train.batch_size
    metrics, _ = evaluate(
        scene.trainee.student, scene.test, batch_size=batch_size, fabric=scene.fabric
    )
    return {"test": metrics.as_dict()["stats"]}


def _splits(scene: Prepared) -> dict[str, DetectionData]:
    splits = {"train": scene.training, "val": scene.validation, "test": scene.test}
    return {name: data for name, data in splits.items() if data is not None}


def _taught(spec: RunSpec, scene: Prepared) -> dict[str, Any] | None:
    """What is known of the teacher, and which of its tensors moved while it taught: none should."""
    teacher = scene.trainee.teacher
    if scene.taught is None or teacher is None or spec.teacher is None:
        return None
    as_loaded = load_teacher(spec, spec.teacher, len(scene.names)).model
    return {**scene.taught, "moved": moved_tensors(as_loaded, teacher.model)}


def _told(spec: RunSpec, scene: Prepared) -> str:
    """What is about to happen, in four lines."""
    images = [len(data.record["images"]) for data in (scene.training, scene.validation)]
    methods = ", ".join(method.name for method in spec.methods) or "none, ground truth alone"
    return (
        f"student {spec.student.name}: {loaded_from(scene.trainee.student, spec.student.weights)}\n"
        f"methods: {methods}\n"
        f"data: {images[0]} training and {images[1]} validation images, "
        f"{len(scene.names)} classes\n"
        f"train: {spec.train.steps} steps of {spec.train.batch_size} images"
    )


__all__ = ["Interrupted", "run"]
