from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from kdviz.plots import reliability_diagram
from kdviz.plots.theme import PAPER, ROLE_COLOURS

NAN = np.nan
STUDENT = SimpleNamespace(
    edges=np.array([0, 0.25, 0.5, 0.75, 1]),
    boxes=np.array([1000, 50, 0, 5]),
    score=np.array([0.1, 0.3, NAN, 0.9]),
    precision=np.array([0.02, 0.5, NAN, 1.0]),
    error=0.0864,
)
NONE = SimpleNamespace(
    edges=STUDENT.edges, boxes=np.zeros(4, int), score=np.full(4, NAN),
    precision=np.full(4, NAN), error=NAN,
)  # fmt: skip


def _dots(axes):
    return [(d.get_offsets(), d.get_facecolors(), d.get_edgecolors()) for d in axes.collections]


def test_dots_stand_at_mean_score_and_share_right():
    _, (shares, _) = reliability_diagram({"student": STUDENT})
    ((places, faces, edges),) = _dots(shares)
    assert np.allclose(places, [[0.1, 0.02], [0.3, 0.5], [0.9, 1.0]])
    colour = ROLE_COLOURS["student"].lower()
    assert [to_hex(face) for face in faces] == [colour, colour, PAPER]  # five boxes say little
    assert {to_hex(edge) for edge in edges} == {colour}
    # The line of a score that can be believed.
    assert any(np.array_equal(line.get_xydata(), [[0, 0], [1, 1]]) for line in shares.lines)


def test_numbers_of_boxes_stand_in_their_bins():
    _, (_, numbers) = reliability_diagram({"student": STUDENT})
    (steps,) = numbers.patches
    values, edges, _ = steps.get_data()
    assert np.array_equal(values, [1000, 50, NAN, 5], equal_nan=True)
    assert np.array_equal(edges, STUDENT.edges)
    assert numbers.get_yscale() == "log"


def test_error_and_number_are_written_by_the_name():
    _, (shares, _) = reliability_diagram({"student": STUDENT, "teacher": NONE})
    texts = [text.get_text() for text in shares.texts]
    assert "student\nerror 0.086\n1,055 boxes" in texts
    assert "teacher\n0 boxes" in texts


@pytest.mark.parametrize("width", [6.5, 4.6])
def test_nothing_is_cut_or_covered(width, layout_faults):
    names = ["student", "teacher", "distilled", "a detector of remarkably long name"]
    figure, _ = reliability_diagram(dict.fromkeys(names, STUDENT), width=width)
    assert not layout_faults(figure)


def test_no_detector_is_refused():
    with pytest.raises(ValueError, match="at least one detector"):
        reliability_diagram({})
