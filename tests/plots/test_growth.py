import pytest

from kdviz.plots import growth_charts

COSTS = {
    "image size": {"student": {64: 10.0, 128: 40.0}, "FGFI": {64: 20.0, 128: 90.0}},
    "prototypes": {"GKD": {1: 5.0, 40: 60.0}},
}


def test_lines_are_the_costs_on_one_scale():
    _, panels = growth_charts(COSTS, unit="milliseconds")
    assert [axes.get_title(loc="left") for axes in panels] == [
        "milliseconds by image size",
        "milliseconds by prototypes",
    ]
    drawn = {
        line.get_label(): [*zip(*line.get_data(), strict=True)]
        for axes in panels
        for line in axes.lines
        if line.get_marker() == "o"
    }
    expected = {name: [*line.items()] for lines in COSTS.values() for name, line in lines.items()}
    assert drawn == expected
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert [x.get_text() for x in panels[1].get_xticklabels()] == ["1", "40"]


def test_the_dotted_line_doubles_with_every_doubling():
    _, panels = growth_charts(COSTS, unit="ms")
    for axes in panels:
        (line,) = [line for line in axes.lines if line.get_marker() != "o"]
        (x0, x1), (y0, y1) = line.get_data()
        assert y1 / y0 == pytest.approx(x1 / x0)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_nothing_is_cut_or_covered(scale, layout_faults):
    three = {x: {64: 12.0, 128: 30.0, 192: 70.0, 256: 130.0} for x in ("student", "FGFI", "FRS")}
    costs = {"image size": three, "boxes": {"FGFI": {1: 9.0, 4: 9.5, 16: 10.0, 64: 14.0}},
             "prototypes": {"GKD": {1: 3.0, 5: 6.0, 10: 8.0, 20: 15.0, 40: 30.0}}}  # fmt: skip
    scaled = {
        axis: {name: {x: scale * y for x, y in line.items()} for name, line in lines.items()}
        for axis, lines in costs.items()
    }
    figure, _ = growth_charts(scaled, unit="milliseconds")
    assert not layout_faults(figure)


@pytest.mark.parametrize("costs", [{}, {"x": {}}, {"x": {"a": {1: 0.0}}}])
def test_numbers_that_no_logarithm_has_are_refused(costs):
    with pytest.raises(ValueError, match="lies above 0"):
        growth_charts(costs, unit="ms")
