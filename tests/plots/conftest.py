import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.transforms import Bbox

from kdviz.plots.labels import Labels
from kdviz.plots.theme import to_png


@pytest.fixture(autouse=True)
def no_leak():
    """No figure stays open in pyplot and no setting of matplotlib changes, whatever is drawn."""
    before = dict(mpl.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


@pytest.fixture
def image():
    """(3, 96, 160) in [0, 1], smooth, no grey level twice in a row."""
    rows, columns = np.mgrid[0:96, 0:160]
    return np.stack([rows / 96, columns / 160, (rows + columns) / 256]).astype(np.float32)


def _pixels_of(figure):
    """(h, w, 3) of the figure as drawn."""
    to_png(figure)
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def _pixel_at(figure, axes, x, y):
    """Colour of the figure at point (x, y) of the axes' data."""
    drawn = _pixels_of(figure)
    column, row = axes.transData.transform((x, y))
    return drawn[len(drawn) - 1 - int(row), int(column)]


def _texts(figure):
    yield from figure.texts
    for axes in figure.axes:
        yield from (*axes.texts, axes.title, axes._left_title, axes._right_title)
        if axes.get_legend() is not None:
            yield from axes.get_legend().get_texts()
        if axes.axison and axes.get_visible():
            for axis in (a for a in (axes.xaxis, axes.yaxis) if a.get_visible()):
                yield axis.label
                for tick in axis._update_ticks():
                    yield from (tick.label1, tick.label2)


def _text_boxes(figure):
    """(text, Bbox) of everything written in the figure, in its pixels."""
    figure.draw_without_rendering()
    shown = [t for t in _texts(figure) if t.get_visible() and t.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    for labels in figure.findobj(Labels):
        names = [label.text for label in labels.labels]
        boxes += list(zip(names, labels.extents(), strict=True))
    return boxes


def _layout_faults(figure, slack=1.0):
    """What is cut by the edge of the figure, and what is written over something else."""
    width, height = figure.canvas.get_width_height()
    boxes = _text_boxes(figure)
    faults = [
        f"cut: {text!r}"
        for text, box in boxes
        if box.x0 < -slack or box.y0 < -slack or box.x1 > width + slack or box.y1 > height + slack
    ]
    for index, (text, box) in enumerate(boxes):
        for other, second in boxes[index + 1 :]:
            shared = Bbox.intersection(box, second)
            if shared is not None and min(shared.width, shared.height) > 1.5 * slack:
                faults.append(f"{text!r} lies on {other!r}")
    return faults


@pytest.fixture
def pixels_of():
    return _pixels_of


@pytest.fixture
def pixel_at():
    return _pixel_at


@pytest.fixture
def text_boxes():
    return _text_boxes


@pytest.fixture
def layout_faults():
    return _layout_faults
