"""The images behind an annotation file: where they are, which are not, and their pixels."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdviz.datasets.folder import coco_images_dir
from kdviz.datasets.images import displayed_size, load_image
from kdviz.engine.coco_input import GroundTruth

_KEPT = 64
_NAMED = 3


class ImageFiles:
    """Images that are opened when one is drawn, and kept for a while.

    Args:
        truth: whose images.
        folder: the file names of the annotations are relative to it. It need not exist: then every
            image is missing.
    """

    def __init__(self, truth: GroundTruth, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._truth = truth
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the images without a file, as the diagnosis counts images."""
        names = self._truth.file_names
        return tuple(i for i, x in enumerate(names) if not (x and (self.folder / x).is_file()))

    @property
    def complaint(self) -> str:
        """What is missing and what to do about it; empty where every file is there."""
        if not self.missing:
            return ""
        names = self._truth.file_names
        some = [names[image] or "(no name)" for image in self.missing[:_NAMED]]
        more = ", ..." if len(self.missing) > len(some) else ""
        return (
            f"{len(self.missing)} of {len(names)} image files are not in {self.folder} (first: "
            f"{', '.join(some)}{more}), so nothing on them can be shown; name the folder that "
            "holds them with --images DIR"
        )

    def __getitem__(self, image: int) -> NDArray[np.uint8]:
        """The pixels of an image, (h, w, 3), as its annotations mean them.

        Raises:
            FileNotFoundError: its file is missing.
            ValueError: it cannot be decoded, or has not the size in the annotations.
        """
        if image not in self._kept:
            self._kept[image] = self._open(image)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(image)
        return self._kept[image]

    def _open(self, image: int) -> NDArray[np.uint8]:
        truth, name = self._truth, self._truth.file_names[image]
        if not name:
            raise FileNotFoundError(f"image {truth.image_ids[image]} has no file_name")
        width, height = truth.image_sizes[image]
        if np.isnan(width + height):
            width, height = displayed_size(self.folder / name)
        size = {"width": int(width), "height": int(height)}
        entry = {"id": int(truth.image_ids[image]), "file_name": name, **size}
        pixels = load_image(entry, self.folder).permute(1, 2, 0).numpy()
        return np.ascontiguousarray(pixels)


def find_images(
    truth: GroundTruth, annotations: str | Path | None = None, folder: str | Path | None = None
) -> ImageFiles:
    """The images of some annotations: in a folder, or where COCO data sets have them.

    Args:
        truth: what is in the annotations.
        annotations: their file; the usual folders around it are looked into, see
            `kdviz.datasets.open_data`.
        folder: the folder of the images, if it is known.

    Raises:
        ValueError: neither a file nor a folder is given.
    """
    if folder is not None:
        return ImageFiles(truth, folder)
    if annotations is None:
        raise ValueError("images are found by their folder or by the file of the annotations")
    path = Path(annotations).absolute()
    beside = path.name.startswith("_") or path.parent.name == "annotations"
    root = path.parent.parent if beside else path.parent
    split = path.stem.removeprefix("instances_").removesuffix("2017")
    if path.name.startswith("_"):
        split = path.parent.name
    images = [{"file_name": name} for name in truth.file_names if name]
    return ImageFiles(truth, coco_images_dir(root, path, split, {"images": images}))
