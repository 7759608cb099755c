"""What is timed when the notebooks' figures follow a control: every move paints, and anew."""

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from kdviz.plots import mask_grid
from kdviz.runs import repaints
from kdviz.runs.repaints import ROUNDS, VALUES, figures, time_moves
from kdviz.widgets import Control, interactive_figure, make_control, thumbnails
from kdviz.widgets.selectors import checkpoint_picker

V4 = nbformat.v4


class Painter:
    """A figure of every kind of control, and what was painted."""

    def __init__(self, **controls):
        self.states, self.pictures = [], []
        self.live = interactive_figure(self.render, **controls)
        self.states.clear()
        self.live.picture.observe(lambda change: self.pictures.append(change["new"]), "value")

    def render(self, **state):
        self.states.append(state)
        figure = Figure(figsize=(2, 0.4))
        figure.text(0, 0.2, " ".join(map(str, state.values())))
        return figure


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ((0.0, 1.0, 0.25, 0.5), 5),
        ((0.0, 10.0, 0.1), VALUES),
        ((2, 900, 7), VALUES),
        (["p3", "p4", "p5"], 3),
        ({"fine": 8, "coarse": 64}, 2),
        ([*"abcdefghijklmnop"], VALUES),
        (False, 2),
    ],
    ids=str,
)
def test_every_move_paints_something_else(setting, values):
    painter = Painter(setting=setting)
    (row,) = time_moves([painter.live])
    assert len(painter.states) == len(painter.pictures) == 2 * (values - 1) * ROUNDS
    assert len({str(state) for state in painter.states}) == values
    assert len(set(painter.pictures)) == values
    assert all(x != y for x, y in zip(painter.pictures, painter.pictures[1:], strict=False))
    assert (row["control"], row["figures"]) == ("setting", 1)
    assert 0 < row["median"] <= row["slowest"]


def test_pickers():
    images = [np.full((3, 8, 8), shade) for shade in (0.2, 0.5, 0.8)]
    painter = Painter(image=thumbnails(images), models=checkpoint_picker(["student", "teacher"]))
    assert {row["control"] for row in time_moves([painter.live])} == {"image", "models"}
    assert {state["image"] for state in painter.states} == {0, 1, 2}
    chosen = {state["models"] for state in painter.states}
    assert chosen == {("student",), ("teacher",), ("student", "teacher")}


def test_moves_end_where_they_began():
    painter = Painter(level=["p3", "p4"], threshold=(0.0, 1.0, 0.1, 0.3))
    time_moves([painter.live])
    assert painter.live.state == {"level": "p3", "threshold": 0.3}


def test_a_shared_control_is_moved_once_and_paints_both():
    shared = make_control("threshold", (0.0, 1.0, 0.5))
    first = Painter(threshold=shared)
    second = Painter(threshold=Control(None, shared.source), grid=True)
    rows = {row["control"]: row for row in time_moves([first.live, second.live])}
    assert (rows["threshold"]["figures"], rows["grid"]["figures"]) == (2, 1)
    assert len(first.states) == 2 * 2 * ROUNDS
    assert len(second.states) == 2 * 2 * ROUNDS + 2 * ROUNDS


def test_a_single_value_is_no_move():
    assert time_moves([Painter(level=["p3"]).live]) == []


def test_what_cannot_be_painted_has_no_time():
    def render(threshold):
        if threshold > 0.5:
            raise ValueError("nothing is kept")
        return mask_grid(np.zeros((3, 32, 32)), np.zeros((2, 2)), 16)

    with pytest.raises(RuntimeError, match=r"\{'threshold': .*nothing is kept"):
        time_moves([interactive_figure(render, threshold=(0.0, 1.0, 0.5))])


def test_live_figures_are_found():
    painter = Painter(level=["p3", "p4"])
    assert painter.live in figures()


def test_only_notebooks_with_live_figures_are_timed(tmp_path, monkeypatch):
    source = (
        "from matplotlib.figure import Figure\n"
        "from kdviz.widgets import interactive_figure\n"
        "def render(a):\n    return Figure(figsize=(1, 1 + a / 100))\n"
        "interactive_figure(render, a=(0, 3, 1))"
    )
    live = V4.new_output("display_data", {"text/plain": repaints.LIVE})
    cells = [V4.new_code_cell(source, outputs=[live])]
    nbformat.write(V4.new_notebook(cells=cells), tmp_path / "00_live.ipynb")
    still = [V4.new_code_cell("raise ValueError('never executed')")]
    nbformat.write(V4.new_notebook(cells=still), tmp_path / "01_still.ipynb")
    monkeypatch.setattr(repaints.suite, "FOLDER", tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)  # of this process
    told = repaints.repaints()
    (row,) = told["controls"]
    assert (row["notebook"], row["control"], row["figures"]) == ("00_live", "a", 1)
    assert told["environment"]["torch"]
    assert told["environment"]["threads"] == 1  # of the kernel
