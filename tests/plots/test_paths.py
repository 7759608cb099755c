"""The picture of a strategy is held against the gradients of Dist2, and against its own pixels."""

import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from kdviz.detectors import Pass, build
from kdviz.methods.dist2 import PLACES, Dist2
from kdviz.plots.paths import PARTS, route, strategy_paths
from kdviz.plots.theme import ROLE_COLOURS


def by_gid(axes, gid):
    (artist,) = axes.findobj(lambda x: x.get_gid() == gid)
    return artist


def coloured(axes, role):
    """Parts of a network that are drawn in full colour."""
    colour = ROLE_COLOURS[role].lower()
    return [p for p in PARTS if to_hex(by_gid(axes, f"{role} {p}").get_facecolor()) == colour]


def centres(axes, role):
    """Where the parts in full colour stand, from left to right."""
    boxes = [by_gid(axes, f"{role} {part}") for part in coloured(axes, role)]
    return [box.get_x() + box.get_width() / 2 for box in boxes]


def modules_of(detector):
    """Parts of a network; the layers that only append P6 and P7 (B2N) are not the whole neck."""
    backbone = detector.model.backbone
    neck = torch.nn.ModuleList([backbone.fpn.inner_blocks, backbone.fpn.layer_blocks])
    return {"backbone": backbone.body, "neck": neck, "head": detector.model.head}


@pytest.fixture
def pair():
    return [build("fcos-shufflenetv2x0.5-c64", 3, min_size=64, max_size=64) for _ in range(2)]


@pytest.mark.parametrize("strategy", PLACES)
def test_parts_on_the_path_are_those_that_the_gradient_of_di_reaches(strategy, pair):
    student, teacher = pair  # not frozen, so that its gradients can be seen
    method = Dist2(student, teacher, strategies=strategy, fi=False)
    target = {"boxes": torch.tensor([[5.0, 5, 40, 40]]), "labels": torch.tensor([1])}
    batch = student.preprocess([torch.rand(3, 64, 64)], [target])
    for each in pair:
        each.model.eval()
    losses = method(Pass(student, batch), Pass(teacher, batch), batch).losses
    losses[f"dist2_di/{strategy}"].backward()
    _, (axes,) = strategy_paths({strategy: PLACES[strategy]})
    for role, detector in (("student", student), ("teacher", teacher)):
        reached = [
            part
            for part, module in modules_of(detector).items()
            if any(p.grad is not None and p.grad.any() for p in module.parameters())
        ]
        assert coloured(axes, role) == reached


def test_routes_by_hand():
    assert route("b", "b") == (("backbone",), ("neck", "head"))
    assert route("b", "n") == (("backbone",), ("head",))
    assert route("n", "n") == (("backbone", "neck"), ("head",))
    assert route("n", "b") == (("backbone", "neck"), ("neck", "head"))


def test_the_line_runs_from_source_to_target(pixels_of):
    figure, panels = strategy_paths(PLACES)
    drawn = pixels_of(figure)[::-1]
    green = [round(255 * c) for c in to_rgb(ROLE_COLOURS["distilled"])]
    for axes, (source, target) in zip(panels, PLACES.values(), strict=True):

        def is_green(x, y, axes=axes):
            column, row = axes.transData.transform((x, y)).astype(int)
            return drawn[row, column].tolist() == green

        above, below = (by_gid(axes, f"{role} path") for role in ("student", "teacher"))
        start, end = above.get_xdata()[-1], below.get_xdata()[0]
        top, bottom = above.get_ydata()[0], below.get_ydata()[0]
        assert top > bottom
        assert (start < end) == (source < target)
        assert (start == end) == (source == target)
        for share in (0.3, 0.5):
            assert is_green(start + share * (end - start), top + share * (bottom - top))
        assert is_green(12, top)
        assert is_green(91, bottom)
        assert not is_green(91, top)  # the student's own loss
        assert not is_green(12, bottom)  # the teacher's own image
        assert max(centres(axes, "student")) < start
        assert min(centres(axes, "teacher")) > end


@pytest.mark.parametrize("names", [list(PLACES), ["n2n"]])
def test_all_text_is_whole_and_apart(names, layout_faults):
    figure, axes = strategy_paths(
        {name: PLACES[name] for name in names},
        levels=dict.fromkeys(names, "c3, c4, c5 → " + ", ".join(f"p{k}" for k in range(3, 40))),
        caption="How to read it. " * 12,
    )
    assert len(axes) == len(names)
    assert not layout_faults(figure)


def test_unknown_places_are_named():
    with pytest.raises(ValueError, match=r"b \(backbone\) and n \(neck\), not \['h'\]"):
        strategy_paths({"n2h": ("n", "h")})
