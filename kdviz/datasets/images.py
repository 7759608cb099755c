"""Image files of any mode and orientation as RGB tensors."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""What counts as an image where a folder is listed."""

_ORIENTATION = 0x0112  # the EXIF tag


class ImageSizeError(ValueError):
    """An image file has not the size that its annotations say."""


def load_image(entry: dict[str, Any], images_dir: Path) -> Tensor:
    """One image, uint8 (3, height, width) as its entry in the record says.

    Grey, palette, CMYK and transparent images become RGB. An EXIF rotation is applied, unless only
    the image as it is stored has the recorded size.

    Args:
        entry: ``id``, ``file_name``, ``width`` and ``height`` in pixels.
        images_dir: ``file_name`` is relative to it.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it cannot be decoded, or its size is not the one in the record
            (`ImageSizeError`). Every message names the file and the image id.
    """
    path = images_dir / entry["file_name"]
    with _opened(path, f"image {entry['id']} ({path})") as image:
        if _is_turned(image, (entry["width"], entry["height"])):
            image = ImageOps.exif_transpose(image)
        return functional.pil_to_tensor(_to_rgb(image))


def check_image(entry: dict[str, Any], images_dir: Path, *, decode: bool) -> None:
    """Raise what `load_image` would; without ``decode`` only as far as the header tells."""
    if decode:
        load_image(entry, images_dir)
        return
    path = images_dir / entry["file_name"]
    with _opened(path, f"image {entry['id']} ({path})") as image:
        _is_turned(image, (entry["width"], entry["height"]))


def displayed_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file after its EXIF rotation, pixels; reads the header only.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not an image that can be loaded.
    """
    with _opened(path, str(path)) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


class ImageCache:
    """Decoded images in one anonymous shared mapping: pages exist once, also after a fork.

    A pickled copy starts empty.
    """

    def __init__(self, entries: list[dict[str, Any]], images_dir: Path) -> None:
        self.entries = entries
        self.images_dir = images_dir
        sizes = torch.tensor([3 * entry["width"] * entry["height"] for entry in entries])
        ends = sizes.cumsum(0)
        self.starts = (ends - sizes).tolist()
        self.pixels = torch.frombuffer(mmap.mmap(-1, int(ends[-1])), dtype=torch.uint8)
        self.filled = torch.frombuffer(mmap.mmap(-1, len(entries)), dtype=torch.bool)

    def __getitem__(self, index: int) -> Tensor:
        entry = self.entries[index]
        shape = (3, entry["height"], entry["width"])
        start = self.starts[index]
        place = self.pixels[start : start + 3 * shape[1] * shape[2]].view(shape)
        if not self.filled[index]:
            place.copy_(load_image(entry, self.images_dir))
            self.filled[index] = True  # after the pixels: another worker may read it at once
        return place.clone()

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageCache, (self.entries, self.images_dir)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    """The image with its header read; whatever goes wrong with it inside gets its name."""
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise ValueError(
                    f"mode {image.mode} has more than 8 bits a channel; reduce it to 8"
                )
            yield image
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name} is missing") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not an image") from error
    except ImageSizeError as error:
        raise ImageSizeError(f"{name}: {error}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name}: {error}") from error


def _is_turned(image: Image.Image, size: tuple[int, int]) -> bool:
    """Whether the EXIF rotation is to be applied, so that the image has the recorded size."""
    orientation = _orientation(image)
    displayed = image.size[::-1] if orientation >= 5 else image.size
    if displayed == size:
        return orientation > 1
    if image.size != size:
        found, wanted = (f"{width}x{height}" for width, height in (displayed, size))
        raise ImageSizeError(f"the file has {found} pixels, but the annotations say {wanted}")
    return False


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; from 5 on width and height change places."""
    # Asking a PNG without EXIF for it would decode the whole file.
    value = image.getexif().get(_ORIENTATION, 1) if "exif" in image.info else 1
    return value if value in range(2, 9) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
