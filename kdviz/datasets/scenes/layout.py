"""Where objects stand: their class, place and size, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from kdviz.datasets.scenes.config import SceneConfig
from kdviz.datasets.scenes.fixed import TURN, UNIT, Draws, Frame, Patch, cosine, sine
from kdviz.datasets.scenes.shapes import TWINS

ATTEMPTS = 24
MAX_OVERLAP = 250
"""Largest intersection over union of two placed boxes, thousandths."""


@dataclass(frozen=True)
class Place:
    """An object before it is drawn; lengths in 1/16 pixel, angle in 1/720 turn.

    Attributes:
        label: category id, from 1.
        shape: name of the class.
        cx, cy: centre.
        a, b: half width and half height before the turn.
        turn: clockwise turn.
    """

    label: int
    shape: str
    cx: int
    cy: int
    a: int
    b: int
    turn: int

    @property
    def reach(self) -> tuple[int, int]:
        """Half width and half height of a box that surely holds the turned shape."""
        cos, sin = abs(cosine(self.turn)), abs(sine(self.turn))
        return (self.a * cos + self.b * sin) >> 12, (self.a * sin + self.b * cos) >> 12

    def frame(self, size: int, margin: int) -> Frame:
        """The object's coordinates on the pixels within ``margin`` units of it."""
        patch = Patch.around(self.cx, self.cy, max(self.reach) + margin, size)
        return Frame(patch, self.cx, self.cy, self.a, self.b, self.turn)


def _overlap(first: Place, second: Place) -> int:
    """Intersection over union of the boxes of two places, thousandths."""
    (aw, ah), (bw, bh) = first.reach, second.reach
    width = min(first.cx + aw, second.cx + bw) - max(first.cx - aw, second.cx - bw)
    height = min(first.cy + ah, second.cy + bh) - max(first.cy - ah, second.cy - bh)
    if width <= 0 or height <= 0:
        return 0
    shared = width * height
    return 1000 * shared // (4 * aw * ah + 4 * bw * bh - shared)


def _label(config: SceneConfig, draws: Draws, partner: Place | None) -> int:
    """A uniform class; beside a partner, half of the time its twin or the same class again."""
    label, kind = draws.integer(1, len(config.classes)), draws.integer(0, 3)
    if partner is None or kind > 1:
        return label
    twin = TWINS[partner.shape]
    if kind == 0 and twin in config.classes:
        return config.classes.index(twin) + 1
    return partner.label


def _beside(draws: Draws, partner: Place, reach: tuple[int, int]) -> tuple[int, int]:
    """A centre whose box touches, nearly touches or slightly overlaps the partner's."""
    side, shift, gap = draws.integer(0, 3), draws.integer(-40, 40), draws.integer(-15, 25)
    gaps = [
        (own + other) * (100 + gap) // 100 for own, other in zip(reach, partner.reach, strict=True)
    ]
    if side < 2:
        step = gaps[0] if side else -gaps[0]
        return partner.cx + step, partner.cy + partner.reach[1] * shift // 50
    step = gaps[1] if side == 3 else -gaps[1]
    return partner.cx + partner.reach[0] * shift // 50, partner.cy + step


def _anywhere(
    draws: Draws, reach: tuple[int, int], extent: int, outside: int | None
) -> tuple[int, int]:
    """A centre inside the image, or across one of its edges by ``outside`` hundredths."""
    centre = [draws.integer(own, extent - own) for own in reach]
    edge = draws.integer(0, 3)
    if outside is not None:
        axis = edge & 1
        inwards = reach[axis] * (50 - outside) // 50
        centre[axis] = inwards if edge < 2 else extent - inwards
    return centre[0], centre[1]


def _inside(place: Place, extent: int) -> bool:
    width, height = place.reach
    return width <= place.cx <= extent - width and height <= place.cy <= extent - height


def plan(config: SceneConfig, draws: Draws) -> list[Place]:
    """Places of one scene, farthest first.

    A place that finds no room in ``ATTEMPTS`` trials is given up, so a crowded scene may hold fewer
    objects than were asked for.
    """
    extent = config.size * UNIT
    places: list[Place] = []
    for _ in range(draws.integer(*config.objects)):
        near = draws.chance(config.pair_probability)
        pick = draws.integer(0, len(places) - 1)
        partner = places[pick] if near and places else None
        label = _label(config, draws, partner)
        # The smaller of two draws: small objects are more frequent than large ones.
        side = min(draws.scaled(config.object_size, extent) for _ in range(2))
        if partner is not None:
            # Objects that stand together are of like size, else the larger hides the smaller.
            side = (side + 2 * 2 * max(partner.a, partner.b)) // 3
        shorter = side * draws.integer(78, 100) // 100
        a, b = (side // 2, shorter // 2) if draws.chance(0.5) else (shorter // 2, side // 2)
        turn = draws.integer(-config.rotation * TURN // 360, config.rotation * TURN // 360)
        across = draws.chance(config.truncation_probability)
        outside = draws.integer(10, 40) if across else None
        for attempt in range(ATTEMPTS):
            place = Place(label, config.classes[label - 1], 0, 0, a, b, turn)
            if partner is not None and attempt < ATTEMPTS // 2:
                cx, cy = _beside(draws, partner, place.reach)
            else:
                cx, cy = _anywhere(draws, place.reach, extent, outside)
            place = Place(label, place.shape, cx, cy, a, b, turn)
            allowed = _inside(place, extent) or (outside is not None and partner is None)
            if allowed and all(_overlap(place, other) <= MAX_OVERLAP for other in places):
                places.append(place)
                break
    return places
