"""Objects on their way to the canvas: silhouette known, looks drawn by lot, nothing painted yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdviz.datasets.scenes.config import SceneConfig
from kdviz.datasets.scenes.factors import Box, Mask
from kdviz.datasets.scenes.fixed import TURN, UNIT, Draws, Frame, Ints, Patch
from kdviz.datasets.scenes.layout import Place
from kdviz.datasets.scenes.paint import bar_distance
from kdviz.datasets.scenes.shapes import SHAPES


@dataclass(frozen=True)
class Sketch:
    """One object before it is painted.

    Attributes:
        place: class, place and size.
        frame: the object's coordinates on the pixels it may touch.
        distance: signed distance to the silhouette on these pixels, units.
        box: tight xyxy box of the silhouette inside the image, pixels.
        strength: strength of the ink, 0..256.
        passes: defocus, twice the variance in square pixels.
        bar: the bar laid over the object, if any.
        has_plate: a plate spells its class.
        has_lookalikes: it stands among open outlines.
    """

    place: Place
    frame: Frame
    distance: Ints
    box: Box
    strength: int
    passes: int
    bar: Frame | None
    has_plate: bool
    has_lookalikes: bool

    @property
    def inside(self) -> Mask:
        """Pixels of the patch whose centre lies in the silhouette."""
        return self.distance <= 0


def tight_box(inside: Mask, patch: Patch) -> Box:
    """Smallest xyxy box, in pixels of the image, round the true pixels of a patch."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return (
        patch.x0 + int(columns[0]),
        patch.y0 + int(rows[0]),
        patch.x0 + int(columns[-1]) + 1,
        patch.y0 + int(rows[-1]) + 1,
    )


def sketch(config: SceneConfig, place: Place, draws: Draws) -> Sketch | None:
    """Draw lots for the looks; all are always drawn, so that one probability moves one look."""
    blurred = draws.chance(config.blur_probability)
    covered = draws.chance(config.occlusion_probability)
    sigma, share = draws.scaled(config.blur, 1000), draws.scaled(config.occlusion, 1000)
    strength = draws.scaled(config.contrast, 256)
    has_plate = draws.chance(config.cue_probability)
    has_lookalikes = draws.chance(config.lookalike_probability)
    turn, shift = draws.integer(0, TURN - 1), draws.integer(-25, 25)
    passes = (2 * sigma * sigma + 500_000) // 1_000_000 if blurred else 0
    frame = place.frame(config.size, UNIT * (2 + 5 * sigma // 2000))
    if frame.patch.is_empty:
        return None
    distance = SHAPES[place.shape](frame)
    inside = distance <= 0
    if not inside.any():
        return None
    over = None
    if covered:
        half = max(place.a, place.b)
        cx, cy = place.cx + place.a * shift // 100, place.cy + place.b * shift // 100
        patch = Patch.around(cx, cy, half * 2, config.size)
        over = Frame(patch, cx, cy, half * 17 // 10, max(half * share // 1000, UNIT), turn)
    box = tight_box(inside, frame.patch)
    return Sketch(place, frame, distance, box, strength, passes, over, has_plate, has_lookalikes)


def owners_of(config: SceneConfig, sketches: dict[int, Sketch]) -> Ints:
    """Whose pixel is it, (H, W): order of the object, -1 background, -2 bar."""
    owners = np.full((config.size, config.size), -1, dtype=np.int32)
    for order, sketched in sketches.items():
        owners[sketched.frame.patch.window][sketched.inside] = order
    for sketched in sketches.values():
        if sketched.bar is not None:
            owners[sketched.bar.patch.window][bar_distance(sketched.bar) <= 0] = -2
    return owners


def hidden(sketched: Sketch, owners: Ints, order: int) -> float:
    """Share of an object's pixels that are not its own, [0, 1]."""
    inside = sketched.inside
    seen = int(np.count_nonzero(owners[sketched.frame.patch.window][inside] == order))
    return 1 - seen / int(np.count_nonzero(inside))


def truncation(sketched: Sketch, size: int) -> float:
    """Share of the box of the unclipped silhouette outside the image."""
    reach = max(sketched.place.reach) + UNIT
    cx, cy = sketched.place.cx, sketched.place.cy
    if reach <= min(cx, cy) and max(cx, cy) <= size * UNIT - reach:
        return 0.0
    patch = Patch(
        (cx - reach) // UNIT,
        (cy - reach) // UNIT,
        (cx + reach) // UNIT + 1,
        (cy + reach) // UNIT + 1,
    )
    place = sketched.place
    whole = SHAPES[place.shape](Frame(patch, cx, cy, place.a, place.b, place.turn))
    x0, y0, x1, y1 = tight_box(whole <= 0, patch)
    left, top, right, bottom = sketched.box
    return 1 - (right - left) * (bottom - top) / ((x1 - x0) * (y1 - y0))
