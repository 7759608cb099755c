"""Text painted from kept letters, which is most of the time of painting a figure.

Matplotlib lays out every text anew, and draws each of its letters anew at its place within a pixel.
A figure that follows a slider shows the same letters at the same places most of the time, so these
are kept between figures. The pixels are those of matplotlib, to the last bit.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, radians, sin
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg, get_hinting_flag
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray

_KEPT = 16384
_UNITS = 64  # of a font in one pixel
# Matplotlib before 3.11 draws a text as a whole; there it keeps doing that.
_HAS_GLYPHS = hasattr(FT2Font, "_layout") and hasattr(RendererAgg, "_draw_text_glyphs_and_boxes")


class GlyphCanvas(FigureCanvasAgg):
    """The canvas of all our figures."""

    _made_for: tuple[float, ...] = ()

    def get_renderer(self) -> RendererAgg:
        """The renderer of the figure's present size, which is made once."""
        wanted = (*self.get_width_height(physical=True), self.figure.dpi)
        if wanted != self._made_for:
            self.renderer = GlyphRenderer(*wanted)
            self._made_for = wanted
        return self.renderer


class GlyphRenderer(RendererAgg):
    """Agg's renderer, except that it measures and draws no text twice."""

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        """Width, height and descent of a line of text, pixels."""
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        return _extent(s, prop.copy(), self.dpi, get_hinting_flag())

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        """Draw a line of text with its baseline at y, pixels from the top, beginning at x."""
        special = mtext is not None and _HAS_GLYPHS and _is_special(mtext)
        if ismath or special or not _HAS_GLYPHS:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        across, up = cos(radians(angle)), sin(radians(angle))
        setting = prop.get_size_in_points(), self.dpi, angle, gc.get_antialiased()
        height = int(self.height)
        for font, index, dx, dy in _letters(s, prop.copy(), self.dpi, get_hinting_flag()):
            right = round(_UNITS * (x + dx * across - dy * up))
            above = round(_UNITS * (self.height - y + dx * up + dy * across))
            glyph = _glyph(
                font, index, *setting, right % _UNITS, above % _UNITS, get_hinting_flag()
            )
            place = glyph.left + right // _UNITS, height - glyph.bottom - above // _UNITS
            if glyph.pixels.size:
                self._renderer.draw_text_image(glyph.pixels, *place, 0, gc)


class _Glyph(NamedTuple):
    pixels: NDArray[np.uint8]
    left: int
    bottom: int  # above the baseline, pixels


class _Recorder:
    """Takes the place of the surface and keeps what would be drawn on it."""

    def __init__(self) -> None:
        self.drawn: list[tuple[NDArray[np.uint8], int, int]] = []

    def draw_text_image(self, pixels: Any, x: int, y: int, _angle: float, _gc: Any) -> None:
        self.drawn.append((np.array(pixels), x, y))


@lru_cache(maxsize=_KEPT)
def _glyph(
    font: FT2Font,
    index: int,
    size: float,
    dpi: float,
    angle: float,
    antialiased: bool,
    right: int,
    above: int,
    _hinting: int,
) -> _Glyph:
    """A letter that begins so many units right of and above the corner of a pixel."""
    renderer: Any = RendererAgg(1, 1, dpi)
    gc = renderer.new_gc()
    gc.set_antialiased(antialiased)
    renderer._renderer = recorder = _Recorder()
    place = right / _UNITS, 1 - above / _UNITS
    renderer._draw_text_glyphs_and_boxes(gc, *place, angle, [(font, size, index, 0, 1, 0, 0)], [])
    ((pixels, left, lower),) = recorder.drawn
    return _Glyph(pixels, left, 1 - lower)


@lru_cache(maxsize=_KEPT)
def _letters(
    text: str, font: FontProperties, dpi: float, hinting: Any
) -> list[tuple[FT2Font, int, float, float]]:
    """Font, number and place of each letter; places in pixels from the beginning of the line."""
    made: Any = _measurer(dpi)._prepare_font(font)
    items = made._layout(text, flags=hinting, features=None, language=None)
    return [(item.ft_object, item.glyph_index, item.x, item.y) for item in items]


@lru_cache(maxsize=_KEPT)
def _extent(
    text: str, font: FontProperties, dpi: float, _hinting: int
) -> tuple[float, float, float]:
    return _measurer(dpi).get_text_width_height_descent(text, font, False)


@lru_cache(maxsize=8)
def _measurer(dpi: float) -> Any:
    return RendererAgg(1, 1, dpi)


def _is_special(text: Any) -> bool:
    return text.get_fontfeatures() is not None or text.get_language() is not None
