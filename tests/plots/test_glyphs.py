import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from kdviz.plots import glyphs, theme, to_png
from kdviz.plots.theme import new_figure


def _write(figure):
    rng = np.random.default_rng(0)
    for number, angle in enumerate([0, 0, 0, 90, 90, 30, 0]):
        x, y = rng.uniform(0.2, 0.7, 2)
        figure.text(x, y, f"AVA {number}.25\nwith ½, µ and two lines", rotation=angle,
                    size=6 + number / 2, color="#96003C", alpha=1 - number / 10)  # fmt: skip
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set(xlabel="$not$ mathematics", ylabel="share", title=r"$\alpha$")
    axes.title.set_parse_math(True)


def _pixels(canvas_of):
    with theme():
        figure = new_figure(4.03, 3.017)
        _write(figure)
        canvas_of(figure)
        return np.asarray(Image.open(io.BytesIO(to_png(figure)))).astype(int)


def test_every_pixel_is_that_of_matplotlib():
    plain = _pixels(FigureCanvasAgg)
    for _ in range(2):  # drawn, then kept
        kept = _pixels(glyphs.GlyphCanvas)
        np.testing.assert_array_equal(kept, plain)
    assert (plain != 255).mean() > 0.02


def test_text_is_measured_as_matplotlib_does():
    with theme():
        figure = new_figure(3, 2)
        text = figure.text(0.5, 0.5, "How wide is this?", size=9)
        kept = text.get_window_extent().extents
        FigureCanvasAgg(figure)
        np.testing.assert_array_equal(kept, text.get_window_extent().extents)


@pytest.mark.skipif(not glyphs._HAS_GLYPHS, reason="matplotlib below 3.11 draws texts as a whole")
def test_known_letters_are_not_drawn_again():
    glyphs._glyph.cache_clear()
    first = _pixels(glyphs.GlyphCanvas)
    drawn = glyphs._glyph.cache_info().misses
    assert drawn > 50
    np.testing.assert_array_equal(_pixels(glyphs.GlyphCanvas), first)
    assert glyphs._glyph.cache_info().misses == drawn


def test_a_figure_of_another_size_or_resolution_gets_its_own_renderer():
    figure = new_figure(3, 2)
    renderer = figure.canvas.get_renderer()
    assert figure.canvas.get_renderer() is renderer
    figure.set_size_inches(4, 2)
    assert figure.canvas.get_renderer().width == 400
    figure.dpi = 50
    assert figure.canvas.get_renderer().width == 200


def test_a_figure_has_the_size_that_matplotlib_gives_it():
    rounded = 0
    for width in np.arange(3, 10, 0.0437):
        figure = new_figure(width, 1)
        kept = figure.canvas.get_renderer()
        plain = FigureCanvasAgg(figure).get_renderer()
        assert (kept.width, kept.height) == (plain.width, plain.height)
        rounded += kept.width != width * 100
    assert rounded > 50
