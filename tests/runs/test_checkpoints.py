"""What a run leaves of its methods beside the student: the trained adapters, whole or refused."""

import pytest
import torch
from safetensors.torch import load_file

from kdviz.detectors import build
from kdviz.methods import method_named
from kdviz.runs import embedded
from kdviz.runs.checkpoints import ADAPTERS, load_adapters, read_metadata, save_adapters
from kdviz.runs.lessons import open_adapters, open_untrained, recorded_ap
from kdviz.runs.run import run
from kdviz.runs.spec import parse_spec

STUDENT, TEACHER = "fcos-shufflenetv2x0.5-c64", "fcos-mobilenetv2-c64"


def detector(name, classes=3):
    return build(name, classes, min_size=64, max_size=64)


@pytest.fixture(scope="module")
def pair():
    return {"student": detector(STUDENT), "teacher": detector(TEACHER)}


def spec_with(tiny, *methods):
    teacher = {"name": TEACHER, "weights": "teacher.safetensors"}
    return parse_spec({**tiny, "teacher": teacher, "methods": list(methods)})


def changed(method):
    """Every number of a method made another one, as training does."""
    for index, value in enumerate(method.state_dict().values()):
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(index)))
    return method


def trained(spec, pair):
    return [changed(method_named(x.name)(*pair.values(), **x.options)) for x in spec.methods]


def test_methods_come_back_with_options_and_weights(tmp_path, tiny, pair):
    dist2 = {"name": "dist2", "options": {"strategies": ["b2n", "n2n"], "kernel_size": 3}}
    spec = spec_with(tiny, {"name": "fitnets"}, dist2)
    before = trained(spec, pair)
    assert save_adapters(tmp_path / ADAPTERS, spec, before)
    after = load_adapters(tmp_path / ADAPTERS, **pair)
    assert list(after) == ["fitnets", "dist2"]
    assert list(after["dist2"].transforms) == ["b2n", "n2n"]
    for old, new in zip(before, after.values(), strict=True):
        assert old.state_dict().keys() == new.state_dict().keys()
        for key, value in old.state_dict().items():
            assert torch.equal(value, new.state_dict()[key])
        assert not new.training
        assert not any(parameter.requires_grad for parameter in new.parameters())


def test_half_precision_halves_the_file_and_loads_as_float(tmp_path, tiny, pair):
    spec = spec_with(tiny, {"name": "fitnets"})
    methods = trained(spec, pair)
    save_adapters(tmp_path / "whole", spec, methods)
    save_adapters(tmp_path / ADAPTERS, spec, methods, torch.float16)
    assert (tmp_path / ADAPTERS).stat().st_size < 0.52 * (tmp_path / "whole").stat().st_size
    loaded = load_adapters(tmp_path / ADAPTERS, **pair)["fitnets"]
    for key, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, methods[0].state_dict()[key], rtol=1e-3, atol=1e-3)


def test_a_method_without_state_leaves_no_file(tmp_path, tiny, pair):
    spec = spec_with(tiny, {"name": "affinity"})
    assert not save_adapters(tmp_path / ADAPTERS, spec, trained(spec, pair))
    assert not (tmp_path / ADAPTERS).exists()


def test_adapters_of_other_detectors_are_refused(tmp_path, tiny, pair):
    spec = spec_with(tiny, {"name": "fitnets"})
    save_adapters(tmp_path / ADAPTERS, spec, trained(spec, pair))
    narrow = detector("fcos-shufflenetv2x0.5-c128")
    with pytest.raises(ValueError, match="was trained with other detectors"):
        load_adapters(tmp_path / ADAPTERS, student=narrow, teacher=pair["teacher"])


@pytest.fixture
def folder(tiny, workplace):
    """A short run with Dist2, taught by a detector that was trained as shortly."""
    tiny["train"] |= {"steps": 4, "warmup_steps": 1}
    alone = run(parse_spec({**tiny, "student": {"name": TEACHER}}))
    teacher = {"name": TEACHER, "weights": str(alone / "student.safetensors"), "min_ap": 0.0}
    return run(parse_spec({**tiny, "teacher": teacher, "methods": [{"name": "dist2"}]}))


def test_a_run_leaves_what_it_trained(folder):
    exported = folder / "student.safetensors"
    pair = {"student": detector(STUDENT, 9), "teacher": detector(TEACHER, 9)}
    state = open_adapters(str(exported), **pair)["dist2"].state_dict()
    kept = torch.load(folder / "last.ckpt", weights_only=True)["trainee"]
    assert len(state) == 10
    assert all(torch.equal(value, kept[f"adapters.0.{key}"]) for key, value in state.items())
    assert not set(load_file(exported)) & set(state)
    assert read_metadata(folder / ADAPTERS)["run"] == folder.name
    with pytest.raises(ValueError, match="holds no adapters"):
        load_adapters(exported, **pair)
    (folder / ADAPTERS).unlink()
    assert open_adapters(str(exported), **pair) == {}


def test_an_untrained_detector_starts_as_a_run_of_its_seed_does():
    torch.manual_seed(3)
    expected = build(STUDENT, 9).model.state_dict()
    before = torch.get_rng_state()
    state = open_untrained("student", 3).model.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, expected[key]) for key, value in state.items())
    other = open_untrained("student", 4).model.state_dict()
    assert not all(torch.equal(value, expected[key]) for key, value in other.items())


def test_recorded_ap_is_that_of_the_manifest():
    assert recorded_ap("fgfi") == pytest.approx(embedded.manifest()["fgfi"]["ap"], abs=2e-3)
