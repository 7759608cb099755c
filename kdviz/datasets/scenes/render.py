"""One scene: drawn back to front, with exact masks from which the factors are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdviz.datasets.scenes.config import SPLITS, SceneConfig
from kdviz.datasets.scenes.factors import (
    Box,
    Mask,
    contrast,
    crowding,
    neighbourhood,
    overlap,
    share,
    size_of,
)
from kdviz.datasets.scenes.fixed import TURN, UNIT, Draws, Frame, Ints, Patch
from kdviz.datasets.scenes.layout import plan
from kdviz.datasets.scenes.paint import (
    INKS,
    background,
    bar,
    grain,
    ink_on,
    outline,
    plate,
    stroke,
    thing,
)
from kdviz.datasets.scenes.sketch import Sketch, hidden, owners_of, sketch, truncation

Sketches = dict[int, Sketch]
"""Objects by their order in the layout, farthest first; the order also names their streams."""

OUTLINE_STRENGTH = 215
"""Strength of the ink of look-alikes, 0..256."""


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
    box: Box
    factors: dict[str, float]
    mask: Mask
    visible: Mask


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
    sketches: Sketches = {}
    for order, place in enumerate(plan(config, Draws(*key, 0))):
        sketched = sketch(config, place, Draws(*key, 1, order))
        if sketched is not None:
            sketches[order] = sketched
    # Taking one away only uncovers others, so one look is enough.
    owners = owners_of(config, sketches)
    sketches = {
        order: sketched
        for order, sketched in sketches.items()
        if hidden(sketched, owners, order) <= config.max_occlusion
    }
    owners = owners_of(config, sketches)

    ground = Draws(*key, 2)
    canvas = background(ground, config.size)
    for _ in range(ground.integer(*config.strokes)):
        stroke(ground, canvas)
    # Inks are chosen before anything else stands there, so that they do not depend on it.
    looks = {order: Draws(*key, 3, order) for order in sketches}
    inks = {
        order: ink_on(canvas, s.frame.patch, looks[order].integer(0, len(INKS) - 1), s.strength)
        for order, s in sketches.items()
    }
    covered = _lookalikes(config, key, canvas, sketches)
    plates: dict[int, Patch] = {}
    plated = np.full_like(owners, -1)
    for order, s in sketches.items():
        patch = plate(canvas, s.place.label, s.box) if s.has_plate else None
        if patch is not None:
            plates[order] = patch
            plated[patch.window] = order
    plated[owners != -1] = -1
    for order, s in sketches.items():
        thing(looks[order], canvas, s.frame, s.distance, inks[order], s.passes)
    for order, s in sketches.items():
        if s.bar is not None:
            bar(looks[order], canvas, s.bar)
    image = grain(Draws(*key, 6), canvas, config.noise).astype(np.uint8)
    cues = {order: _is_seen(plated[patch.window], order) for order, patch in plates.items()}
    return image, _measure(config, image, owners, covered, sketches, cues)


def _lookalikes(
    config: SceneConfig, key: tuple[int, ...], canvas: Ints, sketches: Sketches
) -> Mask:
    """Paint the open outlines; returns the pixels inside their silhouettes."""
    covered = np.zeros((config.size, config.size), dtype=bool)
    extent = config.size * UNIT
    bare = canvas.copy()

    def draw(lots: Draws, cx: int, cy: int, half: int) -> None:
        shape = config.classes[lots.integer(0, len(config.classes) - 1)]
        turn = lots.integer(-TURN // 24, TURN // 24)
        patch = Patch.around(cx, cy, half * 5 // 4 + UNIT, config.size)
        if not patch.is_empty:
            colour = ink_on(bare, patch, lots.integer(0, len(INKS) - 1), OUTLINE_STRENGTH)
            frame = Frame(patch, cx, cy, half, half, turn)
            covered[patch.window] |= outline(lots, canvas, frame, shape, colour) <= 0

    lots = Draws(*key, 4)
    for _ in range(lots.integer(*config.distractors)):
        half = lots.scaled(config.object_size, extent) // 2
        draw(lots, lots.integer(0, extent), lots.integer(0, extent), half)
    for order, sketched in sketches.items():
        if sketched.has_lookalikes:
            lots, place = Draws(*key, 5, order), sketched.place
            for _ in range(3):
                half = max(place.a, place.b) * lots.integer(60, 100) // 100
                right = place.cx + place.reach[0] * lots.integer(-150, 150) // 100
                down = place.cy + place.reach[1] * lots.integer(-150, 150) // 100
                draw(lots, right, down, half)
    return covered


def _measure(
    config: SceneConfig,
    image: NDArray[np.uint8],
    owners: Ints,
    covered: Mask,
    sketches: Sketches,
    cues: dict[int, bool],
) -> list[SceneObject]:
    """Count the factors of every object of a painted scene."""
    objects = []
    for order, s in sketches.items():
        mask = np.zeros(owners.shape, dtype=bool)
        mask[s.frame.patch.window] = s.inside
        visible = owners == order
        others = [other.box for other in sketches.values() if other is not s]
        window = neighbourhood(s.box, config.size)
        values = {
            "size": size_of(s.box),
            "occlusion": hidden(s, owners, order),
            "blur": math.sqrt(s.passes / 2),
            "crowding": crowding(s.box, others),
            "overlap": overlap(s.box, others),
            "lookalike": share(covered[window], ~mask[window]),
            "contrast": contrast(image[window], visible[window], owners[window] == -1),
            "truncation": truncation(s, config.size),
            "cue": float(cues.get(order, False)),
        }
        factors = {name: round(value, 4) for name, value in values.items()}
        objects.append(SceneObject(s.place.label, s.place.shape, s.box, factors, mask, visible))
    return objects


def _is_seen(plated: Ints, order: int) -> bool:
    """At least three quarters of a plate's pixels still show it."""
    return 4 * int(np.count_nonzero(plated == order)) >= 3 * plated.size
