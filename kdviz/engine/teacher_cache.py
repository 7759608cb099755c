"""The teacher's maps, computed once for every view of the training images and then read from disk.

A frozen teacher says the same of the same pixels in every epoch, of every run, with every seed and
method. Where the augmentation has few outcomes, all of them fit on disk.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from kdviz.datasets.coco import DetectionData, DetectionDataset
from kdviz.datasets.loader import collate
from kdviz.datasets.transforms import Preset, mirror, train_preset
from kdviz.detectors.parts import DetectorParts, Pass, in_eval, name_maps
from kdviz.files import write_json_atomically
from kdviz.structures import Batch, Pyramid, Target

if TYPE_CHECKING:
    from lightning.fabric import Fabric

VIEWS: Mapping[Preset, tuple[bool, ...]] = {"none": (False,), "flip": (False, True)}
"""Augmentations with few outcomes, and whether each of them mirrors the image."""

_BATCH = 16
_MAPS, _INDEX = "maps.bf16", "index.json"


class TeacherCache:
    """Maps of a teacher's neck for every image and every way the augmentation may turn it.

    They are kept in bfloat16, two bytes a value: eight significant bits, of which the losses see
    nothing, as they compare two networks that differ by far more. The head runs on them as ever,
    with its gradient. A method that reads the teacher's trunk still runs the teacher's body.

    Args:
        folder: as `open` leaves it.
        teacher: whose maps they are.
    """

    def __init__(self, folder: Path, teacher: DetectorParts) -> None:
        index = json.loads((folder / _INDEX).read_text())
        self.teacher = teacher
        self.canvas: tuple[int, int] = tuple(index["canvas"])
        self._shapes = [tuple(shape) for shape in index["shapes"]]
        self._rows = {tuple(view): row for row, view in enumerate(index["views"])}
        values = sum(_size(shape) for shape in self._shapes)
        self._maps = torch.from_file(
            str(folder / _MAPS), shared=False, size=len(self._rows) * values, dtype=torch.bfloat16
        ).view(len(self._rows), values)

    @classmethod
    def open(
        cls,
        root: Path,
        teacher: DetectorParts,
        data: DetectionData,
        augmentation: Preset,
        *,
        fabric: Fabric,
    ) -> TeacherCache:
        """The cache of this teacher for these images, computed at the first call.

        Args:
            root: folder of all caches; ours is ``teacher-<hash>`` of weights, images and views.
            teacher: frozen.
            data: the training split.
            augmentation: of the training.
            fabric: device, precision and processes; the first process computes.

        Raises:
            ValueError: the augmentation has too many outcomes, or the images have several sizes,
                so that what the teacher says of one would depend on its neighbours in a batch.
            OSError: there is not enough room.
        """
        _check_fixed(teacher, data, augmentation)
        content = [_fingerprint(teacher), data.data_hash, augmentation, str(teacher.input_format)]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
        folder = root / f"teacher-{digest}"
        if fabric.is_global_zero and not folder.is_dir():
            _fill(folder, teacher, data, augmentation, fabric)
        fabric.barrier()
        return cls(folder, teacher)

    def pass_of(self, batch: Batch) -> Pass:
        """The teacher's pass over a batch, with its maps read where all of its views are kept."""
        views = [_view(target) for target in batch.targets or ()]
        known = views and all(view in self._rows for view in views)
        if not known or tuple(batch.images.shape[-2:]) != self.canvas:
            return Pass(self.teacher, batch)
        return _CachedPass(self.teacher, batch, lambda: self._read(views, batch.images))

    def _read(self, views: list[tuple[int, bool]], like: Tensor) -> Pyramid:
        rows = self._maps[[self._rows[view] for view in views]]
        flat = rows.to(like.device, like.dtype, non_blocking=True)
        sizes = [_size(shape) for shape in self._shapes]
        maps = [
            values.view(len(views), *shape)
            for values, shape in zip(flat.split(sizes, dim=1), self._shapes, strict=True)
        ]
        return name_maps(maps, self.teacher.levels)


class _CachedPass(Pass):
    def __init__(self, parts: DetectorParts, batch: Batch, read: Callable[[], Pyramid]) -> None:
        super().__init__(parts, batch)
        self._read = read

    @cached_property
    def features(self) -> Pyramid:
        return self._read()


class _Views(Dataset[tuple[Tensor, Target]]):
    """Every image once as it is, then once mirrored if the augmentation mirrors."""

    def __init__(self, data: DetectionData, augmentation: Preset) -> None:
        self.still = DetectionDataset(data, train_preset("none"))
        self.mirrored = DetectionDataset(data, mirror)
        self.flips = VIEWS[augmentation]

    def __len__(self) -> int:
        return len(self.still) * len(self.flips)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        flip, image = divmod(index, len(self.still))
        return (self.mirrored if self.flips[flip] else self.still)[image]


def _fill(
    folder: Path, teacher: DetectorParts, data: DetectionData, augmentation: Preset, fabric: Fabric
) -> None:
    """Write the whole cache beside ``folder`` and rename it; two processes end with one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    views = _Views(data, augmentation)
    index: dict[str, Any] = {"views": []}
    teacher.model.to(fabric.device)
    try:
        with (
            (unfinished / _MAPS).open("wb") as file,
            in_eval(teacher.model),
            torch.no_grad(),
            fabric.autocast(),
        ):
            starts = range(0, len(views), _BATCH)
            for start in tqdm(starts, desc="teacher cache", unit="batch", delay=2, leave=False):
                samples = [views[k] for k in range(start, min(start + _BATCH, len(views)))]
                images, targets = collate(samples)
                batch = teacher.preprocess([image.to(fabric.device) for image in images])
                maps = teacher.features(batch).maps
                if not start:
                    index["canvas"] = list(batch.images.shape[-2:])
                    index["shapes"] = [list(values.shape[1:]) for values in maps]
                    _announce(folder, index["shapes"], len(views))
                flat = torch.cat([values.flatten(1) for values in maps], dim=1)
                file.write(flat.bfloat16().cpu().view(torch.uint8).numpy().tobytes())
                index["views"] += [_view(target) for target in targets]
        write_json_atomically(unfinished / _INDEX, index)
        unfinished.replace(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster: its maps are the same
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _announce(folder: Path, shapes: list[list[int]], views: int) -> None:
    """Say what will be written, before it is; refuse what does not fit."""
    needed = 2 * views * sum(_size(shape) for shape in shapes)
    free = shutil.disk_usage(folder.parent).free
    if needed > 0.9 * free:
        raise OSError(
            f"the teacher's maps of {views:,} views take {needed / 1e6:,.1f} MB, but "
            f"{folder.parent} has {free / 1e6:,.1f} MB left; make room, or set "
            "train.teacher_cache=false"
        )
    print(f"teacher cache: {views:,} views, {needed / 1e6:,.0f} MB in {folder}", flush=True)


def _check_fixed(teacher: DetectorParts, data: DetectionData, augmentation: Preset) -> None:
    if augmentation not in VIEWS:
        raise ValueError(
            f"train.teacher_cache needs an augmentation of few outcomes ({', '.join(VIEWS)}), not "
            f"{augmentation!r}, which makes another image each time"
        )
    form = teacher.input_format
    if form is not None and form.fixed_size is not None:
        return
    sizes = {(image["width"], image["height"]) for image in data.record["images"]}
    if len(sizes) > 1 or form is None or len(form.min_size) > 1:
        raise ValueError(
            f"train.teacher_cache needs images that all reach the teacher in one size; these have "
            f"{len(sizes)} sizes, such as {sorted(sizes)[:3]}, and shorter sides of "
            f"{None if form is None else form.min_size}; set train.teacher_cache=false"
        )


def _fingerprint(teacher: DetectorParts) -> str:
    digest = hashlib.sha256()
    for key, values in teacher.model.state_dict().items():
        digest.update(key.encode())
        digest.update(values.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _view(target: Target) -> tuple[int, bool]:
    return int(target["image_id"]), bool(target.get("flipped", False))


def _size(shape: tuple[int, ...] | list[int]) -> int:
    return int(torch.Size(shape).numel())
