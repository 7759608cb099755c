"""What every method promises, for every method there is and every family it takes.

The passes of a family are shared by all methods, as in a run with several: what is measured here is
the methods and not the detectors.
"""

from copy import deepcopy
from functools import cache

import pytest
import torch

from kdviz.detectors import Pass
from kdviz.methods import METHODS

FAMILIES = ("fcos", "retinanet", "fasterrcnn", "ssdlite")
REFUSED = {  # a head that cannot be split or has no boxes in every cell
    ("CrossKD", "fasterrcnn"),
    ("CrossKD", "ssdlite"),
    ("GID", "fasterrcnn"),
    ("GID", "ssdlite"),
}
PAIRS = [
    pytest.param(method, family, id=f"{method.__name__.lower()}-{family}")
    for method in METHODS
    for family in FAMILIES
]
TAKEN = [pair for pair in PAIRS if (pair.values[0].__name__, pair.values[1]) not in REFUSED]
taken = pytest.mark.parametrize(("kind", "family"), TAKEN)


@cache
def _passes(student, teacher, boxes, half, batch_of):
    """The student's and the teacher's pass over one batch, with every part already run."""
    batch = batch_of(student, boxes)
    torch.manual_seed(11)  # the proposals that Faster R-CNN samples
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        seen, taught = Pass(student, batch), Pass(teacher, batch)
        _ = seen.output
    return seen, taught, batch


@cache
def _method(kind, student, teacher, batch_of):
    torch.manual_seed(5)
    method = kind(student, teacher)
    if method.refresh_every:
        batch = batch_of(student)
        # A copy: putting the statistics of BatchNorm back would spoil the graphs of shared passes.
        method.refresh([(Pass(deepcopy(student), batch), Pass(teacher, batch), batch)])
    return method


@cache
def _told(kind, student, teacher, boxes, half_passes, half_method, batch_of):
    method = _method(kind, student, teacher, batch_of)
    passes = _passes(student, teacher, boxes, half_passes, batch_of)
    torch.manual_seed(23)  # cells that MGD hides
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half_method):
        return method(*passes)


@pytest.fixture
def told(kind, family, pair, batch_for):
    """Gives what the method says of two images, with or without boxes, with or without autocast."""
    student, teacher = pair(family)
    # The factory of a fixture is made anew for each test; its one version keys the caches.
    batch_of = _shared.setdefault("batch_of", batch_for)

    def told_of(boxes=2, half_passes=False, half_method=False):
        return _told(kind, student, teacher, boxes, half_passes, half_method, batch_of)

    told_of.method = _method(kind, student, teacher, batch_of)
    told_of.passes = lambda boxes=2: _passes(student, teacher, boxes, False, batch_of)
    return told_of


_shared = {}


@pytest.mark.parametrize(("kind", "family"), PAIRS)
def test_takes_every_family_or_says_which_it_takes(kind, family, pair):
    if (kind.__name__, family) in REFUSED:
        with pytest.raises(ValueError, match=rf"^{kind.__name__} .* Use FCOS or RetinaNet\."):
            kind(*pair(family))
    else:
        assert kind(*pair(family)).weights


@taken
def test_losses_are_finite_scalars_of_known_terms(kind, family, told):
    losses = told().losses
    assert losses
    for key, loss in losses.items():
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert loss >= 0
        assert key.split("/")[0] in told.method.weights


@taken
def test_no_boxes(kind, family, told):
    losses = told(boxes=0).losses
    assert list(losses) == list(told().losses)
    assert all(loss.isfinite() for loss in losses.values())
    wanted = [x for x in told.passes(0)[0].trunk.maps if x.requires_grad]
    total = torch.stack(list(losses.values())).sum()
    found = torch.autograd.grad(total, wanted, retain_graph=True, allow_unused=True)
    assert all(grad.isfinite().all() for grad in found if grad is not None)


@taken
def test_gradient_reaches_the_student_and_every_adapter(kind, family, told):
    total = torch.stack(list(told().losses.values())).sum()
    maps = told.passes()[0].trunk.maps
    adapters = list(told.method.parameters())
    found = torch.autograd.grad(total, [*maps, *adapters], retain_graph=True, allow_unused=True)
    reached, trained = found[: len(maps)], found[len(maps) :]
    assert any(grad is not None and grad.any() for grad in reached)
    assert all(grad is not None and grad.isfinite().all() for grad in trained)


@taken
def test_maps_are_detached_and_of_the_levels_sizes(kind, family, told):
    _, taught, batch = told.passes()
    sizes = {}
    for pyramid in (taught.trunk, taught.features):
        sizes |= {level.name: level.map.shape[-2:] for level in pyramid.levels}
    for maps in told().maps.values():
        for level in maps.levels:
            assert level.map.shape == (len(batch.images), 1, *sizes[level.name])
            assert not level.map.requires_grad
            assert level.map.float().isfinite().all()


@taken
def test_autocast_leaves_the_losses_in_float32(kind, family, told):
    losses = told(half_passes=True, half_method=True).losses
    assert list(losses) == list(told().losses)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


@taken
def test_autocast_says_about_the_same_of_the_same_maps(kind, family, told):
    exact, half = told().losses, told(half_method=True).losses
    for key, loss in half.items():
        assert loss.item() == pytest.approx(exact[key].item(), rel=0.05, abs=1e-3)


@taken
def test_the_teacher_stays_as_it_was(kind, family, pair, told):
    student, teacher = pair(family)
    before = {name: values.clone() for name, values in teacher.model.state_dict().items()}
    told.method(*told.passes())
    after = teacher.model.state_dict()
    assert all(torch.equal(values, after[name]) for name, values in before.items())
    assert not any(p.requires_grad for p in teacher.model.parameters())
    assert not any(module.training for module in teacher.model.modules())
    assert not {id(p) for p in told.method.parameters()} & {
        id(p) for parts in (student, teacher) for p in parts.model.parameters()
    }
