"""Arrays become something that can be drawn: images, masks, and maps of one level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from PIL import Image

from kdviz.plots.pixels import PixelImage
from kdviz.structures import Batch, Level

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def as_array(values: Any) -> NDArray[Any]:
    """A numpy array from a tensor on any device, an array, or nested lists."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def as_image(image: Any) -> NDArray[np.uint8]:
    """An image as (h, w, 3) bytes.

    Args:
        image: (3, h, w) or (1, h, w) float in [0, 1], (h, w, 3) uint8, or (3, h, w) uint8.

    Raises:
        ValueError: another shape, or float values outside [0, 1].
    """
    array = as_array(image)
    is_bytes = array.dtype == np.uint8
    channels_last = array.ndim == 3 and array.shape[-1] == 3 and (is_bytes or array.shape[0] > 3)
    if array.ndim != 3 or not (channels_last or array.shape[0] in (1, 3)):
        raise ValueError(
            "an image must be (3, h, w) float in [0, 1] or (h, w, 3) uint8 but has shape "
            f"{array.shape} and type {array.dtype}"
        )
    if not channels_last:
        array = np.moveaxis(array, 0, -1)
    if not is_bytes:
        low, high = float(array.min(initial=0)), float(array.max(initial=0))
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise ValueError(
                f"a float image must lie in [0, 1] but spans [{low:.3g}, {high:.3g}]; "
                "for a normalised batch use network_image(batch, index)"
            )
        array = (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.broadcast_to(array, (*array.shape[:2], 3))


def network_image(
    batch: Batch,
    index: int = 0,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> NDArray[np.float32]:
    """What the network saw of one image, padding cut off: the frame in which maps are aligned.

    Args:
        batch: from ``parts.preprocess``.
        index: which image of the batch.
        mean: that was subtracted, per channel.
        std: by which was divided, per channel.

    Returns:
        (3, h, w) in [0, 1].
    """
    height, width = batch.sizes[index]
    values = as_array(batch.images[index])[:, :height, :width]
    scale, shift = (np.asarray(x, dtype=np.float32)[:, None, None] for x in (std, mean))
    return np.clip(values * scale + shift, 0, 1)


def as_map(values: Any, index: int = 0) -> NDArray[Any]:
    """One (H, W) map from (H, W), (1, H, W), (N, 1, H, W) or a `Level`; booleans stay boolean.

    Args:
        values: the map, with one channel.
        index: which image, where there is an image axis.

    Raises:
        ValueError: more than one channel; a mean over channels is the caller's decision.
    """
    array = as_array(values.map if isinstance(values, Level) else values)
    if array.ndim == 4:
        array = array[index]
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2:
        raise ValueError(
            f"a map must be (H, W), (1, H, W) or (N, 1, H, W) but has shape {array.shape}; "
            "reduce the channels first, for example map.mean(1, keepdim=True)"
        )
    return array


def as_boxes(boxes: Any) -> NDArray[np.float64]:
    """Boxes as (n, 4) xyxy; accepts an empty list.

    Raises:
        ValueError: the last axis is not 4.
    """
    array = as_array(boxes).astype(np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must have shape (n, 4), xyxy, but have {array.shape}")
    return array


def show_image(axes: Axes, image: NDArray[np.uint8]) -> AxesImage:
    """Draw an image so that pixel x covers [x, x + 1): box edges and cells need no half pixel.

    It is brought to the size of its panel first: five times faster than matplotlib's resampling,
    at the same coordinates. The axis lines are switched off rather than emptied, for speed too.
    """
    height, width = image.shape[:2]
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.apply_aspect()
    panel = axes.get_window_extent()
    size = max(1, round(panel.width)), max(1, round(panel.height))
    kind = Image.Resampling.BOX if width > size[0] else Image.Resampling.NEAREST
    image = np.asarray(Image.fromarray(image).resize(size, kind))
    return _add(axes, image, (width, height))


def show_map(axes: Axes, values: NDArray[Any], stride: float, **options: Any) -> AxesImage:
    """Draw a map over what is there: cell (i, j) covers [j s, (j+1) s) x [i s, (i+1) s) pixels."""
    height, width = values.shape[:2]
    limits = axes.get_xlim(), axes.get_ylim()
    axes.set_aspect("equal")
    drawn = _add(axes, values, (width * stride, height * stride), **options)
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
    return drawn


def _add(axes: Axes, values: NDArray[Any], size: tuple[float, float], **options: Any) -> AxesImage:
    """Put an image of this width and height in the corner of some axes."""
    alpha = options.pop("alpha", None)
    drawn = PixelImage(axes, interpolation="nearest", **options)
    drawn.set_data(values)
    drawn.set_alpha(alpha)
    drawn.set_clip_path(axes.patch)
    drawn.set_extent((0, size[0], size[1], 0))
    drawn.autoscale_None()
    axes.add_image(drawn)
    return drawn


def stride_of(values: Any, stride: float | None) -> float:
    """Pixels from one cell to the next, as given or as the `Level` knows it."""
    if stride is None and isinstance(values, Level):
        return float(values.stride)
    if stride is None or stride <= 0:
        raise ValueError(f"a map needs its stride in pixels, > 0, but it is {stride}")
    return float(stride)


def greyed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey and pale, so that only the map has colour."""
    pale = (
        Image.fromarray(pixels).convert("L").point([60 + round(i * 195 / 255) for i in range(256)])
    )
    return np.asarray(pale.convert("RGB"))
