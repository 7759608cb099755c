"""Lines of methods over those of the baseline: means and bands against hand-made seeds."""

import numpy as np
import pytest

from kdviz.plots.learning import BASELINE, METHOD, learning_charts


def line(steps, values):
    return dict(zip(steps, values, strict=True))


def drawn(axes):
    """(x, y) of each line, and (lowest, highest) of each band at each of its x."""
    lines = {each.get_color(): each.get_xydata() for each in axes.lines}
    bands = []
    for band in axes.collections:
        points = band.get_paths()[0].vertices
        bands.append({x: (points[points[:, 0] == x, 1].min(), points[points[:, 0] == x, 1].max())
                      for x in np.unique(points[:, 0])})  # fmt: skip
    return lines, bands


def test_mean_and_band_over_the_seeds():
    seeds = [line([0, 10, 20], [4.0, 2.0, 1.0]), line([0, 10, 20], [6.0, 4.0, 1.5])]
    alone = [line([0, 10, 20], [5.0, 5.0, 5.0])]
    _, (axes,) = learning_charts({"fgfi": seeds}, unit="loss", baseline=alone, smoothing=0)
    lines, (behind, band) = drawn(axes)
    assert lines[METHOD] == pytest.approx(np.array([[0, 5], [10, 3], [20, 1.25]]))
    assert lines[BASELINE][:, 1] == pytest.approx([5, 5, 5])
    assert band == {0: (4, 6), 10: (2, 4), 20: (1, 1.5)}
    assert behind == {0: (5, 5), 10: (5, 5), 20: (5, 5)}


def test_a_line_ends_where_its_first_seed_ends():
    seeds = [line([0, 10, 20], [3.0, 2.0, 1.0]), line([0, 10], [1.0, 2.0]), {}]
    _, (axes,) = learning_charts({"frs": seeds}, unit="loss", smoothing=0)
    assert drawn(axes)[0][METHOD].tolist() == [[0, 2], [10, 2]]


def test_the_charts_share_their_axes():
    runs = {
        "a": [line([0, 100], [1.0, 2.0])],
        "nothing yet": [{}],
        "b": [line([0, 200], [1.0, 2.5])],
    }
    _, panels = learning_charts(runs, unit="loss")
    assert [axes.get_title(loc="left") for axes in panels] == ["a", "b"]
    assert (
        len({axes.get_ylim() for axes in panels}) == len({axes.get_xlim() for axes in panels}) == 1
    )
    assert panels[0].get_xlim()[1] > 200


@pytest.mark.parametrize(
    ("values", "linear", "scale"),
    [([9.0, 1.0], False, "log"), ([9.0, 1.0], True, "linear"), ([2.0, 1.0], False, "linear"),
     ([9.0, 0.0], False, "linear")],
)  # fmt: skip
def test_far_apart_losses_get_a_logarithmic_axis(values, linear, scale):
    runs = {"a": [line([0, 1], values)]}
    _, (axes,) = learning_charts(runs, unit="loss", smoothing=0, skip=0, linear=linear)
    assert axes.get_yscale() == scale


def test_the_first_steps_do_not_set_the_height():
    runs = {"a": [line(range(100), [50.0] * 5 + [1.0] * 95)]}
    _, (axes,) = learning_charts(runs, unit="loss", smoothing=0, skip=0.1)
    assert axes.get_ylim()[1] < 2


def test_nothing_to_draw_and_no_such_smoothing():
    with pytest.raises(ValueError, match="at least one method"):
        learning_charts({"a": [{}]}, unit="loss", baseline=[line([0], [1.0])])
    with pytest.raises(ValueError, match="smoothing"):
        learning_charts({"a": [line([0], [1.0])]}, unit="loss", smoothing=1)
