import pytest

from kdviz.plots.strip_layout import lay_out, view_around

SIZE = (80, 120)


def test_a_view_is_a_square_around_the_middle_of_the_object():
    assert view_around([50, 30, 70, 40], size=SIZE) == (42, 17, 78, 53)  # 1.8 times 20 wide


def test_a_view_grows_for_a_box_beside_and_not_for_one_far_away():
    own = [50, 30, 60, 40]
    assert view_around(own, size=SIZE) == (39, 19, 71, 51)  # 32 pixels at least
    wider = view_around([40, 30, 60, 50], [[40, 20, 80, 60]], size=SIZE)
    assert wider == (38, 18, 82, 62)
    assert view_around(own, [[0, 0, 110, 80]], size=SIZE) == (39, 19, 71, 51)


@pytest.mark.parametrize(
    ("box", "view"),
    [
        ([0, 0, 10, 10], (0, 0, 32, 32)),
        ([112, 70, 120, 80], (88, 48, 120, 80)),
        ([0, 70, 10, 80], (0, 48, 32, 80)),
        ([0, 10, 120, 60], (0, -20, 120, 100)),  # too wide for the height: beyond on both sides
        ([60, 40, 60, 40], (44, 24, 76, 56)),  # without any area
    ],
)
def test_a_view_stays_inside_the_image_where_it_can(box, view):
    assert view_around(box, size=SIZE) == view


def test_strips_stand_in_rows_below_each_other():
    layout = lay_out([[1, 2], [0, 0], [0, 0]], columns=2)
    first, second, third = layout.corners
    assert first[0, 0] == third[0, 0] == 0
    assert first[1, 0] == layout.side + 6
    assert second[0, 0] > first[1, 0] + layout.side
    assert (first[:, 1] == second[:, 1]).all()
    assert third[0, 1] > first[0, 1] + layout.side
    assert layout.size[0] >= third[0, 1] + layout.side
    deeper = lay_out([[0, 0], [0, 0], [0, 0]], columns=2)
    assert deeper.corners[2, 0, 1] < third[0, 1]  # notes need room


def test_a_place_in_a_panel_follows_its_view():
    layout = lay_out([[0]])
    x, y = layout.corners[0, 0]
    unit = layout.side / 40
    place = layout.place(0, 0, [10, 20, 50, 60], [10, 30, 20, 60])
    assert place == pytest.approx([x, y + 10 * unit, x + 10 * unit, y + 40 * unit])
