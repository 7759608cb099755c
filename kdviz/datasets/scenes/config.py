"""What a scene may hold, and the factors of difficulty each object is measured by."""

from __future__ import annotations

from dataclasses import Field, asdict, dataclass, fields
from typing import Any

from kdviz.datasets.scenes.shapes import SHAPES

RENDERER = 1
"""Version of the pixels: raised whenever the same arguments no longer give the same bytes."""

SPLITS = ("train", "val", "test")

FACTORS: dict[str, str] = {
    "size": "side of the square as large as the box, sqrt(w * h), in pixels",
    "occlusion": "share of the object's pixels hidden by other objects or by bars, [0, 1]",
    "blur": "standard deviation of the object's defocus, in pixels, 0 is sharp",
    "crowding": "nearness of the nearest other object: 1 - gap / mean size of the two, clipped to "
    "[0, 1]; the gap is the larger of the horizontal and the vertical one between the boxes; "
    "1 when they touch or overlap",
    "overlap": "largest intersection over union with another object's box, [0, 1]",
    "lookalike": "share of the neighbourhood covered by look-alike patterns that are no objects, "
    "[0, 1]",
    "contrast": "mean absolute difference, over the channels, between the mean colours of the "
    "object's visible pixels and of the background in its neighbourhood, over 255, [0, 1]",
    "truncation": "share of the object's full box that lies outside the image, [0, 1]",
    "cue": "1 if a plate outside the box, of which at least three quarters can be seen, spells the "
    "class in four cells; else 0",
}
"""Name, definition, unit and range of every factor; the neighbourhood of an object is its box grown
by half its width and height on every side, inside the image, without the object itself."""


def _like(field: Field[Any], value: Any) -> Any:
    """``value`` in the types of the field's default, so that equal configurations hash alike.

    Lists come from JSON and YAML, and 2 may stand for 2.0.
    """
    default = field.default
    if not isinstance(default, tuple):
        default, value = (default,), (value,)
    kind = type(default[0])
    entries = tuple(value) if isinstance(value, list | tuple) else ()
    typed = all(isinstance(entry, str if kind is str else int | float) for entry in entries)
    ranged = kind is str or len(entries) == len(default)
    if not typed or not ranged or any(kind(entry) != entry for entry in entries):
        raise ValueError(f"{field.name} must be like {field.default}, got {value}")
    converted = tuple(kind(entry) for entry in entries)
    return converted if isinstance(field.default, tuple) else converted[0]


@dataclass(frozen=True)
class SceneConfig:
    """How scenes look and how hard they are.

    Pairs are ranges, both ends included; probabilities lie in [0, 1]. Turning one of the looks
    (occlusion, blur, contrast, look-alikes, cues, noise) leaves place, class and size of the
    objects as they were, so that one scene can be shown with and without it.

    Attributes:
        size: height and width of the image, pixels, 64 to 1024.
        classes: names out of ``SHAPES``; category ids are 1..K in this order.
        objects: how many objects are placed; fewer remain where there is no room.
        object_size: longer side of an object before rotation, as a share of the image side.
        pair_probability: chance that an object is put right beside an earlier one.
        rotation: largest turn to either side, degrees, 0 to 20 (more would turn squares into
            diamonds).
        truncation_probability: chance that a tenth to two fifths of an object leave the image.
        occlusion_probability: chance that a bar is laid over an object.
        occlusion: width of that bar as a share of the object's side.
        max_occlusion: objects hidden more than this are removed from picture and truth alike.
        blur_probability: chance that an object is out of focus.
        blur: standard deviation of that defocus, pixels; rounded to sqrt(n / 2).
        contrast: strength of an object's colours against the background; 1 is full.
        lookalike_probability: chance that an object stands among open outlines.
        distractors: how many open outlines stand elsewhere.
        strokes: how many strokes clutter the background.
        cue_probability: chance that an object comes with a plate that spells its class.
        noise: amplitude of the grain over the whole image, grey levels, 0 to 64.

    Raises:
        ValueError: a value lies outside its range; the message names the field.
    """

    size: int = 128
    classes: tuple[str, ...] = (
        "disc",
        "ring",
        "square",
        "diamond",
        "triangle",
        "arrow",
        "star",
        "cross",
    )
    objects: tuple[int, int] = (1, 6)
    object_size: tuple[float, float] = (0.11, 0.42)
    pair_probability: float = 0.3
    rotation: int = 12
    truncation_probability: float = 0.05
    occlusion_probability: float = 0.25
    occlusion: tuple[float, float] = (0.15, 0.4)
    max_occlusion: float = 0.8
    blur_probability: float = 0.3
    blur: tuple[float, float] = (0.7, 2.0)
    contrast: tuple[float, float] = (0.7, 1.0)
    lookalike_probability: float = 0.25
    distractors: tuple[int, int] = (0, 2)
    strokes: tuple[int, int] = (2, 7)
    cue_probability: float = 0.3
    noise: int = 5

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _like(field, getattr(self, field.name)))
        unknown = [name for name in self.classes if name not in SHAPES]
        if unknown or not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(
                f"classes must be distinct names out of {sorted(SHAPES)}, got {self.classes}"
            )
        self._check("size", (self.size,), 64, 1024)
        self._check("objects", self.objects, 0, 100)
        self._check("object_size", self.object_size, 0.02, 0.9)
        self._check("rotation", (self.rotation,), 0, 20)
        self._check("blur", self.blur, 0, 16)
        self._check("distractors", self.distractors, 0, 100)
        self._check("strokes", self.strokes, 0, 100)
        self._check("noise", (self.noise,), 0, 64)
        self._check("max_occlusion", (self.max_occlusion,), 0, 0.95)
        for name in ("occlusion", "contrast"):
            self._check(name, getattr(self, name), 0, 1)
        for name in ("pair", "truncation", "occlusion", "blur", "lookalike", "cue"):
            self._check(f"{name}_probability", (getattr(self, f"{name}_probability"),), 0, 1)

    def _check(self, name: str, values: tuple[float, ...], low: float, high: float) -> None:
        if sorted(values) != list(values) or not all(low <= value <= high for value in values):
            raise ValueError(f"{name} must rise within [{low}, {high}], got {getattr(self, name)}")

    def to_dict(self) -> dict[str, object]:
        """The fields as JSON can hold them; ``SceneConfig(**fields)`` restores the configuration.

        Two configurations that are equal give the same JSON text, which names their cache.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
