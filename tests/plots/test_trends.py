"""Bins against loops, and panels of one scale."""

import numpy as np
import pytest

from kdviz.plots import trend_panels
from kdviz.plots.results import t_interval
from kdviz.plots.trends import binned_means


class TestBins:
    def test_few_values_have_a_bin_each(self):
        x = [2, 0, 1, 0, 2, 2]
        y = [5.0, 1, 9, 3, 6, 7]
        bins = binned_means(x, y)
        assert [(b.x, b.mean, b.count) for b in bins] == [(0, 2, 2), (1, 9, 1), (2, 6, 3)]
        assert (bins[2].low, bins[2].high) == pytest.approx(t_interval([5, 6, 7]))

    def test_many_values_are_shared_out_evenly(self):
        stream = np.random.default_rng(0)
        x = stream.permutation(100) / 10
        bins = binned_means(x, 3 * x, bins=5)
        assert [b.count for b in bins] == [20] * 5
        for k, each in enumerate(bins):
            inside = np.sort(x)[20 * k : 20 * k + 20]
            assert each.x == pytest.approx(inside.mean())
            assert each.mean == pytest.approx(3 * inside.mean())

    def test_a_value_of_most_objects_stands_alone(self):
        x = np.concatenate([np.zeros(60), np.arange(1, 41)])
        bins = binned_means(x, x, bins=5)
        assert (bins[0].x, bins[0].count) == (0, 60)
        assert sum(b.count for b in bins) == 100
        assert [b.count for b in bins[1:]] == [20, 20]

    def test_every_object_is_in_one_bin(self):
        stream = np.random.default_rng(1)
        for size in (1, 4, 17, 90):
            x = stream.integers(0, 12, size)
            bins = binned_means(x, x, bins=5)
            assert sum(b.count for b in bins) == size
            assert len(bins) <= 5
            assert sum(b.mean * b.count for b in bins) == pytest.approx(x.sum())


class TestPanels:
    def draw(self, **options):
        x = {"blur": np.linspace(0, 2, 50), "size": np.linspace(40, 10, 50)}
        y = {"blur": np.linspace(0, 1, 50), "size": np.full(50, 3.0)}
        return trend_panels(x, y, unit="reliability", **options)

    def test_objects_and_means_are_where_they_belong(self):
        _, (blur, size) = self.draw()
        dots = blur.lines[0].get_xydata()
        assert dots[-1].tolist() == [2, 1]
        means = blur.lines[1].get_xydata()
        assert means[:, 1] == pytest.approx(means[:, 0] / 2)
        assert size.lines[1].get_ydata() == pytest.approx([3] * 5)
        assert (blur.get_xlabel(), size.get_xlabel()) == ("blur", "size")

    def test_one_scale_for_all(self):
        _, panels = self.draw()
        assert panels[0].get_ylim() == panels[1].get_ylim()
        assert panels[0].get_ylim()[0] < 0
        assert panels[0].get_ylim()[1] > 3

    def test_one_y_may_serve_all(self):
        _, panels = trend_panels({"a": [1, 2], "b": [2, 1]}, [0.1, 0.9], unit="y", baseline=0.5)
        assert [panel.lines[0].get_ydata().tolist() for panel in panels] == [[0.1, 0.9]] * 2
        assert all(any(set(line.get_ydata()) == {0.5} for line in p.lines) for p in panels)

    def test_nothing_is_cut_or_covered(self, layout_faults):
        names = [f"factor with a name {k}" for k in range(7)]
        figure, panels = trend_panels(
            {name: np.arange(30.0) * 10**k for k, name in enumerate(names)},
            np.linspace(-1, 1, 30),
            unit="reliability",
            titles=dict.fromkeys(names, "rank correlation -0.14 with a very long explanation"),
            caption="Every faint dot is an object. " * 9,
        )
        assert len(panels) == 7
        assert layout_faults(figure) == []

    def test_nothing_to_draw(self):
        with pytest.raises(ValueError, match="at least one number"):
            trend_panels({}, [], unit="y")
