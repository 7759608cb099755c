import base64
import io
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from kdviz.plots import mask_grid
from kdviz.widgets import interactive_figure

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def explorer():
    """Cells above a threshold, with a level to choose."""
    values = np.linspace(0, 1, 24).reshape(4, 6)

    def render(threshold, level):
        if threshold == 1.0:
            raise ValueError("nothing <is> kept")
        return mask_grid(np.full((3, 64, 96), 0.5), values > threshold, 16, title=level)

    return interactive_figure(render, threshold=(0.0, 1.0, 0.05, 0.5), level=["p3", "p4"])


@pytest.fixture
def display(monkeypatch):
    """Stands in for IPython's display and keeps what was shown and what was updated."""

    class Display:
        def __init__(self):
            self.shown, self.updated = [], []

        def __call__(self, data, raw, display_id=None):
            assert raw
            self.shown.append(data)
            return self

        def update(self, data, raw):
            assert raw
            self.updated.append(data)

    recorder = Display()
    monkeypatch.setattr("IPython.display.display", recorder)
    return recorder


def test_a_move_repaints_without_a_kernel(explorer):
    before = explorer.png
    explorer.controls["threshold"].value = 0.8
    assert explorer.png != before
    assert Image.open(io.BytesIO(explorer.png)).size == Image.open(io.BytesIO(before)).size
    assert explorer.picture.value == explorer.png
    assert explorer.state == {"threshold": 0.8, "level": "p3"}


def test_the_picture_is_a_function_of_the_state(explorer):
    explorer.controls["level"].value = "p4"
    other = explorer.png
    explorer.controls["level"].value = "p3"
    first = explorer.png
    assert other != first
    explorer.controls["level"].value = "p4"
    assert explorer.png == other


def test_painting_leaves_nothing_behind(explorer):
    before = dict(mpl.rcParams)
    explorer.controls["threshold"].value = 0.2
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_an_error_is_shown_and_the_picture_kept(explorer):
    before = explorer.png
    explorer.controls["threshold"].value = 1.0
    assert "ValueError: nothing &lt;is&gt; kept" in explorer.message.value
    assert explorer.png == before
    explorer.controls["threshold"].value = 0.2
    assert explorer.message.value == ""
    assert explorer.png != before


def test_an_error_in_the_first_painting_is_raised():
    def render(threshold):
        raise KeyError("p9")

    with pytest.raises(KeyError, match="p9"):
        interactive_figure(render, threshold=(0, 10, 1))


def test_the_static_picture_stands_beside_the_live_one(explorer, display):
    explorer._ipython_display_()
    live, static = display.shown
    assert live[VIEW]["model_id"] == explorer.view.model_id
    assert "image/png" not in live  # a lost model would hide it
    assert base64.b64decode(static["image/png"]) == explorer.png
    assert static["text/plain"] == "figure at threshold=0.5, level=p3"


def test_the_static_picture_follows_the_state(explorer, display):
    explorer.controls["threshold"].value = 0.1
    assert display.updated == []
    explorer._ipython_display_()
    explorer.controls["threshold"].value = 0.7
    assert base64.b64decode(display.updated[-1]["image/png"]) == explorer.png
    assert display.updated[-1]["text/plain"] == "figure at threshold=0.7, level=p3"


def page(bundles, **metadata):
    outputs = [nbformat.v4.new_output("display_data", data=data) for data in bundles]
    cell = nbformat.v4.new_code_cell("explore", outputs=outputs)
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    return HTMLExporter(template_name="lab").from_notebook_node(notebook)[0]


def test_a_page_without_widget_state_shows_the_picture(explorer, display):
    explorer._ipython_display_()
    html = page(display.shown)
    assert display.shown[1]["image/png"] in html
    assert f'type="{VIEW}"' not in html


def test_a_page_with_widget_state_holds_the_picture_too(explorer, display):
    """Its live half needs a network; without one the picture is all there is."""
    from ipywidgets import Widget

    explorer._ipython_display_()
    state = Widget.get_manager_state()
    html = page(display.shown, widgets={"application/vnd.jupyter.widget-state+json": state})
    assert f'type="{VIEW}"' in html
    assert display.shown[1]["image/png"] in html


def test_only_the_live_figure_hides_the_picture(explorer, display):
    explorer._ipython_display_()
    rules = [getattr(child, "value", "") for child in explorer.view.children]
    assert any(isinstance(rule, str) and "display: none" in rule for rule in rules)
    assert not any("style" in str(value) for value in display.shown[1].values())


def test_without_ipywidgets_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"pip install 'kdviz\[notebooks\]'"):
        interactive_figure(lambda: None)
