import io

import ipywidgets as widgets
import numpy as np
import pytest
from PIL import Image

from kdviz.widgets import Control, interactive_figure, thumbnails
from kdviz.widgets.controls import make_control

IMAGES = [np.full((3, 40, width), shade) for width, shade in ((60, 0.0), (40, 0.5), (200, 1.0))]


@pytest.mark.parametrize(
    ("setting", "kind", "value"),
    [
        ((0.0, 1.0, 0.05, 0.5), widgets.FloatSlider, 0.5),
        ((0, 10, 2), widgets.IntSlider, 0),
        (range(3, 9, 2), widgets.IntSlider, 3),
        (["p3", "p4"], widgets.ToggleButtons, "p3"),
        ([f"class {k}" for k in range(20)], widgets.Dropdown, "class 0"),
        ({"fine": 8, "coarse": 32}, widgets.ToggleButtons, 8),
        (True, widgets.Checkbox, True),
    ],
)
def test_each_setting_has_its_control(setting, kind, value):
    control = make_control("score_threshold", setting)
    assert type(control.source) is kind
    assert control.source.value == value
    assert control.source.description == "score threshold"


def test_a_slider_over_a_range_ends_with_it():
    source = make_control("image", range(3, 9, 2)).source
    assert (source.min, source.max, source.step) == (3, 7, 2)


def test_numbers_show_as_many_digits_as_the_step():
    formats = [
        make_control("x", (0.0, 1.0, step)).source.readout_format for step in (0.5, 0.05, 0.001)
    ]
    assert formats == [".1f", ".2f", ".3f"]


def test_a_ready_control_is_taken_as_it_is():
    slider = widgets.IntSlider()
    control = Control(slider, slider)
    assert make_control("any", control) is control


@pytest.mark.parametrize(
    "setting", [(0.0, 1.0, 0.1, 2.0), (1.0, 0.0, 0.1), (0, 1, 0), [], range(0)]
)
def test_settings_that_leave_no_choice_are_refused(setting):
    with pytest.raises(ValueError, match="threshold"):
        make_control("threshold", setting)


@pytest.mark.parametrize("setting", [0.5, "p3", None, (0.0, 1.0)])
def test_fixed_values_are_no_controls(setting):
    with pytest.raises(TypeError, match="threshold"):
        make_control("threshold", setting)


def test_a_click_on_a_thumbnail_chooses_the_image():
    control = thumbnails(IMAGES, names=["a", "b", "c"], start=1)
    buttons = [cell.children[1] for cell in control.view.children]
    assert [button.description for button in buttons] == ["a", "b", "c"]
    assert [button.button_style for button in buttons] == ["", "primary", ""]
    buttons[2].click()
    assert control.source.value == 2
    assert [button.button_style for button in buttons] == ["", "", "primary"]


def test_a_click_on_the_small_picture_chooses_it_too():
    control = thumbnails(IMAGES)
    picture = control.view.children[1].children[0]
    picture._handle_custom_msg({"x": 3.0, "y": 4.0}, [])
    assert control.source.value == 1
    assert (picture.cursor, picture.alt) == ("pointer", "1")


def test_thumbnails_are_small_and_in_order():
    shown = [cell.children[0].value for cell in thumbnails(IMAGES).view.children]
    pictures = [Image.open(io.BytesIO(value)) for value in shown]
    assert all(max(picture.size) <= 128 for picture in pictures)
    shades = [np.asarray(picture).mean() for picture in pictures]
    assert shades == sorted(shades)


def test_a_start_that_is_no_image_is_refused():
    with pytest.raises(ValueError, match="there are 3"):
        thumbnails(IMAGES, start=3)


def test_the_picker_moves_the_figure():
    from kdviz.plots import draw_boxes

    explorer = interactive_figure(
        lambda image: draw_boxes(IMAGES[image], []), image=thumbnails(IMAGES)
    )
    before = explorer.png
    explorer.view.children[0].children[0].children[1].children[1].click()
    assert explorer.state == {"image": 1}
    assert explorer.png != before
