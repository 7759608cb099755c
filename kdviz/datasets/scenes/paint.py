"""Colours and things: background, clutter, look-alikes, plates, objects and bars."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from kdviz.datasets.scenes.fixed import (
    TURN,
    UNIT,
    Draws,
    Frame,
    Ints,
    Patch,
    cosine,
    coverage,
    paste,
    sine,
)
from kdviz.datasets.scenes.shapes import SHAPES

Colour = tuple[int, int, int]

INKS: tuple[Colour, ...] = (
    (231, 92, 78),
    (243, 172, 62),
    (38, 162, 148),
    (70, 134, 214),
    (146, 104, 200),
    (216, 96, 146),
    (122, 172, 72),
    (92, 196, 220),
    (48, 58, 92),
    (248, 234, 206),
)
GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((234, 228, 214), (204, 208, 204)),
    ((214, 222, 228), (180, 196, 208)),
    ((226, 212, 192), (198, 180, 158)),
    ((202, 212, 196), (166, 184, 168)),
    ((68, 78, 108), (42, 48, 76)),
    ((86, 72, 98), (56, 46, 72)),
    ((54, 82, 86), (34, 54, 64)),
)
BARK: tuple[Colour, ...] = ((120, 104, 88), (94, 110, 96), (112, 116, 122), (146, 132, 108))
DARK: Colour = (50, 54, 68)
LIGHT: Colour = (246, 240, 226)
LAMP: Colour = (250, 190, 70)
CELLS = 4
"""Cells of a plate; class k of K (from 1) is spelt by k in binary, lit cells are ones."""


def mix(first: Sequence[int], second: Sequence[int], share: int) -> Colour:
    """``first`` moved towards ``second`` by ``share`` / 256."""
    red, green, blue = (a + ((b - a) * share >> 8) for a, b in zip(first, second, strict=True))
    return red, green, blue


@lru_cache(maxsize=64)
def _ramps(size: int, cells: int) -> tuple[Ints, Ints]:
    """Left lattice index and smooth weight (0..256) of each of ``size`` pixels."""
    position = (np.arange(size, dtype=np.int32) * 2 + 1) * cells * 128 // size
    index, rest = position >> 8, position & 255
    return index, (rest * rest * (768 - 2 * rest)) >> 16


def _field(draws: Draws, size: int, cells: int) -> Ints:
    """Smooth noise on a lattice of ``cells`` cells a side, (size, size), 0..255."""
    lattice = draws.octets((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    index, weight = _ramps(size, cells)
    rows = (lattice[index] << 8) + (lattice[index + 1] - lattice[index]) * weight[:, None]
    left = rows[:, index]
    return (left + ((rows[:, index + 1] - left) * weight >> 8)) >> 8


def background(draws: Draws, size: int) -> Ints:
    """A gradient bent by smooth noise between two colours of one family, (H, W, 3)."""
    first, second = GROUNDS[draws.integer(0, len(GROUNDS) - 1)]
    turn = draws.integer(0, TURN - 1)
    line = np.arange(size, dtype=np.int32) * 512 // size - 256
    slope = (line[None, :] * cosine(turn) + line[:, None] * sine(turn)) >> 13
    bend = (_field(draws, size, 3) + (_field(draws, size, 9) >> 1) - 191) * 3 >> 2
    share = np.clip(128 + slope + bend, 0, 256)[..., None]
    start, step = np.array(first, np.int32), np.array(second, np.int32) - np.array(first, np.int32)
    return start + (step * share >> 8)


def grain(draws: Draws, canvas: Ints, amplitude: int) -> Ints:
    """The canvas with triangular noise of up to ``amplitude`` grey levels, the same in R, G, B."""
    size = canvas.shape[0]
    first, second = draws.octets(2 * size * size).reshape(2, size, size)
    return np.clip(canvas + ((first + second - 255) * amplitude >> 8)[..., None], 0, 255)


def _around(canvas: Ints, patch: Patch) -> Colour:
    """Mean colour of a patch."""
    region = canvas[patch.window].reshape(-1, 3)
    red, green, blue = (int(total) // max(len(region), 1) for total in region.sum(axis=0))
    return red, green, blue


def ink_on(canvas: Ints, patch: Patch, first: int, strength: int) -> Colour:
    """The first ink, counted from ``first``, that stands out from the patch.

    Args:
        canvas: (H, W, 3), 0..255.
        patch: where the ink is to stand out.
        first: index into ``INKS``.
        strength: 0 is the patch's own mean colour, 256 the full ink.
    """
    ground = _around(canvas, patch)
    inks = [INKS[(first + step) % len(INKS)] for step in range(len(INKS))]
    far = [ink for ink in inks if sum(abs(a - b) for a, b in zip(ink, ground, strict=True)) >= 170]
    return mix(ground, far[0] if far else DARK, strength)


def stroke(draws: Draws, canvas: Ints) -> None:
    """A faint thin line somewhere on the canvas."""
    size = canvas.shape[0]
    cx, cy = (draws.integer(0, size * UNIT) for _ in range(2))
    a, b = draws.integer(size, 4 * size), draws.integer(UNIT * 3 // 4, UNIT + size // 5)
    turn, tone, light = draws.integer(0, TURN - 1), draws.integer(35, 90), draws.chance(0.5)
    patch = Patch.around(cx, cy, max(a, b) + UNIT, size)
    if patch.is_empty:
        return
    distance = bar_distance(Frame(patch, cx, cy, a, b, turn))
    colour = mix(_around(canvas, patch), LIGHT if light else DARK, tone)
    paste(canvas, patch, np.array(colour, np.int32), coverage(distance))


def bar_distance(frame: Frame) -> Ints:
    """Signed distance to the rectangle of a frame."""
    u, v = frame.uv
    return np.maximum(np.abs(u) - frame.a, np.abs(v) - frame.b)


def outline(draws: Draws, canvas: Ints, frame: Frame, shape: str, colour: Colour) -> Ints:
    """Draw the open outline of a shape: alike in line and colour, but no object.

    Returns:
        Signed distance to the full silhouette, (h, w).
    """
    distance = SHAPES[shape](frame)
    turn, opening = draws.integer(0, TURN - 1), draws.integer(-10, 35)
    u, v = frame.uv
    cut = ((u * cosine(turn) + v * sine(turn)) >> 12) - min(frame.a, frame.b) * opening // 100
    width = max(UNIT // 2, min(frame.a, frame.b) // 14)
    line = np.maximum(np.abs(distance + width) - width, cut)
    paste(canvas, frame.patch, np.array(colour, np.int32), coverage(line))
    return distance


def plate(canvas: Ints, label: int, box: tuple[int, int, int, int]) -> Patch | None:
    """Draw the plate that spells ``label`` just below a box, or above where there is no room.

    Returns:
        The plate's pixels; None where neither side has room.
    """
    x0, y0, x1, y1 = box
    size = canvas.shape[0]
    height, gap = max(6, (y1 - y0) // 5), 2
    width = max(4, (x1 - x0 - 2) // CELLS) * CELLS + 2
    left = min(max((x0 + x1 - width) // 2, 0), max(size - width, 0))
    top = y1 + gap if y1 + gap + height <= size else y0 - gap - height
    if top < 0 or left + width > size:
        return None
    patch = Patch(left, top, left + width, top + height)
    # A light border and a dark plate: seen on light and on dark ground.
    canvas[patch.window] = LIGHT
    canvas[top + 1 : top + height - 1, left + 1 : left + width - 1] = DARK
    cell = (width - 2) // CELLS
    for index in range(CELLS):
        if label >> (CELLS - 1 - index) & 1:
            start = left + 1 + index * cell
            canvas[top + 1 : top + height - 1, start : start + cell] = LAMP
    return patch


def _texture(draws: Draws, frame: Frame) -> Ints:
    """Share of the second tone in the frame's own coordinates, 0..256."""
    kind, fine = draws.integer(0, 4), draws.integer(3, 5)
    u, v = frame.uv
    period = max(min(frame.a, frame.b) * 2 // fine, 4 * UNIT)
    across = coverage(np.abs((u + v) % period - period // 2) - period // 4)
    if kind == 0:
        return across
    if kind == 1:
        rows = coverage(np.abs(v % period - period // 2) - period // 4)
        columns = coverage(np.abs(u % period - period // 2) - period // 4)
        return rows + columns - (rows * columns >> 7)
    if kind == 2:
        du, dv = u % period - period // 2, v % period - period // 2
        radius = period * 3 // 10
        return coverage((du * du + dv * dv - radius * radius) // (2 * radius))
    if kind == 3:
        return np.clip(128 + v * 128 // frame.b, 0, 256)
    return np.zeros_like(u)


def thing(
    draws: Draws, canvas: Ints, frame: Frame, distance: Ints, colour: Colour, passes: int
) -> None:
    """Draw one object: its ink, a texture in a second tone, a darker rim, defocus."""
    share = _texture(draws, frame)
    second = mix(colour, LIGHT, 110) if draws.chance(0.6) else mix(colour, DARK, 90)
    base, step = np.array(colour, np.int32), np.array(second, np.int32) - np.array(colour, np.int32)
    rim = max(UNIT, min(frame.a, frame.b) // 8)
    edge = coverage(-distance - rim)[..., None]
    fill = base + (step * share[..., None] >> 8)
    dark = np.array(mix(colour, DARK, 130), np.int32)
    paste(canvas, frame.patch, fill + ((dark - fill) * edge >> 8), coverage(distance), passes)


def bar(draws: Draws, canvas: Ints, frame: Frame) -> Ints:
    """Draw an occluding bar that fills a frame; returns its signed distance."""
    distance = bar_distance(frame)
    wood = BARK[draws.integer(0, len(BARK) - 1)]
    # Lighter along the middle, so that a bar reads as round and as no flat shape.
    light = np.clip(150 - np.abs(frame.uv[1]) * 150 // max(frame.b, 1), 0, 150)[..., None]
    base = np.array(mix(wood, DARK, 60), np.int32)
    colour = base + ((np.array(mix(wood, LIGHT, 90), np.int32) - base) * light >> 8)
    paste(canvas, frame.patch, colour, coverage(distance))
    return distance
