"""Integer arithmetic of the renderer: draws, angles, signed distances, coverage and defocus.

The same seed must give the same bytes on every machine. Sines, exponentials and sums of floating
point numbers may differ in their last bit between processors, so pixels are made of integers only:
lengths in sixteenths of a pixel, angles in 1/720 of a turn, coverage in 1/256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]

UNIT = 16
"""Units of length in a pixel."""
TURN = 720
"""Steps in a full turn; divisible by the corners of every shape."""
_ONE = 1 << 12
# Rounding makes the table safe: tests show that no entry lies near a half.
SINES = tuple(round(math.sin(math.tau * step / TURN) * _ONE) for step in range(TURN))


def sine(step: int) -> int:
    """Sine of ``step`` / 720 of a turn, times 4096."""
    return SINES[step % TURN]


def cosine(step: int) -> int:
    """Cosine of ``step`` / 720 of a turn, times 4096."""
    return SINES[(step + TURN // 4) % TURN]


class Draws:
    """A stream of random integers that no numpy version changes.

    numpy promises stable raw bits and seeds, not stable distributions; these are built here from
    raw bits.

    Args:
        key: whole numbers >= 0 that name the stream; streams of different keys are independent.
    """

    def __init__(self, *key: int) -> None:
        sequence = np.random.SeedSequence(entropy=key[0], spawn_key=key[1:])
        self._bits = np.random.PCG64(sequence)

    def integer(self, low: int, high: int) -> int:
        """Uniform in low..high, both included; ``low`` if the range is empty."""
        span = max(high - low + 1, 1)
        return low + (((int(self._bits.random_raw()) >> 32) * span) >> 32)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return (int(self._bits.random_raw()) >> 11) < probability * (1 << 53)

    def scaled(self, limits: tuple[float, float], scale: int) -> int:
        """Uniform in ``limits``, times ``scale``, as a whole number."""
        return self.integer(round(limits[0] * scale), round(limits[1] * scale))

    def octets(self, count: int) -> Ints:
        """``count`` values in 0..255."""
        raw = self._bits.random_raw(-(-count // 8)).astype("<u8")
        return raw.view(np.uint8)[:count].astype(np.int32)


@dataclass(frozen=True)
class Patch:
    """A rectangle of pixels: columns x0..x1 and rows y0..y1, ends excluded."""

    x0: int
    y0: int
    x1: int
    y1: int

    @staticmethod
    def around(cx: int, cy: int, reach: int, size: int) -> Patch:
        """Pixels within ``reach`` units of a point, inside a square image; may be empty."""
        low_x, low_y = (cx - reach) // UNIT, (cy - reach) // UNIT
        high_x, high_y = -(-(cx + reach) // UNIT), -(-(cy + reach) // UNIT)
        x0, y0 = min(max(low_x, 0), size), min(max(low_y, 0), size)
        return Patch(x0, y0, max(min(high_x, size), x0), max(min(high_y, size), y0))

    @property
    def is_empty(self) -> bool:
        """It holds no pixel."""
        return self.x0 >= self.x1 or self.y0 >= self.y1

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of this rectangle in an (H, W) array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def x(self) -> Ints:
        """Centres of the columns, units, (1, w)."""
        return np.arange(self.x0, self.x1, dtype=np.int32)[None, :] * UNIT + UNIT // 2

    @property
    def y(self) -> Ints:
        """Centres of the rows, units, (h, 1)."""
        return np.arange(self.y0, self.y1, dtype=np.int32)[:, None] * UNIT + UNIT // 2


@dataclass(frozen=True)
class Frame:
    """A turned, stretched system of coordinates on a patch.

    Attributes:
        patch: the pixels on which distances are asked.
        cx, cy: origin, units from the corner of the image.
        a, b: half width and half height, units.
        turn: clockwise turn, 1/720 of a circle.
    """

    patch: Patch
    cx: int
    cy: int
    a: int
    b: int
    turn: int

    @cached_property
    def uv(self) -> tuple[Ints, Ints]:
        """Coordinates along the frame's own axes, units, two (h, w) arrays."""
        x, y = self.patch.x - self.cx, self.patch.y - self.cy
        cos, sin = cosine(self.turn), sine(self.turn)
        return (x * cos + y * sin) >> 12, (y * cos - x * sin) >> 12

    def half_planes(self, corners: list[tuple[int, int]], step: int = 1) -> Ints:
        """Signed distances to the lines from each corner to the ``step``-th next one.

        Args:
            corners: clockwise, in thousandths of ``a`` and ``b``.
            step: 1 joins neighbours.

        Returns:
            (lines, h, w), units, negative on the right-hand (inner) side.
        """
        cos, sin = cosine(self.turn), sine(self.turn)
        points = []
        for unit_x, unit_y in corners:
            u, v = unit_x * self.a, unit_y * self.b
            points.append(
                (self.cx + (u * cos - v * sin) // 4096000, self.cy + (u * sin + v * cos) // 4096000)
            )
        rows, columns = [], []
        for index, (px, py) in enumerate(points):
            qx, qy = points[(index + step) % len(points)]
            dx, dy = qx - px, qy - py
            length = max(math.isqrt((dx * dx + dy * dy) << 16), 1)
            nx, ny = (dy << 20) // length, -((dx << 20) // length)
            columns.append(nx * (self.patch.x - px))
            rows.append(ny * (self.patch.y - py))
        return (np.stack(rows) + np.stack(columns)) >> 12

    def convex(self, corners: list[tuple[int, int]]) -> Ints:
        """Signed distance to a convex polygon, (h, w), units, negative inside."""
        return self.half_planes(corners).max(axis=0)

    def ellipse(self, share: int = 1000) -> Ints:
        """Signed distance, exact near the edge, to the ellipse of ``share`` / 1000 of the axes."""
        a, b = max(self.a * share // 1000, 1), max(self.b * share // 1000, 1)
        u, v = self.uv
        u, v = (u << 12) // a, (v << 12) // b
        np.clip(u, -(1 << 14), 1 << 14, out=u)
        np.clip(v, -(1 << 14), 1 << 14, out=v)
        square = np.minimum(u * u + v * v, 1 << 26)
        return (((square - (1 << 24)) >> 10) * min(a, b)) >> 15


def coverage(distance: Ints) -> Ints:
    """Share of each pixel inside an edge at this signed distance, 0..256."""
    return np.clip(128 - distance * 16, 0, 256)


def defocus(layer: Ints, passes: int) -> Ints:
    """Smooth an (h, w, C) layer to a standard deviation of sqrt(passes / 2) pixels.

    One pass is the kernel 1 2 1 in both directions, of variance 1/2; wide ones are spread with
    holes (a variance of d * d / 2 for a spread of d) as long as narrower ones follow to fill them.
    Values must be below 2 ** 28; the border is repeated outwards, so that what an edge of the image
    cuts does not fade there.
    """
    while passes > 0:
        spread = 1
        while 12 * spread * spread <= passes:
            spread *= 2
        passes -= spread * spread
        for axis in (0, 1):
            total = layer * 2 + 2
            ahead = np.swapaxes(total, 0, axis)
            source = np.swapaxes(layer, 0, axis)
            ahead[spread:] += source[:-spread]
            ahead[:-spread] += source[spread:]
            ahead[:spread] += source[:1]
            ahead[-spread:] += source[-1:]
            layer = total >> 2
    return layer


def paste(canvas: Ints, patch: Patch, colour: Ints, alpha: Ints, passes: int = 0) -> None:
    """Lay a colour over a patch of the canvas, in place.

    Args:
        canvas: (H, W, 3), 0..255.
        patch: where.
        colour: (h, w, 3) or (3,), 0..255.
        alpha: (h, w), 0..256.
        passes: defocus of the layer, see ``defocus``.
    """
    layer = np.empty((*alpha.shape, 4), dtype=np.int32)
    layer[..., 3] = alpha << 8
    np.multiply(colour, layer[..., 3:], out=layer[..., :3])
    layer = defocus(layer, passes)
    below = canvas[patch.window]
    canvas[patch.window] = (below * (65536 - layer[..., 3:]) + layer[..., :3] + 32768) >> 16
