"""Whether a large diagnosis ends within a minute: ``python -m kdviz.runs.diagnosis.scale``.

It makes files of the size of COCO's val split, 5 000 images with 40 000 objects and four sets of
200 000 boxes, runs ``kdviz diagnose`` on them, and tells its seconds and its memory.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdviz.diagnosis.inputs import ROLES
from kdviz.files import write_json_atomically

OTHER = "other"
_WIDTH, _HEIGHT = 640, 480


def main() -> None:
    """Measure at full size and print it."""
    with TemporaryDirectory() as folder:
        told = measure(make_files(Path(folder)), Path(folder) / "out")
    print(
        "kdviz diagnose, 5 000 images, 40 000 objects, 4 x 200 000 boxes: "
        f"{told['seconds']:.0f} s ({told['cpu_seconds']:.0f} s of one core), "
        f"{told['peak_gb']:.1f} GB at most, {os.cpu_count()} cores"
    )


def make_files(
    folder: Path,
    *,
    images: int = 5_000,
    objects: int = 40_000,
    boxes: int = 200_000,
    classes: int = 80,
    seed: int = 0,
) -> dict[str, Path]:
    """Make annotations and four sets of detections around them.

    Seven of ten boxes lie near an object, every fifth of them with another class; the others lie
    anywhere and score lower.

    Args:
        folder: where to.
        images: how many.
        objects: on all of them, of unequally frequent classes.
        boxes: of each set.
        classes: how many.
        seed: of the draws; equal seeds make equal files.

    Returns:
        ``annotations`` and the sets by name.
    """
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(1, images + 1, objects))
    label = (rng.zipf(1.4, objects) - 1) % classes + 1
    side = np.exp(rng.normal(4, 0.7, (objects, 2))).clip(4, 300)
    corner = rng.random((objects, 2)) * ([_WIDTH, _HEIGHT] - side)
    placed = np.concatenate([corner, side], axis=1)
    annotations = {
        "images": [
            {"id": i + 1, "file_name": f"{i + 1:012d}.jpg", "width": _WIDTH, "height": _HEIGHT}
            for i in range(images)
        ],
        "categories": [{"id": k + 1, "name": f"class {k + 1}"} for k in range(classes)],
        "annotations": [
            {"id": n, **record, "iscrowd": 0}
            for n, record in enumerate(_records(image, label, placed), start=1)
        ],
    }
    files = {"annotations": folder / "annotations.json"}
    write_json_atomically(files["annotations"], annotations)
    for name in (*ROLES, OTHER):
        source = rng.integers(objects, size=boxes)
        astray = rng.random(boxes) < 0.3
        near = placed[source] + rng.normal(size=(boxes, 4)) * 0.15 * np.tile(side[source], 2)
        near[astray, :2] = rng.random((int(astray.sum()), 2)) * [_WIDTH, _HEIGHT]
        near[:, :2] = near[:, :2].clip(0, [_WIDTH - 4, _HEIGHT - 4])
        near[:, 2:] = np.clip(near[:, 2:], 2, [_WIDTH, _HEIGHT] - near[:, :2])
        other = rng.random(boxes) < 0.2
        scores = np.where(astray, rng.beta(1, 4, boxes), rng.beta(2, 2, boxes)).round(5).tolist()
        place = np.where(astray, rng.integers(1, images + 1, boxes), image[source])
        seen = np.where(other, rng.integers(1, classes + 1, boxes), label[source])
        records = zip(_records(place, seen, near), scores, strict=True)
        files[name] = folder / f"{name}.json"
        write_json_atomically(files[name], [record | {"score": s} for record, s in records])
    return files


def measure(files: dict[str, Path], out: Path) -> dict[str, float]:
    """Run ``kdviz diagnose`` on files as `make_files` names them.

    Args:
        files: annotations and sets.
        out: folder of the diagnosis.

    Returns:
        ``seconds`` by the clock, ``cpu_seconds``, and ``peak_gb``, the largest memory at any time.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    command = [sys.executable, "-m", "kdviz.cli", "diagnose", "--out", str(out)]
    command += [f"--{name}={path}" for name, path in files.items() if name != OTHER]
    command += ["--other", f"{OTHER}={files[OTHER]}"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": seconds,
        "cpu_seconds": spent,
        "peak_gb": after.ru_maxrss * unit / 1e9,
    }


def _records(
    image: NDArray[np.int64], label: NDArray[np.int64], boxes: NDArray[np.float64]
) -> Iterator[dict[str, Any]]:
    rows = zip(image.tolist(), label.tolist(), boxes.round(2).tolist(), strict=True)
    return ({"image_id": i, "category_id": k, "bbox": box} for i, k, box in rows)


if __name__ == "__main__":
    main()
