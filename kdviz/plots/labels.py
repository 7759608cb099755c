"""Labels of boxes: each finds room, and each is drawn once and then reused.

Drawing text is most of the time of a picture with many boxes. While a reader moves a slider nearly
all labels stay as they are, so their pixels are kept between pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from kdviz.plots.panels import points_per_unit, shorten, text_size
from kdviz.plots.theme import DPI, text_colour_on

LABEL_SIZE = 7.5
SMALL_LABEL_SIZE = 6.5
_SMALL_PANEL = 220  # points of width below which labels are written small
_WIDEST = 0.5  # share of the panel that a label may take where its box is narrower
_PAD = 1.5  # points round a label's text


class Label(NamedTuple):
    """A label and its place: ``x``, ``y`` of its corner, points from the panel's top left."""

    text: str
    colour: str
    x: float
    y: float
    width: float
    height: float

    def covers(self, other: Label) -> bool:
        """Whether the two share any point."""
        apart_x = self.x + self.width <= other.x or other.x + other.width <= self.x
        apart_y = self.y + self.height <= other.y or other.y + other.height <= self.y
        return not (apart_x or apart_y)


class Labels(Artist):
    """All labels of one panel, as one artist.

    Attributes:
        labels: in the order of drawing.
    """

    def __init__(self, axes: Axes, labels: Sequence[Label], size: float) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self._panel = axes
        self._size = size
        self.set_zorder(3)

    def draw(self, renderer: RendererBase) -> None:
        """Put the kept pixels of each label in its place."""
        gc = renderer.new_gc()
        for label, place in zip(self.labels, self.extents(), strict=True):
            pixels = _pixels(label.text, label.colour, self._size, self._dpi())
            renderer.draw_image(gc, round(place.x0), round(place.y1) - len(pixels), pixels)
        gc.restore()
        self.stale = False

    def extents(self) -> list[Bbox]:
        """The place of each label in the figure, pixels from its lower left."""
        panel, unit = self._panel.get_window_extent(), self._dpi() / 72
        corners = [(panel.x0 + label.x * unit, panel.y1 - label.y * unit) for label in self.labels]
        return [
            Bbox.from_extents(x, y - label.height * unit, x + label.width * unit, y)
            for label, (x, y) in zip(self.labels, corners, strict=True)
        ]

    def _dpi(self) -> float:
        figure = self._panel.get_figure(root=True)
        return DPI if figure is None else float(figure.dpi)


def write_labels(
    axes: Axes,
    boxes: NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[str],
    scores: NDArray[Any] | None = None,
) -> Labels:
    """Write one label at each box, in the order given, where it covers no label before it.

    Tried in turn: above the box, inside at its top, below, inside at its bottom, each from the left
    and from the right edge. A label never leaves the panel, a long name is cut before its score.
    Where no place is free the box stays without a label.

    Args:
        axes: of an image, already shown.
        boxes: (n, 4) xyxy, pixels of the image.
        names: one per box, may be empty.
        colours: one per box.
        scores: (n,) in [0, 1], written after the name.
    """
    unit = points_per_unit(axes)
    left, right = sorted(axes.get_xlim())
    top, bottom = sorted(axes.get_ylim())
    room = (right - left) * unit, (bottom - top) * unit
    size = LABEL_SIZE if room[0] > _SMALL_PANEL else SMALL_LABEL_SIZE
    placed: list[Label] = []
    for index, (box, name, colour) in enumerate(zip(boxes, names, colours, strict=True)):
        x1, y1, x2, y2 = ((box - [left, top, left, top]) * unit).tolist()
        if x1 >= room[0] or y1 >= room[1] or x2 <= 0 or y2 <= 0:
            continue
        score = "" if scores is None else f"{scores[index]:.2f}"
        most = min(max(_WIDEST * room[0], x2 - x1), room[0]) - 2 * _PAD
        name = shorten(name, most - text_size(f" {score}", size)[0], size)
        text = f"{name} {score}".strip()
        label = place_label(text, colour, (x1, y1, x2, y2), room, size, placed) if text else None
        if label is not None:
            placed.append(label)
    labels = Labels(axes, placed, size)
    axes.add_artist(labels)
    return labels


def place_label(
    text: str,
    colour: str,
    box: tuple[float, float, float, float],
    room: tuple[float, float],
    size: float,
    taken: Sequence[Label] = (),
) -> Label | None:
    """A label in the first free of its places, see `write_labels`; None where there is none.

    Args:
        text: short enough for the room.
        colour: of its plate.
        box: xyxy, points from the upper left of the room.
        room: width and height, points.
        size: of the font, points.
        taken: labels that it may not cover.
    """
    x1, y1, x2, y2 = box
    width, height = (extent + 2 * _PAD for extent in (text_size(text, size)[0], size))
    for y in (y1 - height, y1, y2, y2 - height):
        for wish in (x1, x2 - width):
            x = min(max(wish, 0.0), room[0] - width)
            label = Label(text, colour, x, y, width, height)
            inside = x >= 0 and y >= 0 and y + height <= room[1]
            if inside and not any(label.covers(other) for other in taken):
                return label
    return None


@lru_cache(maxsize=4096)
def _pixels(text: str, colour: str, size: float, dpi: float) -> NDArray[np.uint8]:
    """A label as (h, w, 4) bytes, the text centred on a plate of its colour."""
    points = text_size(text, size)[0] + 2 * _PAD, size + 2 * _PAD
    width, height = (max(1, round(x * dpi / 72)) for x in points)
    renderer = RendererAgg(width, height, dpi)
    gc = renderer.new_gc()
    gc.set_foreground(text_colour_on(colour))
    font = FontProperties(family=["DejaVu Sans"], size=size)
    # Letters and digits stand on a baseline a quarter of the size above the lower edge.
    baseline = height - (0.25 * size + 0.6 * _PAD) * dpi / 72
    renderer.draw_text(gc, round(_PAD * dpi / 72), round(baseline), text, font, 0)
    drawn = np.asarray(renderer.buffer_rgba())
    ink, plate = (np.array(to_rgb(c)) * 255 for c in (text_colour_on(colour), colour))
    share = drawn[..., 3:] / 255
    mixed = np.full((height, width, 4), 255, dtype=np.uint8)
    mixed[..., :3] = np.round(share * ink + (1 - share) * plate)
    return mixed[::-1].copy()  # matplotlib reads images from the bottom
