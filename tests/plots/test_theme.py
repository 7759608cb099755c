import io
from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from kdviz.plots import draw_boxes, theme, to_png
from kdviz.plots.theme import (
    CLASS_COLOURS,
    DIVERGING,
    DPI,
    ROLE_COLOURS,
    class_colour,
    in_role_order,
    name_colours,
    role_colour,
    text_colour_on,
    to_quick_png,
)

# Machado, Oliveira and Fernandes 2009, severity 1, linear RGB.
_DEUTAN = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                    [-0.011820, 0.042940, 0.968881]])  # fmt: skip
_PROTAN = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                    [-0.003882, -0.048116, 1.051998]])  # fmt: skip


def _linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("eye", [np.eye(3), _DEUTAN, _PROTAN], ids=["normal", "deutan", "protan"])
def test_roles_differ_for_all_eyes(eye):
    seen = {role: np.cbrt(np.clip(eye @ _linear(c), 0, 1)) for role, c in ROLE_COLOURS.items()}
    for first, second in combinations(seen, 2):
        assert np.linalg.norm(seen[first] - seen[second]) > 0.2, (first, second)


def test_a_dozen_classes_have_their_own_colours():
    assert len({class_colour(label) for label in range(1, 13)}) == 12
    assert class_colour(1) == class_colour(1 + len(CLASS_COLOURS))


@pytest.mark.parametrize("colour", [*CLASS_COLOURS, *ROLE_COLOURS.values()])
def test_labels_can_be_read_on_their_plates(colour):
    def luminance(value):
        return float(_linear(value) @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(colour), luminance(text_colour_on(colour))])
    assert (high + 0.05) / (low + 0.05) > 3


def test_roles_keep_their_order():
    names = ["distilled", "mine", "teacher", "student"]
    assert in_role_order(names) == ["student", "teacher", "distilled", "mine"]


def test_variants_of_a_role_share_its_hue_but_differ():
    assert role_colour("distilled (frs)") == ROLE_COLOURS["distilled"]
    colours = name_colours(["student", "distilled (frs)", "distilled (fgfi)", "mine", "yours"])
    assert colours["student"] == ROLE_COLOURS["student"]
    assert colours["mine"] not in ROLE_COLOURS.values()
    assert len({c.lower() for c in colours.values()}) == 5


def test_signed_maps_carry_the_roles_colours():
    red, blue = np.array(DIVERGING(0.9)[:3]), np.array(DIVERGING(0.1)[:3])
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(DIVERGING(0.5)[:3]) > 0.9


def test_theme_ends_with_its_block():
    with mpl.rc_context({"text.color": "lime"}):
        with theme():
            assert mpl.rcParams["text.color"] != "lime"
        assert mpl.rcParams["text.color"] == "lime"


def test_the_users_style_changes_nothing(image):
    boxes = [[10, 10, 60, 60]]
    plain = to_png(draw_boxes(image, boxes, title="one", caption="two")[0])
    with plt.style.context(["dark_background", "ggplot"]):
        assert to_png(draw_boxes(image, boxes, title="one", caption="two")[0]) == plain


def test_png_is_opaque_and_small(image):
    figure, _ = draw_boxes(image, [[10, 10, 60, 60]])
    picture = Image.open(io.BytesIO(figure._repr_png_()))
    assert picture.mode == "RGB"
    assert DPI <= 120
    assert picture.size == tuple(round(x * DPI) for x in figure.get_size_inches())


def test_a_quick_png_is_the_same_picture(image):
    figure, _ = draw_boxes(image, [[3, 4, 20, 30]])
    quick, small = to_quick_png(figure), to_png(figure)
    pictures = [Image.open(io.BytesIO(png)) for png in (quick, small)]
    assert pictures[0].mode == "RGB"
    np.testing.assert_array_equal(*[np.asarray(picture) for picture in pictures])
    assert len(quick) < np.asarray(pictures[0]).size / 5
