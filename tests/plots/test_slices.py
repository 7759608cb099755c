import math
from types import SimpleNamespace

import pytest
from matplotlib.colors import to_hex

from kdviz.plots import slice_panels
from kdviz.plots.slices import SURE
from kdviz.plots.theme import ROLE_COLOURS

LONG = "a factor with a remarkably long name that nobody reads to its end"


class Sampled:
    def __init__(self, value, low, high):
        self.value, self.ends = value, (low, high)

    def interval(self):
        return self.ends


def _part(low, high, objects, **recall):
    return SimpleNamespace(
        slice=SimpleNamespace(low=low, high=high), objects=[0] * objects, recall=recall
    )


def _finding(factor="blur", contrast=(0.1, 0.05, 0.15)):
    weak = _part(-math.inf, 0.0, 1200, distilled=Sampled(0.5, 0.4, 0.6),
                 student=Sampled(0.3, 0.2, 0.4), teacher=Sampled(0.6, 0.5, 0.7))  # fmt: skip
    middle = _part(0.0, 2.5, 80, student=Sampled(0.25, 0.1, 0.35),
                   teacher=Sampled(0.55, 0.4, 0.8), distilled=Sampled(0.2, 0.1, 0.3))  # fmt: skip
    strong = _part(2.5, math.inf, 30, student=Sampled(0.1, 0.0, 0.2),
                   teacher=Sampled(0.5, 0.3, 0.7), distilled=Sampled(0.2, 0.1, 0.3))  # fmt: skip
    return SimpleNamespace(
        factor=factor,
        slices=(weak, middle, strong),
        contrast=None if contrast is None else Sampled(*contrast),
    )


def _dots(axes):
    return {
        to_hex(line.get_color()): line.get_xydata()
        for line in axes.lines
        if line.get_marker() == "o"
    }


def test_recall_stands_in_its_slice_from_weak_to_strong():
    _, (axes,) = slice_panels([_finding()])
    dots = _dots(axes)
    teacher = dots[ROLE_COLOURS["teacher"].lower()]
    assert [round(x) for x in teacher[:, 0]] == [0, 1, 2]
    assert list(teacher[:, 1]) == [0.6, 0.55, 0.5]
    student = dots[ROLE_COLOURS["student"].lower()]
    assert (student[:, 0] < teacher[:, 0]).all()
    spans = [line.get_xydata() for line in axes.lines if line.get_marker() == "None"]
    assert [0.5, 0.7] in [sorted(span[:, 1]) for span in spans if span[0, 0] == teacher[0, 0]]


def test_bounds_and_objects_are_written_below():
    _, (axes,) = slice_panels([_finding()])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        "0\n1,200", "≤ 2.5\n80", "> 2.5\n30"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("contrast", "title"),
    [
        ((0.1, 0.05, 0.15), f"{SURE} blur\ngap +0.10 [+0.05, +0.15]"),
        ((-0.1, -0.2, -0.05), f"{SURE} blur\ngap -0.10 [-0.20, -0.05]"),
        ((0.1, -0.05, 0.15), "blur\ngap +0.10 [-0.05, +0.15]"),
        (None, "blur"),
    ],
)
def test_only_sure_factors_are_marked(contrast, title):
    _, (axes,) = slice_panels([_finding(contrast=contrast)])
    assert axes.get_title(loc="left") == title


def test_all_charts_share_their_scale():
    low = _finding("size")
    low.slices = low.slices[:1]
    _, panels = slice_panels([low, _finding()])
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert 0.8 < panels[0].get_ylim()[1] < 0.9  # the highest end of an interval is .8


def test_a_slice_without_a_number_has_no_dot():
    finding = _finding()
    finding.slices[1].recall["student"] = Sampled(math.nan, math.nan, math.nan)
    del finding.slices[1].recall["teacher"]
    _, (axes,) = slice_panels([finding])
    assert {len(points) for points in _dots(axes).values()} == {2, 3}


@pytest.mark.parametrize(("count", "width"), [(1, 10.0), (3, 10.0), (8, 10.0), (2, 5.0)])
def test_nothing_is_cut_or_covered(count, width, layout_faults):
    findings = [_finding(LONG if i == 1 else f"factor {i}") for i in range(count)]
    columns = 4 if width > 5 else 2
    figure, panels = slice_panels(findings, columns=columns, width=width)
    assert len(panels) == count
    assert not layout_faults(figure)


def test_no_factor_is_refused():
    with pytest.raises(ValueError, match="at least one factor"):
        slice_panels([])
