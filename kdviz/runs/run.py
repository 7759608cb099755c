"""One run, from a spec to a complete folder."""

from __future__ import annotations

import inspect
import platform
import shutil
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
import torchvision
from lightning.fabric import Fabric

import kdviz
from kdviz.datasets import open_data
from kdviz.datasets.coco import DetectionData, DetectionDataset
from kdviz.datasets.loader import eval_loader, train_loader
from kdviz.datasets.scenes import SceneConfig, cached_scenes
from kdviz.datasets.transforms import train_preset
from kdviz.detectors import DetectorParts, build, freeze
from kdviz.engine.coco_metrics import CocoMetrics
from kdviz.engine.evaluate import Results, evaluate
from kdviz.engine.guards import check_classes, check_label_map, check_pair
from kdviz.engine.train import Interrupted, Outcome, Trainee, make_fabric, train
from kdviz.files import write_atomically, write_json_atomically
from kdviz.methods import Method, TermWeight, method_named
from kdviz.runs.card import model_card
from kdviz.runs.checkpoints import read_metadata, save_student, sha256
from kdviz.runs.spec import DataSpec, RunSpec, TeacherSpec

CACHE = Path("data/cache")
"""Where rendered scenes are kept, below the folder the command runs in."""


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
        RuntimeError: a GPU is asked for and there is none.
        FloatingPointError: a loss is not finite.
        kdviz.engine.train.Interrupted: SIGTERM came; the checkpoint is written.
        OSError: the disk is full.
    """
    folder = root / spec.folder_name
    if (folder / "result.json").exists():
        print(f"{folder} is finished already")
        return folder
    fabric = make_fabric(spec.train)
    # Random initial weights of student and adapters are drawn here.
    torch.manual_seed(spec.train.seed)
    training, validation = open_splits(spec.data)
    names = [category.name for category in training.categories]
    student = _detector(spec, spec.student.name, spec.student.weights, len(names))
    check_classes(student, names, "student")
    teacher, taught = None, None
    if spec.teacher is not None:
        teacher = _detector(spec, spec.teacher.name, spec.teacher.weights, len(names))
        check_classes(teacher, names, "teacher")
        check_pair(student, teacher)
        taught = _trust(freeze(teacher), spec.teacher, names, validation, fabric)
    methods, weights = _methods(spec, student, teacher)
    print(_told(spec, student, teacher, training, validation))

    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_atomically(folder / "spec.yaml", spec.to_yaml())
        outcome = _train(spec, student, teacher, methods, weights, training, folder, fabric)
    except BaseException:
        if fresh and not (folder / "last.ckpt").exists() and fabric.is_global_zero:
            shutil.rmtree(folder, ignore_errors=True)  # nothing in it is worth resuming
        raise
    metrics, results = evaluate(
        student, validation, batch_size=spec.train.batch_size, fabric=fabric
    )
    if fabric.is_global_zero:
        result = _result(spec, student, training, validation, metrics, outcome, taught)
        _export(folder, spec, student, names, result, results)
        print(metrics)
    fabric.barrier()
    return folder


def open_splits(spec: DataSpec) -> tuple[DetectionData, DetectionData]:
    """Training and validation split of a data spec; scenes are rendered into the cache once.

    Raises:
        FileNotFoundError: the folder or an image is missing.
        ValueError: the two splits have different classes, or one cannot be read.
    """
    path, splits = spec.path, (spec.train, spec.val)
    if spec.scenes is not None:
        scenes = spec.scenes
        path = cached_scenes(
            CACHE, SceneConfig(size=scenes.size), scenes.train, scenes.val, seed=scenes.seed
        )
        splits = ("train", "val")
    assert path is not None  # DataSpec has one of the two
    training, validation = (open_data(path, split, limit=spec.limit) for split in splits)
    if training.categories != validation.categories:
        lists = [[category.name for category in x.categories] for x in (training, validation)]
        raise ValueError(f"the splits of {path} have different classes: {lists[0]} and {lists[1]}")
    return training, validation


def _detector(spec: RunSpec, name: str, weights: str | None, classes: int) -> DetectorParts:
    sizes = {"min_size": spec.data.min_size, "max_size": spec.data.max_size}
    return build(name, num_classes=classes + 1, weights=weights, **sizes)


def _trust(
    teacher: DetectorParts,
    spec: TeacherSpec,
    names: list[str],
    validation: DetectionData,
    fabric: Fabric,
) -> dict[str, Any]:
    """Measure a teacher on a sample; refuse one that detects nothing."""
    told: dict[str, Any] = {"name": spec.name, "weights": spec.weights}
    if Path(spec.weights).is_file():
        check_label_map(read_metadata(Path(spec.weights)), names, spec.weights)
        told["sha256"] = sha256(Path(spec.weights))
    teacher.model.to(fabric.device)
    sample = validation.first(min(spec.sample, len(validation.record["images"])))
    metrics, _ = evaluate(teacher, sample, fabric=fabric)
    told |= {"sample_ap": metrics.stats["AP"], "sample_images": metrics.images}
    print(
        f"teacher {spec.name}: {_loaded(teacher, spec.weights)}, "
        f"AP {metrics.stats['AP']:.3f} on {metrics.images} validation images"
    )
    if metrics.stats["AP"] < spec.min_ap:
        raise ValueError(
            f"the teacher {spec.weights} has AP {metrics.stats['AP']:.3f} on {metrics.images} "
            f"validation images, under teacher.min_ap={spec.min_ap}: it has nothing to teach here. "
            "Was it trained on this data, at this image size? Or lower teacher.min_ap"
        )
    return told


def _methods(
    spec: RunSpec, student: DetectorParts, teacher: DetectorParts | None
) -> tuple[list[Method], dict[str, TermWeight]]:
    methods: list[Method] = []
    weights: dict[str, TermWeight] = {}
    for entry in spec.methods:
        kind = method_named(entry.name)
        try:
            inspect.signature(kind).bind(student, teacher, **entry.options)
        except TypeError as error:
            raise ValueError(f"methods.{entry.name}.options: {error}") from None
        method = kind(student, teacher, **entry.options)
        methods.append(method)
        for term, weight in entry.schedule(method.weights).items():
            if term in weights:
                raise ValueError(f"two methods have a term {term!r}; name each method once")
            weights[term] = weight
    return methods, weights


def _train(
    spec: RunSpec,
    student: DetectorParts,
    teacher: DetectorParts | None,
    methods: list[Method],
    weights: dict[str, TermWeight],
    training: DetectionData,
    folder: Path,
    fabric: Fabric,
) -> Outcome:
    config = spec.train
    transform = train_preset(config.augmentation, size=spec.data.min_size)
    dataset = DetectionDataset(training, transform, cache=_fits_in_memory(training))

    def loader(start: int) -> Any:
        return train_loader(
            dataset,
            config.batch_size,
            config.seed,
            start,
            config.steps,
            config.workers,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            pin_memory=fabric.device.type == "cuda",
        )

    still = DetectionDataset(training, train_preset("none"))
    return train(
        Trainee(student, teacher, methods),
        loader,
        eval_loader(still, config.batch_size, config.workers),
        config,
        weights=weights,
        folder=folder,
        spec_hash=spec.hash8,
        fabric=fabric,
    )


def _fits_in_memory(data: DetectionData, limit: int = 2**30) -> bool:
    return sum(3 * x["width"] * x["height"] for x in data.record["images"]) < limit


def _export(
    folder: Path,
    spec: RunSpec,
    student: DetectorParts,
    names: list[str],
    result: dict[str, Any],
    results: Results,
) -> None:
    write_json_atomically(folder / "detections.json", results)
    save_student(folder / "student.safetensors", spec, student, names, result["metrics"]["AP"])
    result["student"]["sha256"] = sha256(folder / "student.safetensors")
    write_atomically(folder / "README.md", model_card(spec, result))
    write_json_atomically(folder / "result.json", result, indent=2)


def _result(
    spec: RunSpec,
    student: DetectorParts,
    training: DetectionData,
    validation: DetectionData,
    metrics: CocoMetrics,
    outcome: Outcome,
    taught: dict[str, Any] | None,
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
            "parameters": sum(p.numel() for p in student.model.parameters()),
        },
        "teacher": taught,
        "data": {
            "train": {"hash": training.data_hash, "images": len(training.record["images"])},
            "val": {"hash": validation.data_hash, "images": len(validation.record["images"])},
        },
        "speed": asdict(outcome),
        "environment": environment(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def environment() -> dict[str, Any]:
    """Versions, device and commit a number was measured with."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "kdviz": kdviz.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "lightning": lightning.__version__,
        "gpu": gpu,
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        told = subprocess.run(
            command, cwd=Path(kdviz.__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()


def _loaded(parts: DetectorParts, weights: str | None) -> str:
    if weights is None or parts.loaded_tensors is None:
        return "random initial weights"
    return f"{parts.loaded_tensors[0]} of {parts.loaded_tensors[1]} tensors from {weights}"


def _told(
    spec: RunSpec,
    student: DetectorParts,
    teacher: DetectorParts | None,
    training: DetectionData,
    validation: DetectionData,
) -> str:
    """What is about to happen, in four lines."""
    images = [len(data.record["images"]) for data in (training, validation)]
    methods = ", ".join(method.name for method in spec.methods) or "none, ground truth alone"
    return (
        f"student {spec.student.name}: {_loaded(student, spec.student.weights)}\n"
        f"methods: {methods}\n"
        f"data: {images[0]} training and {images[1]} validation images, "
        f"{len(training.categories)} classes\n"
        f"train: {spec.train.steps} steps of {spec.train.batch_size} images"
    )


__all__ = ["Interrupted", "environment", "open_splits", "run"]
