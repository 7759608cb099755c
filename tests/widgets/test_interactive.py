import base64
import gc
import html
import io
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from PIL import Image

from kdviz.plots import compare_maps, mask_grid
from kdviz.widgets import interactive_figure
from kdviz.widgets.controls import make_control
from kdviz.widgets.places import Places

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


def test_painted_figures_are_gone_at_once(explorer):
    """Or a full collection of garbage halts the slider every now and then."""
    gc.collect()
    before = sum(issubclass(type(x), Figure) for x in gc.get_objects())
    for step in range(5):
        explorer.controls["threshold"].value = step / 10
    assert sum(issubclass(type(x), Figure) for x in gc.get_objects()) == before
    assert gc.isenabled()


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
    content = page(display.shown)
    assert display.shown[1]["image/png"] in content
    assert f'type="{VIEW}"' not in content


def test_a_page_with_widget_state_holds_the_picture_too(explorer, display):
    """Its live half needs a network; without one the picture is all there is."""
    from ipywidgets import Widget

    explorer._ipython_display_()
    state = Widget.get_manager_state()
    content = page(display.shown, widgets={"application/vnd.jupyter.widget-state+json": state})
    assert f'type="{VIEW}"' in content
    assert display.shown[1]["image/png"] in content


def test_only_the_live_figure_hides_the_picture(explorer, display):
    explorer._ipython_display_()
    rules = [getattr(child, "value", "") for child in explorer.view.children]
    assert any(isinstance(rule, str) and "display: none" in rule for rule in rules)
    assert not any("style" in str(value) for value in display.shown[1].values())


class TestPick:
    """A click on the picture, given in pixels of the PNG as the browser reports it."""

    @pytest.fixture
    def maps(self):
        """Three panels of an image 96 x 160 with two colour bars between and behind them."""
        rng = np.random.default_rng(0)
        return {role: rng.random((6, 10)) for role in ("student", "teacher")}

    @pytest.fixture
    def clicked(self, maps):
        """An interactive figure of three panels, and the clicks it was told."""
        told = []

        def pick(panel, x, y, state):
            told.append((panel, x, y, state))
            return {"column": int(x // 16), "row": int(y // 16)}

        def render(row, column):
            painted.append((row, column))
            cell = [[16 * column, 16 * row, 16 * column + 16, 16 * row + 16]]
            return compare_maps(np.full((3, 96, 160), 0.5), maps, 16, boxes=cell)

        painted = []
        explorer = interactive_figure(render, pick=pick, row=range(6), column=range(10))
        return explorer, told, painted

    def pixel_of(self, explorer, panel, x, y):
        """Where a point of a panel stands in the PNG, found by painting the figure once more."""
        figure, axes = explorer._render(**explorer.state)
        figure.canvas.draw()
        across, up = axes[panel].transData.transform((x, y))
        return across, figure.canvas.get_width_height()[1] - up

    @pytest.mark.parametrize("panel", [0, 1, 2])
    def test_a_click_tells_panel_and_place(self, clicked, panel):
        explorer, told, _ = clicked
        explorer.click(*self.pixel_of(explorer, panel, 37.5, 70.25))
        assert told[0][0] == panel
        assert told[0][1:3] == pytest.approx((37.5, 70.25))
        assert told[0][3] == {"row": 0, "column": 0}
        assert explorer.state == {"row": 4, "column": 2}

    def test_the_png_has_the_clicked_pixel_there(self):
        """Without trust in transforms: a red cell is looked for in the PNG and clicked."""
        mask = np.zeros((6, 10), dtype=bool)
        mask[1, 7] = True
        told = []
        explorer = interactive_figure(
            lambda: mask_grid(np.full((3, 96, 160), 0.5), mask, 16),
            pick=lambda panel, x, y, state: told.append((x // 16, y // 16)) or {},
        )
        pixels = np.asarray(Image.open(io.BytesIO(explorer.png)).convert("RGB")).astype(int)
        rows, columns = np.nonzero(pixels[..., 0] - pixels[..., 2] > 100)
        explorer.click(np.median(columns), np.median(rows))
        assert told == [(7, 1)]

    def test_several_values_repaint_once(self, clicked):
        explorer, _, painted = clicked
        painted.clear()
        x, y = self.pixel_of(explorer, 1, 100, 40)
        painted.clear()
        explorer.click(x, y)
        assert painted == [(2, 6)]

    def test_the_picture_changes(self, clicked):
        explorer, _, _ = clicked
        before = explorer.png
        explorer.click(*self.pixel_of(explorer, 0, 150, 90))
        assert explorer.png != before
        assert explorer.picture.alt == "figure at row=5, column=9"

    def test_a_click_beside_the_panels_does_nothing(self, clicked):
        explorer, told, _ = clicked
        figure, _ = explorer._render(**explorer.state)
        figure.canvas.draw()
        width, height = figure.canvas.get_width_height()
        places = [(0, 0), (width - 1, height - 1), (-5, 10)]
        bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
        assert len(bars) == 2
        for bar in bars:
            x0, y0, x1, y1 = bar.bbox.extents
            places.append(((x0 + x1) / 2, height - (y0 + y1) / 2))
        for place in places:
            explorer.click(*place)
        assert told == []

    def test_upwards_and_logarithmic_axes(self):
        figure, (left, right) = plt.subplots(1, 2)
        plt.close(figure)
        left.set(xlim=(0, 10), ylim=(-5, 5))
        right.set(xlim=(1, 1000), ylim=(3, 0), xscale="log")
        figure.canvas.draw()
        height = figure.canvas.get_width_height()[1]
        for number, axes, point in [(0, left, (2.5, -4)), (1, right, (10, 1))]:
            x, y = axes.transData.transform(point)
            assert Places(figure).at(x, height - y) == pytest.approx((number, *point))

    def test_the_browser_message_is_a_click(self, clicked):
        explorer, told, _ = clicked
        x, y = self.pixel_of(explorer, 2, 20, 20)
        explorer.picture._handle_custom_msg({"x": x, "y": y}, [])
        assert told[0][:3] == pytest.approx((2, 20, 20))
        assert explorer.picture.clickable

    def test_an_unknown_control_is_named(self, clicked):
        explorer = interactive_figure(
            lambda row: mask_grid(np.zeros((3, 32, 32)), np.ones((2, 2)), 16),
            pick=lambda *_: {"line": 3},
            row=range(3),
        )
        before = explorer.png
        explorer.click(*self.pixel_of_only(explorer))
        assert "'line'" in html.unescape(explorer.message.value)
        assert "'row'" in html.unescape(explorer.message.value)
        assert explorer.png == before

    def pixel_of_only(self, explorer):
        width, height = Image.open(io.BytesIO(explorer.png)).size
        return width / 2, height / 2

    def test_an_error_in_pick_is_shown_until_the_next_click(self):
        answers = iter([KeyError("no box there"), {}])

        def pick(*_):
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        explorer = interactive_figure(
            lambda: mask_grid(np.zeros((3, 32, 32)), np.ones((2, 2)), 16), pick=pick
        )
        explorer.click(*self.pixel_of_only(explorer))
        assert "no box there" in explorer.message.value
        explorer.click(*self.pixel_of_only(explorer))
        assert explorer.message.value == ""

    def test_a_figure_without_pick_takes_no_clicks(self, explorer):
        before = explorer.state
        explorer.click(*self.pixel_of_only(explorer))
        assert explorer.state == before
        assert not explorer.picture.clickable


class TestLinks:
    @pytest.fixture
    def pair(self):
        """Two figures that share two controls; what each has painted."""
        row, column = make_control("row", range(4)), make_control("column", range(4))
        painted = {"left": [], "right": []}

        def figure(name, **more):
            def render(row, column, **_):
                painted[name].append((row, column))
                mask = np.zeros((4, 4))
                mask[row, column] = 1
                return mask_grid(np.zeros((3, 64, 64)), mask, 16)

            def pick(panel, x, y, state):
                return {"row": int(y // 16), "column": int(x // 16)}

            return interactive_figure(render, pick=pick, row=row, column=column, **more)

        return figure("left"), figure("right", grid=True), painted

    def test_a_move_of_one_repaints_both_once(self, pair):
        left, right, painted = pair
        before = left.png, right.png
        left.controls["row"].value = 3
        assert painted == {"left": [(0, 0), (3, 0)], "right": [(0, 0), (3, 0)]}
        assert left.png != before[0]
        assert right.png != before[1]

    def test_a_click_on_one_repaints_both_once(self, pair):
        left, right, painted = pair
        width, height = Image.open(io.BytesIO(left.png)).size
        left.click(width / 2 + 5, height / 2 + 15)
        assert left.state == {"row": 2, "column": 2}
        assert right.state == {"row": 2, "column": 2, "grid": True}
        assert painted == {"left": [(0, 0), (2, 2)], "right": [(0, 0), (2, 2)]}

    def test_what_is_not_shared_moves_alone(self, pair):
        _, right, painted = pair
        right.controls["grid"].value = False
        assert len(painted["left"]) == 1
        assert len(painted["right"]) == 2


def test_a_click_on_a_saved_picture_keeps_the_last_state(display):
    explorer = interactive_figure(
        lambda n: mask_grid(np.zeros((3, 32, 32)), np.arange(4).reshape(2, 2) >= n, 16),
        pick=lambda *_: {"n": 3},
        n=range(4),
    )
    explorer._ipython_display_()
    width, height = Image.open(io.BytesIO(explorer.png)).size
    explorer.click(width / 2, height / 2)
    assert base64.b64decode(display.updated[-1]["image/png"]) == explorer.png
    assert display.updated[-1]["text/plain"] == "figure at n=3"


def test_without_anywidget_the_error_says_what_to_install(monkeypatch):
    from kdviz.widgets import picture

    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setattr(picture, "_kind", picture._kind.__wrapped__)
    with pytest.raises(ImportError, match=r"anywidget: pip install 'kdviz\[notebooks\]'"):
        interactive_figure(lambda: mask_grid(np.zeros((3, 32, 32)), np.ones((2, 2)), 16))


def test_without_ipywidgets_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"pip install 'kdviz\[notebooks\]'"):
        interactive_figure(lambda: None)
