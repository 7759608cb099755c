import io

import numpy as np
import pytest
from matplotlib.image import AxesImage
from PIL import Image

from kdviz.plots import pixels, to_png
from kdviz.plots.images import show_image, show_map
from kdviz.plots.maps import shared_scale
from kdviz.plots.panels import image_panels
from kdviz.plots.theme import theme


def _panels(count=3, width=4.03):
    with theme():
        return image_panels((60, 90), [f"panel {n}" for n in range(count)], width=width)


def _map(rng, shape=(8, 12)):
    values = rng.normal(size=shape)
    scale = shared_scale([values])
    return values, {"cmap": scale.colours, "norm": scale.norm}


def _both(drawn):
    renderer = drawn.axes.get_figure().canvas.get_renderer()
    fast, plain = drawn.make_image(renderer), AxesImage.make_image(drawn, renderer)
    assert fast[1:3] == plain[1:3]
    return fast[0], plain[0]


@pytest.mark.parametrize("alpha", [None, 0.6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_map_has_the_pixels_of_matplotlib(alpha, dtype):
    rng = np.random.default_rng(0)
    for axes in _panels().axes:
        show_image(axes, rng.integers(0, 255, (60, 90, 3), dtype=np.uint8))
        for _ in range(2):  # another map finds the same places
            values, colours = _map(rng)
            drawn = show_map(axes, values.astype(dtype), 7.5, alpha=alpha, **colours)
            assert drawn._is_plain(drawn.get_array())
            np.testing.assert_array_equal(*_both(drawn))


def test_an_image_has_the_pixels_of_matplotlib():
    rng = np.random.default_rng(0)
    for width in (3.3, 4.03, 7.77):
        for axes in _panels(width=width).axes:
            image = rng.integers(0, 255, (61, 83, 3), dtype=np.uint8)
            np.testing.assert_array_equal(*_both(show_image(axes, image)))


def test_places_are_asked_once():
    rng, (axes,) = np.random.default_rng(0), _panels(1).axes
    show_image(axes, np.zeros((60, 90, 3), dtype=np.uint8))
    values, colours = _map(rng)
    drawn = show_map(axes, values, 7.5, **colours)
    _both(drawn)
    drawn._ask = None  # a second question would be an error
    drawn.set_data(values + 1)
    np.testing.assert_array_equal(*_both(drawn))


def test_kept_places_are_those_of_the_panel_as_it_is_now():
    rng, (axes,) = np.random.default_rng(0), _panels(1).axes
    drawn = show_image(axes, rng.integers(0, 255, (60, 90, 3), dtype=np.uint8))
    _both(drawn)
    axes.set(xlim=(10, 70), ylim=(50, 10))
    axes.apply_aspect()
    np.testing.assert_array_equal(*_both(drawn))
    drawn.set_extent((3, 60, 70, 5))
    np.testing.assert_array_equal(*_both(drawn))


def test_kept_places_are_not_without_end(monkeypatch):
    monkeypatch.setattr(pixels, "_KEPT", 2)
    monkeypatch.setattr(pixels, "_samplings", {})
    for axes in _panels(5).axes:
        _both(show_image(axes, np.zeros((60, 90, 3), dtype=np.uint8)))
    assert 1 <= len(pixels._samplings) <= 2


def _blended(values, **options):
    (axes,) = _panels(1).axes
    show_image(axes, np.full((60, 90, 3), 90, dtype=np.uint8))
    drawn = show_map(axes, values, 90 / values.shape[1], **options)
    assert not drawn._is_plain(drawn.get_array())
    return _both(drawn)


def test_all_else_is_left_to_matplotlib():
    rng = np.random.default_rng(0)
    values, colours = _map(rng)
    holes = np.where(values > 0, values, np.nan)
    np.testing.assert_array_equal(*_blended(holes, **colours))
    tiny, colours = _map(rng, (200, 300))
    np.testing.assert_array_equal(*_blended(tiny, alpha=0.5, **colours))
    tint = np.dstack([values, values, values, values > 0]).clip(0, 1)
    np.testing.assert_array_equal(*_blended(tint))
    np.testing.assert_array_equal(*_blended((values > 0) * 2, **colours))


def test_a_panel_is_as_wide_as_its_image_and_has_no_marks():
    panels = _panels(1)
    show_image(panels.axes[0], np.zeros((60, 90, 3), dtype=np.uint8))
    picture = np.asarray(Image.open(io.BytesIO(to_png(panels.figure))))
    black = np.argwhere((picture == 0).all(-1))
    high, wide = np.ptp(black, axis=0) + 1
    assert wide / high == pytest.approx(1.5, abs=0.02)
    assert len(black) == high * wide
    assert not len(panels.axes[0].get_xticks())
