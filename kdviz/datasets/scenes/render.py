"""One scene: drawn back to front, with exact masks from which the factors are counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdviz.datasets.scenes.config import SPLITS, SceneConfig
from kdviz.datasets.scenes.factors import (
    contrast,
    crowding,
    neighbourhood,
    overlap,
    share,
    size_of,
)
from kdviz.datasets.scenes.fixed import TURN, UNIT, Draws, Frame, Ints, Patch
from kdviz.datasets.scenes.layout import Place, plan
from kdviz.datasets.scenes.paint import (
    background,
    bar,
    bar_distance,
    grain,
    outline,
    plate,
    stroke,
    thing,
)
from kdviz.datasets.scenes.shapes import SHAPES

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        label: category id, from 1.
        name: class name.
        box: tight xyxy box of the full silhouette inside the image, hidden parts included, whole
            pixels; of the sharp silhouette where the object is blurred.
        factors: value of every entry of ``FACTORS``.
        mask: full silhouette inside the image, (H, W).
        visible: the part of ``mask`` that nothing hides, (H, W).
    """

    label: int
    name: str
    box: tuple[int, int, int, int]
    factors: dict[str, float]
    mask: Mask
    visible: Mask


@dataclass
class _Sketch:
    """An object on its way to the canvas: silhouette known, looks drawn, nothing painted."""

    place: Place
    frame: Frame
    distance: Ints
    draws: Draws
    box: tuple[int, int, int, int]
    passes: int
    strength: int
    bar: Frame | None
    has_plate: bool
    has_lookalikes: bool


def _tight_box(inside: Mask, patch: Patch) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return (
        patch.x0 + int(columns[0]),
        patch.y0 + int(rows[0]),
        patch.x0 + int(columns[-1]) + 1,
        patch.y0 + int(rows[-1]) + 1,
    )


def _sketch(config: SceneConfig, place: Place, draws: Draws) -> _Sketch | None:
    """Draw lots for the looks; all are always drawn, so that one probability moves one look."""
    blurred = draws.chance(config.blur_probability)
    covered = draws.chance(config.occlusion_probability)
    sigma, share = draws.scaled(config.blur, 1000), draws.scaled(config.occlusion, 1000)
    strength = draws.scaled(config.contrast, 256)
    has_plate = draws.chance(config.cue_probability)
    has_lookalikes = draws.chance(config.lookalike_probability)
    turn, shift = draws.integer(0, TURN - 1), draws.integer(-25, 25)
    passes = (2 * sigma * sigma + 500_000) // 1_000_000 if blurred else 0
    frame = place.frame(config.size, UNIT * (2 + 2 * sigma // 1000))
    if min(frame.patch.x1 - frame.patch.x0, frame.patch.y1 - frame.patch.y0) < 1:
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
    return _Sketch(
        place,
        frame,
        distance,
        draws,
        _tight_box(inside, frame.patch),
        passes,
        strength,
        over,
        has_plate,
        has_lookalikes,
    )


def _owners(config: SceneConfig, sketches: list[_Sketch]) -> Ints:
    """Whose pixel is it, (H, W): index of the object, -1 background, -2 bar."""
    owners = np.full((config.size, config.size), -1, dtype=np.int32)
    for index, sketch in enumerate(sketches):
        owners[sketch.frame.patch.window][sketch.distance <= 0] = index
    for sketch in sketches:
        if sketch.bar is not None:
            owners[sketch.bar.patch.window][bar_distance(sketch.bar) <= 0] = -2
    return owners


def _hidden(sketch: _Sketch, owners: Ints, index: int) -> float:
    inside = sketch.distance <= 0
    seen = np.count_nonzero(owners[sketch.frame.patch.window][inside] == index)
    return 1 - seen / np.count_nonzero(inside)


def _lookalikes(config: SceneConfig, draws: Draws, canvas: Ints, sketches: list[_Sketch]) -> Mask:
    """Paint the open outlines; returns the pixels inside their silhouettes."""
    covered = np.zeros((config.size, config.size), dtype=bool)
    extent = config.size * UNIT
    names = config.classes

    def draw(lots: Draws, cx: int, cy: int, half: int) -> None:
        shape = names[lots.integer(0, len(names) - 1)]
        turn = lots.integer(-TURN // 24, TURN // 24)
        patch = Patch.around(cx, cy, half * 5 // 4 + UNIT, config.size)
        if min(patch.x1 - patch.x0, patch.y1 - patch.y0) < 1:
            return
        frame = Frame(patch, cx, cy, half, half, turn)
        covered[patch.window] |= outline(lots, canvas, frame, shape) <= 0

    for _ in range(draws.integer(*config.distractors)):
        half = draws.scaled(config.object_size, extent) // 2
        draw(draws, draws.integer(0, extent), draws.integer(0, extent), half)
    for sketch in sketches:
        if sketch.has_lookalikes:
            place, width, height = sketch.place, *sketch.place.reach
            for _ in range(3):
                half = max(place.a, place.b) * sketch.draws.integer(60, 100) // 100
                right = place.cx + width * sketch.draws.integer(-150, 150) // 100
                down = place.cy + height * sketch.draws.integer(-150, 150) // 100
                draw(sketch.draws, right, down, half)
    return covered


def _truncation(sketch: _Sketch, size: int) -> float:
    """Share of the box of the unclipped silhouette outside the image."""
    reach = max(sketch.place.reach) + UNIT
    cx, cy = sketch.place.cx, sketch.place.cy
    if reach <= min(cx, cy) and max(cx, cy) <= size * UNIT - reach:
        return 0.0
    patch = Patch(
        (cx - reach) // UNIT,
        (cy - reach) // UNIT,
        (cx + reach) // UNIT + 1,
        (cy + reach) // UNIT + 1,
    )
    place = sketch.place
    whole = SHAPES[place.shape](Frame(patch, cx, cy, place.a, place.b, place.turn))
    x0, y0, x1, y1 = _tight_box(whole <= 0, patch)
    left, top, right, bottom = sketch.box
    return 1 - (right - left) * (bottom - top) / ((x1 - x0) * (y1 - y0))


def render(
    config: SceneConfig, seed: int, split: str, index: int
) -> tuple[NDArray[np.uint8], list[SceneObject]]:
    """One scene and its ground truth.

    A pure function of its arguments, the same bytes on every machine; scenes do not depend on each
    other or on the order in which they are drawn.

    Args:
        config: how scenes look.
        seed: whole number >= 0 that names the data set.
        split: train, val or test; the splits share no scene.
        index: number of the scene in its split, >= 0.

    Returns:
        The image, (size, size, 3) in RGB, and its objects, farthest first. An object that others
        hide by more than ``config.max_occlusion`` is neither painted nor listed.

    Raises:
        ValueError: the split is unknown, or seed or index is negative.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must be at least 0, got {seed} and {index}")
    key = (seed, SPLITS.index(split), index)
    ground, layout = Draws(*key, 0), Draws(*key, 1)
    sketches = [
        sketch
        for order, place in enumerate(plan(config, layout))
        if (sketch := _sketch(config, place, Draws(*key, 2, order))) is not None
    ]
    # Taking one away only uncovers others, so one look is enough.
    owners = _owners(config, sketches)
    sketches = [
        sketch
        for order, sketch in enumerate(sketches)
        if _hidden(sketch, owners, order) <= config.max_occlusion
    ]
    owners = _owners(config, sketches)

    canvas = background(ground, config.size)
    for _ in range(ground.integer(*config.strokes)):
        stroke(ground, canvas)
    covered = _lookalikes(config, ground, canvas, sketches)
    plates = [
        plate(canvas, sketch.place.label, sketch.box) if sketch.has_plate else None
        for sketch in sketches
    ]
    for sketch in sketches:
        thing(sketch.draws, canvas, sketch.frame, sketch.distance, sketch.strength, sketch.passes)
    for sketch in sketches:
        if sketch.bar is not None:
            bar(sketch.draws, canvas, sketch.bar)
    image = grain(Draws(*key, 3), canvas, config.noise).astype(np.uint8)
    return image, _measure(config, image, owners, covered, sketches, plates)


def _measure(
    config: SceneConfig,
    image: NDArray[np.uint8],
    owners: Ints,
    covered: Mask,
    sketches: list[_Sketch],
    plates: list[Patch | None],
) -> list[SceneObject]:
    """Count the factors of every object of a painted scene."""
    objects = []
    for index, sketch in enumerate(sketches):
        mask = np.zeros(owners.shape, dtype=bool)
        mask[sketch.frame.patch.window] = sketch.distance <= 0
        visible = owners == index
        others = [other.box for other in sketches if other is not sketch]
        window = neighbourhood(sketch.box, config.size)
        plated = plates[index]
        values = {
            "size": size_of(sketch.box),
            "occlusion": _hidden(sketch, owners, index),
            "blur": (sketch.passes / 2) ** 0.5,
            "crowding": crowding(sketch.box, others),
            "overlap": overlap(sketch.box, others),
            "lookalike": share(covered[window], ~mask[window]),
            "contrast": contrast(image[window], visible[window], owners[window] == -1),
            "truncation": _truncation(sketch, config.size),
            "cue": float(plated is not None and _is_seen(owners, plated)),
        }
        factors = {name: round(value, 4) for name, value in values.items()}
        objects.append(
            SceneObject(sketch.place.label, sketch.place.shape, sketch.box, factors, mask, visible)
        )
    return objects


def _is_seen(owners: Ints, plated: Patch) -> bool:
    pixels = owners[plated.window]
    return 4 * int(np.count_nonzero(pixels == -1)) >= 3 * pixels.size
