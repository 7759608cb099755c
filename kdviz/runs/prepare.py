"""From a spec to opened data, built detectors and checked pairs, before anything is written."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from kdviz.datasets import open_data
from kdviz.datasets.coco import DetectionData, DetectionDataset
from kdviz.datasets.loader import train_loader
from kdviz.datasets.scenes import cached_scenes
from kdviz.datasets.transforms import train_preset
from kdviz.detectors import DetectorParts, build, freeze
from kdviz.engine.evaluate import evaluate
from kdviz.engine.guards import check_classes, check_label_map, check_pair
from kdviz.engine.levers import Levers
from kdviz.engine.teacher_cache import TeacherCache
from kdviz.engine.train import make_fabric
from kdviz.engine.trainee import Trainee
from kdviz.methods import Method, TermWeight, method_named
from kdviz.runs.checkpoints import read_metadata, sha256
from kdviz.runs.spec import DataSpec, ModelSpec, RunSpec, TeacherSpec

if TYPE_CHECKING:
    from lightning.fabric import Fabric

CACHE = Path("data/cache")
"""Where rendered scenes are kept, below the folder the command runs in."""


@dataclass(frozen=True)
class Prepared:
    """A spec with everything opened, built and checked.

    Attributes:
        fabric: device, precision and processes.
        training: split that is trained on.
        validation: split that is scored.
        test: split that is scored once, at the end; None without one.
        trainee: student, frozen teacher and methods.
        weights: schedule of each distillation term.
        taught: what ``result.json`` says of the teacher; None without one.
    """

    fabric: Fabric
    training: DetectionData
    validation: DetectionData
    test: DetectionData | None
    trainee: Trainee
    weights: dict[str, TermWeight]
    taught: dict[str, Any] | None

    @property
    def names(self) -> list[str]:
        """Class names in label order."""
        return [category.name for category in self.training.categories]


def prepare(spec: RunSpec) -> Prepared:
    """Open data and detectors and refuse what cannot work; writes nothing.

    Raises:
        FileNotFoundError: data or a checkpoint is missing.
        ValueError: data, checkpoints and spec do not fit each other.
        RuntimeError: a GPU is asked for and there is none.
    """
    fabric = make_fabric(spec.train)
    # Random initial weights of student and adapters are drawn here.
    torch.manual_seed(spec.train.seed)
    training, validation = open_splits(spec.data)
    test = open_test(spec.data, training)
    names = [category.name for category in training.categories]
    student = _detector(spec, spec.student, len(names))
    check_classes(student, names, "student")
    teacher, taught = None, None
    if spec.teacher is not None:
        teacher = load_teacher(spec, spec.teacher, len(names))
        check_classes(teacher, names, "teacher")
        check_pair(student, teacher)
        taught = _trust(teacher, spec.teacher, names, validation, fabric)
    methods, weights = _methods(spec, student, teacher)
    kept = None
    if teacher is not None and spec.train.teacher_cache:
        preset = spec.train.augmentation
        kept = TeacherCache.open(CACHE, teacher, training, preset, fabric=fabric)
    trainee = Trainee(student, teacher, methods, kept)
    return Prepared(fabric, training, validation, test, trainee, weights, taught)


def training_batches(spec: RunSpec, scene: Prepared, start: int = 0) -> DataLoader:
    """Augmented batches of this process from a step on, as the run will see them."""
    config = spec.train
    transform = train_preset(config.augmentation, size=spec.data.min_size)
    levers = Levers.of(config, scene.fabric.device)
    dataset = DetectionDataset(
        scene.training,
        transform,
        cache=_fits_in_memory(scene.training),
        dtype=torch.uint8 if levers.device_preprocessing else torch.float32,
    )
    return train_loader(
        dataset,
        config.batch_size,
        config.seed,
        start,
        config.steps,
        config.workers,
        rank=scene.fabric.global_rank,
        world_size=scene.fabric.world_size,
        pin_memory=scene.fabric.device.type == "cuda",
    )


def open_splits(spec: DataSpec) -> tuple[DetectionData, DetectionData]:
    """Training and validation split of a data spec; scenes are rendered into the cache once.

    Raises:
        FileNotFoundError: the folder or an image is missing.
        ValueError: the two splits have different classes, or one cannot be read.
    """
    path = _folder(spec)
    splits = ("train", "val") if spec.scenes else (spec.train, spec.val)
    training, validation = (open_data(path, split, limit=spec.limit) for split in splits)
    _check_same_classes(training, validation, path)
    return training, validation


def open_test(spec: DataSpec, training: DetectionData) -> DetectionData | None:
    """The test split of a data spec; None if it has none.

    Args:
        spec: where the images are.
        training: the training split, whose classes it must have.

    Raises:
        FileNotFoundError: the folder or an image is missing.
        ValueError: its classes are not those of the training split, or it cannot be read.
    """
    split = spec.test if spec.scenes is None else "test" if spec.scenes.test else None
    if split is None:
        return None
    path = _folder(spec)
    test = open_data(path, split, limit=spec.limit)
    _check_same_classes(training, test, path)
    return test


def _folder(spec: DataSpec) -> Path:
    """Where the images are; scenes are rendered at the first call."""
    if spec.scenes is None:
        assert spec.path is not None  # DataSpec has one of the two
        return spec.path
    scenes = spec.scenes
    counts = (scenes.train, scenes.val, scenes.test)
    return cached_scenes(CACHE, scenes.config, *counts, seed=scenes.seed)


def _check_same_classes(training: DetectionData, other: DetectionData, path: Path) -> None:
    if training.categories != other.categories:
        lists = [[category.name for category in x.categories] for x in (training, other)]
        raise ValueError(f"the splits of {path} have different classes: {lists[0]} and {lists[1]}")


def load_teacher(spec: RunSpec, teacher: TeacherSpec, classes: int) -> DetectorParts:
    """The frozen teacher of a run as its file holds it, for images of the run's size.

    Raises:
        FileNotFoundError: the file of its weights is missing.
        ValueError: the weights do not fit the detector.
    """
    return freeze(_detector(spec, teacher, classes))


def _detector(spec: RunSpec, model: ModelSpec, classes: int) -> DetectorParts:
    sizes: dict[str, Any] = {"min_size": spec.data.min_size, "max_size": spec.data.max_size}
    return build(model.name, num_classes=classes + 1, weights=model.weights, **sizes)


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
    if fabric.is_global_zero:
        print(
            f"teacher {spec.name}: {loaded_from(teacher, spec.weights)}, "
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


def _fits_in_memory(data: DetectionData, limit: int = 2**30) -> bool:
    return sum(3 * x["width"] * x["height"] for x in data.record["images"]) < limit


def loaded_from(parts: DetectorParts, weights: str | None) -> str:
    """Where a detector's weights come from, in words."""
    if weights is None or parts.loaded_tensors is None:
        return "random initial weights"
    return f"{parts.loaded_tensors[0]} of {parts.loaded_tensors[1]} tensors from {weights}"
