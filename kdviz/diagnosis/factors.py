"""What may make an object hard, estimated where nobody recorded it: from boxes and from pixels.

Names and units are those of the scenes' known factors (`kdviz.datasets.scenes.FACTORS`), so that an
estimate can be held against the truth there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from kdviz.diagnosis.overlaps import Integers, Numbers
from kdviz.engine.coco_input import GroundTruth

ReadImage = Callable[[int], NDArray[Any]]
"""Pixels of an image by its number, (h, w, 3) uint8."""

BOX_FACTORS = {
    "size": "side of the square as large as the box, pixels",
    "crowding": "nearness of the nearest other box, [0, 1]: 1 touches, 0 is a mean size away",
    "overlap": "largest IoU with another box, [0, 1]",
    "occlusion": "largest share of the box that one other box covers, [0, 1]",
    "truncation": "share of the box's sides that lie on the border of the image, [0, 1]",
    "border": "distance to the border of the image, in sizes of the object, >= 0",
    "frequency": "share of all objects that have its class, (0, 1]",
}
PIXEL_FACTORS = {
    "blur": "standard deviation of the Gaussian that would blur a step as much, pixels",
    "contrast": "difference of the mean colours inside the box and around it, over 255, [0, 1]",
}

_ON_BORDER = 1.0  # pixels
_SIGMA = 1.0  # of the second blur, pixels
_EDGES = 0.1  # share of the steepest pixels, taken as edges
_SOFT = 10.0  # largest estimate, pixels


def with_estimates(truth: GroundTruth, read: ReadImage | None = None) -> GroundTruth:
    """The objects with every factor: known ones as they are, the others estimated.

    Args:
        truth: the annotated objects.
        read: pixels by the number of an image; without it there are no factors from pixels.
    """
    estimates = box_factors(truth)
    if read is not None:
        missing = set(PIXEL_FACTORS) - set(truth.factors)
        estimates |= pixel_factors(truth, read) if missing else {}
    return replace(truth, factors={**estimates, **truth.factors})


def box_factors(truth: GroundTruth) -> dict[str, Numbers]:
    """The `BOX_FACTORS` of each object, each (G,)."""
    low = truth.boxes[:, :2]
    high = low + truth.boxes[:, 2:]
    size = np.sqrt(truth.boxes[:, 2] * truth.boxes[:, 3])
    to_sides = np.concatenate([low, truth.image_sizes[truth.image] - high], axis=1)
    counts = np.bincount(truth.category[~truth.crowd], minlength=len(truth.category_ids))
    factors = {
        "size": size,
        "truncation": (to_sides <= _ON_BORDER).mean(axis=1),
        "border": np.maximum(to_sides.min(axis=1), 0) / np.maximum(size, 1e-9),
        "frequency": counts[truth.category] / max(1, counts.sum()),
        **{name: np.zeros(len(size)) for name in ("crowding", "overlap", "occlusion")},
    }
    for objects in _by_image(truth):
        for name, values in _among(low[objects], high[objects], size[objects]).items():
            factors[name][objects] = values
    return factors


def _among(low: Numbers, high: Numbers, size: Numbers) -> dict[str, Numbers]:
    """What the boxes of one image do to each other; (n, 2), (n, 2), (n,)."""
    others = ~np.eye(len(low), dtype=bool)
    gap = np.maximum(low[:, None] - high[None], low[None] - high[:, None]).max(axis=2)
    shared = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None)
    shared = shared.prod(axis=2)
    area = np.maximum((high - low).prod(axis=1), 1e-9)
    nearness = 1 - 2 * np.maximum(gap, 0) / np.maximum(size[:, None] + size, 1e-9)
    pairs = {
        "crowding": np.maximum(nearness, 0),
        "overlap": shared / (area[:, None] + area - shared),
        "occlusion": shared / area[:, None],
    }
    return {name: (values * others).max(axis=1) for name, values in pairs.items()}


def pixel_factors(truth: GroundTruth, read: ReadImage) -> dict[str, Numbers]:
    """The `PIXEL_FACTORS` of each object, each (G,); NaN for a box of under three pixels.

    Args:
        truth: the annotated objects.
        read: pixels of an image by its number, (h, w, 3) uint8.
    """
    factors = {name: np.full(len(truth.category), np.nan) for name in PIXEL_FACTORS}
    for objects in tqdm(_by_image(truth), desc="factors", unit="image", delay=2, leave=False):
        pixels = np.asarray(read(int(truth.image[objects[0]])), np.float64) / 255
        sigma = _defocus(pixels.mean(axis=2))
        for index in objects:
            left, top, width, height = truth.boxes[index]
            window = _window(left, top, left + width, top + height, pixels.shape)
            inside = sigma[window]
            if min(inside.shape) < 3:
                continue
            known = inside[np.isfinite(inside)]
            factors["blur"][index] = np.median(known) if len(known) else _SOFT
            factors["contrast"][index] = _contrast(pixels, window, width / 2, height / 2)
    return factors


def _defocus(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Blur at the edges of an image, infinite elsewhere.

    A step blurred by sigma has the gradient of a Gaussian of that width. Blurred once more by s,
    its slope falls by the ratio R, and

    .. math:: \sigma = \frac{s}{\sqrt{R^2 - 1}}

    Reference: Zhuo and Sim, Defocus map estimation from a single image, Pattern Recognition 2011.
    """
    slope, softer = (
        np.hypot(*np.gradient(x)) for x in (grey, gaussian_filter(grey, _SIGMA, mode="nearest"))
    )
    ratio = slope / np.maximum(softer, 1e-9)
    steep = slope >= max(np.quantile(slope, 1 - _EDGES), 1e-3)
    steep &= slope == maximum_filter(slope, 3)  # the formula holds in the middle of an edge
    variance = _SIGMA**2 / np.maximum(ratio**2 - 1, 1e-6)
    variance -= 1 / 3  # differences of pixels two apart are a blur of their own
    return np.where(steep, np.sqrt(np.clip(variance, 0, _SOFT**2)), np.inf)


def _contrast(
    pixels: NDArray[np.float64], window: tuple[slice, slice], grow_x: float, grow_y: float
) -> float:
    """Mean colour of the box against that of its neighbourhood, half its size on every side."""
    rows, columns = window
    around = _window(
        columns.start - grow_x, rows.start - grow_y, columns.stop + grow_x, rows.stop + grow_y,
        pixels.shape,
    )  # fmt: skip
    inside, all_of_it = pixels[window], pixels[around]
    ring = all_of_it.shape[0] * all_of_it.shape[1] - inside.shape[0] * inside.shape[1]
    if not ring:
        return np.nan
    outside = (all_of_it.sum(axis=(0, 1)) - inside.sum(axis=(0, 1))) / ring
    return float(np.abs(inside.mean(axis=(0, 1)) - outside).mean())


def _window(
    left: float, top: float, right: float, bottom: float, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """Rows and columns of a box inside an image."""
    return (
        slice(max(0, round(top)), min(shape[0], round(bottom))),
        slice(max(0, round(left)), min(shape[1], round(right))),
    )


def _by_image(truth: GroundTruth) -> list[Integers]:
    """Objects of each image that has some, crowds left out."""
    objects = np.flatnonzero(~truth.crowd)
    objects = objects[np.argsort(truth.image[objects], kind="stable")]
    _, first = np.unique(truth.image[objects], return_index=True)
    return np.split(objects, first[1:])


def reader(truth: GroundTruth, folder: Path) -> ReadImage:
    """Reads the images of annotations from a folder, by the number of the image.

    Raises:
        FileNotFoundError: the first image is not there; says where it was looked for.
    """
    paths = [folder / name for name in truth.file_names]
    if not paths[0].is_file():
        raise FileNotFoundError(
            f"no image {paths[0]}; give the folder that the file names of the annotations are "
            "relative to"
        )

    def read(image: int) -> NDArray[Any]:
        with Image.open(paths[image]) as file:
            return np.asarray(file.convert("RGB"))

    return read


def agreement(known: GroundTruth, estimates: dict[str, Numbers]) -> dict[str, tuple[float, int]]:
    """Rank correlation of estimates with known factors, and the number of objects, by name.

    Args:
        known: objects that tell their factors, such as those of scenes.
        estimates: by name, each (G,).
    """
    told = {}
    for name in estimates.keys() & known.factors.keys():
        both = np.isfinite(known.factors[name]) & np.isfinite(estimates[name]) & ~known.crowd
        pair = known.factors[name][both], estimates[name][both]
        if both.sum() > 2 and all(len(np.unique(values)) > 1 for values in pair):
            told[name] = float(spearmanr(*pair).statistic), int(both.sum())
    return dict(sorted(told.items()))
