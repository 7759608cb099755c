import pytest
import torch

from kdviz.structures import Level, Pyramid
from kdviz.widgets.selectors import (
    checkpoint_picker,
    level_picker,
    method_picker,
    threshold_slider,
)


def pyramid(*strides):
    return Pyramid(
        tuple(Level(f"p{s.bit_length() - 1}", s, torch.zeros(1, 1, 4, 4)) for s in strides)
    )


def test_levels_are_named_and_chosen_by_stride():
    source = level_picker(pyramid(16, 32), pyramid(8, 16)).source
    assert [label for label, _ in source.options] == [
        "p3, stride 8",
        "p4, stride 16",
        "p5, stride 32",
    ]
    assert source.value == 8
    source.value = 32
    assert source.label == "p5, stride 32"


def test_levels_of_a_detector_will_do():
    assert level_picker(pyramid(64).levels).source.value == 64
    with pytest.raises(ValueError, match="level"):
        level_picker()


def test_a_threshold_moves_in_hundredths():
    source = threshold_slider("score", 0.3, low=0.01).source
    assert (source.value, source.min, source.max, source.step) == (0.3, 0.01, 1.0, 0.01)
    assert source.description == "score threshold"


def test_a_method_is_chosen_by_name_or_brings_what_belongs_to_it():
    assert method_picker(["fgfi", "frs"]).source.value == "fgfi"
    maps = {"fgfi": pyramid(8), "frs": pyramid(16)}
    source = method_picker(maps).source
    source.label = "frs"
    assert source.value is maps["frs"]


class TestCheckpoints:
    def test_all_are_shown_first_in_the_order_of_the_figures(self):
        control = checkpoint_picker(["mine", "teacher", "student"])
        assert control.source.value == ("student", "teacher", "mine")
        assert [x.description for x in control.view.children] == ["student", "teacher", "mine"]

    def test_a_button_takes_one_out_and_brings_it_back_to_its_place(self):
        control = checkpoint_picker(["student", "teacher", "mine"])
        buttons = control.view.children
        buttons[1].value = False
        assert control.source.value == ("student", "mine")
        assert [x.button_style for x in buttons] == ["primary", "", "primary"]
        buttons[1].value = True
        assert control.source.value == ("student", "teacher", "mine")

    def test_the_last_one_stays(self):
        control = checkpoint_picker(["student", "teacher"])
        for button in control.view.children:
            button.value = False
        assert control.source.value == ("teacher",)
        assert [x.value for x in control.view.children] == [False, True]

    def test_buttons_follow_the_value(self):
        control = checkpoint_picker(["student", "teacher", "mine"])
        told = []
        control.source.observe(lambda change: told.append(change["new"]), "value")
        control.source.value = ["teacher"]
        assert [x.value for x in control.view.children] == [False, True, False]
        control.source.value = ["student", "mine"]
        assert [x.value for x in control.view.children] == [True, False, True]
        assert told == [("teacher",), ("student", "mine")]

    def test_none_is_refused(self):
        with pytest.raises(ValueError, match="no checkpoint"):
            checkpoint_picker([])
