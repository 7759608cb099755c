"""Scenes on disk: PNG images and COCO annotations, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from kdviz.datasets.scenes.config import FACTORS, RENDERER, SPLITS, SceneConfig
from kdviz.datasets.scenes.render import render

Pixels = NDArray[np.uint8]


def scene_record(
    config: SceneConfig,
    split: str,
    count: int,
    seed: int = 0,
    keep: Callable[[str, Pixels], None] | None = None,
) -> dict[str, Any]:
    """Ground truth of the first ``count`` scenes of a split, in the shape of a COCO file.

    Ids of images and annotations start at 1, as 0 means "no match" to COCO's evaluation. ``area``
    is that of the box, so that COCO's ranges of size agree with the factor ``size``.

    Args:
        config: how scenes look.
        split: train, val or test.
        count: number of scenes.
        seed: names the data set.
        keep: called with file name and image, (size, size, 3) RGB, of each scene in turn.

    Returns:
        ``info`` (with seed, configuration and the definition of each factor), ``images``,
        ``annotations`` (with ``factors``) and ``categories``.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in tqdm(range(count), desc=f"scenes {split}", delay=2, leave=False):
        image, objects = render(config, seed, split, index)
        name = f"{split}_{index:06d}.png"
        if keep is not None:
            keep(name, image)
        images.append(
            {"id": index + 1, "file_name": name, "width": config.size, "height": config.size}
        )
        for scene_object in objects:
            x0, y0, x1, y1 = scene_object.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": scene_object.label,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                    "factors": scene_object.factors,
                }
            )
    return {
        "info": {
            "description": "kdviz scenes: rendered objects of controlled difficulty",
            "renderer": RENDERER,
            "split": split,
            "seed": seed,
            "config": config.to_dict(),
            "factors": FACTORS,
        },
        "images": images,
        "annotations": annotations,
        "categories": [{"id": label, "name": name} for label, name in enumerate(config.classes, 1)],
    }


def write_scenes(
    directory: str | Path,
    config: SceneConfig,
    train: int,
    val: int,
    test: int = 0,
    seed: int = 0,
) -> Path:
    """Write a data set to a new folder.

    ``images/{split}_{index:06d}.png`` and ``annotations/instances_{split}.json``. All is written
    beside ``directory`` and renamed at the end: the folder is complete or does not exist. The
    contract are the pixels; the PNG bytes depend on the encoder.

    Args:
        directory: must not exist, or be empty.
        config: how scenes look.
        train: number of training scenes.
        val: number of validation scenes.
        test: number of test scenes; without any, no file is written for that split.
        seed: names the data set.

    Returns:
        ``directory``.

    Raises:
        FileExistsError: ``directory`` holds something.
        ValueError: a count is negative.
    """
    directory = Path(directory)
    counts = dict(zip(SPLITS, (train, val, test), strict=True))
    if min(counts.values()) < 0:
        raise ValueError(f"numbers of scenes must be at least 0, got {counts}")
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty; name a new folder or use cached_scenes")
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        unfinished.chmod(0o755)
        (unfinished / "images").mkdir()
        (unfinished / "annotations").mkdir()

        def keep(name: str, image: Pixels) -> None:
            Image.fromarray(image).save(unfinished / "images" / name, compress_level=1)

        for split, count in counts.items():
            if count:
                record = scene_record(config, split, count, seed, keep)
                path = unfinished / "annotations" / f"instances_{split}.json"
                path.write_text(json.dumps(record), encoding="utf-8")
        os.replace(unfinished, directory)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return directory


def cached_scenes(
    cache_root: str | Path,
    config: SceneConfig,
    train: int,
    val: int,
    test: int = 0,
    seed: int = 0,
) -> Path:
    """The folder of a data set, written at the first call and found at every later one.

    Its name is a hash of all that decides the pixels, so another configuration never meets old
    files, and two processes that write the same one at once end with one whole folder.

    Args:
        cache_root: folder of all cached data sets.
        config: how scenes look.
        train: number of training scenes.
        val: number of validation scenes.
        test: number of test scenes.
        seed: names the data set.

    Returns:
        ``cache_root/scenes-<hash>``.
    """
    content = {
        "renderer": RENDERER,
        "config": config.to_dict(),
        "counts": [train, val, test],
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    directory = Path(cache_root) / f"scenes-{digest}"
    if directory.is_dir() and any(directory.iterdir()):
        return directory
    try:
        return write_scenes(directory, config, train, val, test, seed)
    except OSError:
        # Another process may have finished first: its bytes are the same.
        if directory.is_dir() and any(directory.iterdir()):
            return directory
        raise
