"""Images and maps brought to the pixels of their panel, which is most of drawing a grid of them.

Matplotlib goes through its interpolation for every image anew, in floats, four channels deep. Which
value a pixel takes depends only on where the image stands; in a figure that follows a slider that
stays, so it is asked once and kept. The pixels are those of matplotlib, to the last bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.image import AxesImage
from numpy.typing import NDArray

_KEPT = 512


class PixelImage(AxesImage):
    """Nearest-neighbour image on axes with linear scales."""

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        """The image as (h, w, 4) bytes, and the place of its corner, pixels of the figure."""
        values: Any = self.get_array()
        if unsampled or magnification != 1 or not self._is_plain(values):
            return super().make_image(renderer, magnification, unsampled)
        sampling = self._sampling(renderer, values.shape[:2])
        if sampling is None:
            return super().make_image(renderer, magnification, unsampled)
        rows, columns, left, bottom = sampling
        pixels = np.full((*values.shape[:2], 4), 255, dtype=np.uint8)
        if values.ndim == 3:
            pixels[..., :3] = values
        else:
            scaled: Any = self.norm(values)
            pixels = self.to_rgba(scaled, bytes=True, norm=False)
            alpha = self.get_alpha()
            pixels[..., 3] = np.float32(255) * (1.0 if alpha is None else alpha)
        return pixels[rows[:, None], columns], left, bottom, None

    def _is_plain(self, values: Any) -> bool:
        """Whether a pixel has the colour of one value, and nothing is left out or blended."""
        if np.ma.is_masked(values):
            return False
        if values.ndim == 3:
            opaque = self.get_alpha() is None and values.shape[2] == 3
            return opaque and values.dtype == np.uint8
        extent, (rows, columns) = self.get_window_extent(), values.shape
        alpha: Any = self.get_alpha()
        # Matplotlib mixes colours, not values, where cells are smaller.
        is_large = min(abs(extent.width) / columns, abs(extent.height) / rows) > 3.01
        return is_large and values.dtype.kind == "f" and np.ndim(alpha) == 0

    def _sampling(self, renderer: Any, shape: tuple[int, int]) -> _Sampling | None:
        assert self.axes is not None
        panel, view = (np.array(box.extents) for box in (self.axes.bbox, self.axes.viewLim))
        key = shape, tuple(self.get_extent()), panel.tobytes(), view.tobytes()
        if key not in _samplings:
            if len(_samplings) >= _KEPT:
                _samplings.clear()
            _samplings[key] = self._ask(renderer, shape)
        return _samplings[key]

    def _ask(self, renderer: Any, shape: tuple[int, int]) -> _Sampling | None:
        """Which value each pixel takes: an image of row numbers and one of column numbers tell."""
        asked = []
        probe = AxesImage(self.axes, interpolation="nearest", extent=self.get_extent())
        probe.set(transform=self.get_transform(), clip_box=self.get_clip_box())
        for numbers in np.indices(shape):
            probe.set_data(np.stack([numbers >> 8, numbers & 255, 0 * numbers], -1).astype("u1"))
            pixels, left, bottom, _ = probe.make_image(renderer)
            if pixels is None or (pixels[..., 3] < 255).any():
                return None
            asked.append(pixels[..., 0].astype(int) << 8 | pixels[..., 1])
        rows, columns = asked[0][:, 0], asked[1][0]
        if (asked[0] != rows[:, None]).any() or (asked[1] != columns).any():
            return None
        return _Sampling(rows, columns, left, bottom)


class _Sampling(NamedTuple):
    rows: NDArray[np.int_]
    columns: NDArray[np.int_]
    left: float
    bottom: float


_samplings: dict[Any, _Sampling | None] = {}
