"""Curves and clouds hold the numbers they were given, the right way round."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from kdviz.plots import code_agreement, unexplained_curves
from kdviz.plots.theme import ROLE_COLOURS


class TestUnexplained:
    def draw(self):
        drawn = np.array([[1, 0.8, 0.6], [1, 0.6, 0.2]])
        return unexplained_curves(
            {
                "chosen": {"teacher": [1, 0.5, 0.3], "student": [1, 0.4, 0.1]},
                "drawn at random": {"student": drawn, "teacher": drawn / 2},
            }
        )

    def test_lines_hold_the_numbers_and_the_roles_their_colours(self):
        _, axes = self.draw()
        lines = {line.get_label(): line for line in axes.lines}
        assert lines["student: chosen"].get_ydata().tolist() == [1, 0.4, 0.1]
        assert lines["student: chosen"].get_xdata().tolist() == [0, 1, 2]
        assert lines["student: drawn at random"].get_ydata() == pytest.approx([1, 0.7, 0.4])
        assert lines["teacher: chosen"].get_color() == ROLE_COLOURS["teacher"]
        styles = {line.get_linestyle() for line in lines.values()}
        assert len(styles) == 2

    def test_band_reaches_from_the_best_draw_to_the_worst(self):
        _, axes = self.draw()
        bands = [band.get_paths()[0].vertices for band in axes.collections]
        reach = [(b[b[:, 0] == 2][:, 1].min(), b[b[:, 0] == 2][:, 1].max()) for b in bands]
        assert any(np.allclose(each, (0.2, 0.6)) for each in reach)

    def test_nothing_is_cut_or_covered(self, layout_faults):
        figure, _ = unexplained_curves(
            {"chosen, and none of them twice": {"student": [1, 0.5], "teacher": [1, 0.4]}},
            caption="Lower is better. " * 20,
        )
        assert layout_faults(figure) == []


class TestAgreement:
    def test_the_student_is_across_and_the_teacher_up(self):
        ours, theirs = np.full((3, 4), 0.2), np.full((3, 4), 0.9)
        theirs[0, 0] = ours[0, 0] = -0.1  # both axes begin here
        _, panels = code_agreement({"student": ours}, theirs)
        counts = panels[0].images[0].get_array().filled(0)
        step = 1.1 / len(counts)
        row, column = np.unravel_index(counts.argmax(), counts.shape)
        assert counts.max() == 11
        assert -0.1 + (column + 0.5) * step == pytest.approx(0.2, abs=step)
        assert -0.1 + (row + 0.5) * step == pytest.approx(0.9, abs=step)
        assert panels[0].images[0].origin == "lower"

    def test_all_panels_share_scale_and_order_of_roles(self):
        theirs = np.linspace(0, 1, 50)
        figure, panels = code_agreement({"distilled": theirs, "student": theirs * 0.5}, theirs)
        assert panels[0].get_title(loc="left").startswith("student")
        assert len({panel.images[0].norm.vmax for panel in panels}) == 1
        assert len({panel.get_xlim() + panel.get_ylim() for panel in panels}) == 1
        assert "0.250" in panels[0].get_title(loc="left")
        assert "0.000" in panels[1].get_title(loc="left")
        assert len(figure.axes) == 3  # and one bar

    def test_equal_codes_lie_on_the_diagonal(self):
        theirs = np.linspace(-0.3, 1, 200)
        _, (panel,) = code_agreement({"student": theirs}, theirs)
        counts = panel.images[0].get_array().filled(0)
        assert np.count_nonzero(counts - np.diag(np.diag(counts))) == 0

    def test_nothing_is_cut_or_covered(self, layout_faults):
        values = np.linspace(-1, 1, 30)
        roles = dict.fromkeys(("untrained", "student", "distilled"), values)
        figure, _ = code_agreement(roles, values, caption="The darker, the more. " * 9)
        assert layout_faults(figure) == []
        assert to_rgba(ROLE_COLOURS["student"]) == to_rgba(figure.axes[0]._left_title.get_color())
