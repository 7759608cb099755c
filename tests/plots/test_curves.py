import numpy as np
import pytest

from kdviz.plots import ap_curve, loss_curves


def history():
    records = []
    for step in range(0, 200, 10):
        terms = {"classification": 1.0 + step / 100, "bbox_regression": 0.5}
        if step >= 50:
            terms |= {"fgfi/p3": 0.02, "fgfi/p4": 0.01, "gkd": 3.0}
        weighted = {key: 2 * value for key, value in terms.items()}
        records.append({"step": step, "terms": terms, "weighted": weighted, "lr": 0.1})
    return records


def lines(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}


def test_each_kind_of_loss_has_its_panel():
    _, panels = loss_curves(history())
    assert [set(lines(axes)) for axes in panels] == [
        {"classification", "bbox_regression"},
        {"fgfi/p3", "fgfi/p4", "gkd"},
    ]
    assert panels[0].get_xlim() == panels[1].get_xlim()
    assert [axes.get_yscale() for axes in panels] == ["linear", "log"]


def test_a_term_that_starts_late_is_drawn_from_there():
    _, panels = loss_curves(history())
    assert lines(panels[1])["gkd"].get_xdata()[0] == 50


def test_weighted_values_are_those_of_the_optimiser():
    _, panels = loss_curves(history(), values="weighted", smoothing=0)
    assert lines(panels[0])["bbox_regression"].get_ydata()[0] == 1.0
    assert panels[0].get_title(loc="left") == "detection losses, weighted"


def test_the_running_mean_by_hand_and_the_raw_values_behind_it():
    _, (axes,) = loss_curves(
        [{"step": s, "terms": {"gkd": v}} for s, v in enumerate([4.0, float("nan"), 1.0])],
        smoothing=0.5,
    )
    assert lines(axes)["gkd"].get_ydata() == pytest.approx([4, 4, (0.5 * 4 + 1) / 1.5])
    raw = [line for line in axes.lines if line.get_label()[0] == "_"]
    assert np.array_equal(raw[0].get_ydata(), [4, np.nan, 1], equal_nan=True)


def test_a_term_of_nan_alone_breaks_nothing(layout_faults):
    figure, _ = loss_curves([{"step": s, "terms": {"gkd": float("nan")}} for s in range(3)])
    assert not layout_faults(figure)


def test_levels_share_a_hue_and_grow_paler():
    _, panels = loss_curves(history())
    fine, coarse = (lines(panels[1])[f"fgfi/{level}"].get_color() for level in ("p3", "p4"))
    assert fine != coarse
    assert int(coarse[1:3], 16) > int(fine[1:3], 16)


def test_an_empty_history_says_so():
    with pytest.raises(ValueError, match="none of the 0 records"):
        loss_curves([])
    with pytest.raises(ValueError, match="smoothing"):
        loss_curves(history(), smoothing=1.0)


def test_seeds_are_averaged_where_all_have_a_value():
    runs = [[(0, 0.0), (10, 0.2), (20, 0.3)], [(0, 0.1), (10, 0.4)]]
    _, axes = ap_curve({"student": runs, "teacher": [[]]})
    assert lines(axes)["student"].get_xydata().tolist() == pytest.approx(
        np.array([[0, 0.05], [10, 0.3]])
    )
    assert len(axes.collections) == 1
    assert "teacher" not in lines(axes)
