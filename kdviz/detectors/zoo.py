"""Named detectors: a family, a backbone and a width make a model of torchvision's own classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelP6P7

from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.loading import load_state, read_state
from kdviz.detectors.parts import DetectorParts
from kdviz.detectors.trunks import TRUNKS, build_trunk, freeze_batch_norm

_FPN_FAMILIES = ("fcos", "retinanet")
_COCO: dict[str, Callable[..., nn.Module]] = {
    "fcos-resnet50": detection.fcos_resnet50_fpn,
    "retinanet-resnet50": detection.retinanet_resnet50_fpn,
}
_COCO_CLASSES = 91


def build(
    name: str,
    num_classes: int,
    weights: str | Path | None = None,
    *,
    min_size: int | Sequence[int] | None = None,
    max_size: int | None = None,
    **options: Any,
) -> DetectorParts:
    """A detector by name, seen in parts.

    ``"<family>-<backbone>[-c<width>]"``, for example ``"fcos-resnet18-c64"``: ``c64`` is the number
    of channels of the feature pyramid and of the head (256 if not said). `detector_names` lists
    what there is. FCOS and RetinaNet read P3 to P7. Every layer is trainable.

    BatchNorm is ordinary in a model that starts from nothing, and frozen in a backbone that starts
    from ImageNet or COCO, as in torchvision; a file brings back whichever of the two wrote it.

    Args:
        name: family, backbone and width.
        num_classes: foreground classes + 1, as torchvision counts.
        weights: ``None``; ``"imagenet"`` (backbone) or ``"coco"`` (whole detector, for the models
            that torchvision published), both of which torchvision downloads; or the path of a
            ``.safetensors`` or ``.pth`` state dict, which must fit entirely.
        min_size: length in pixels that the shorter side of an image is brought to (800); several
            lengths are drawn from in training.
        max_size: length in pixels that the longer side may not pass (1333).
        **options: passed to the torchvision class, for example ``score_thresh=0.05``.

    Returns:
        The model's parts; ``loaded_tensors`` says how many tensors came from ``weights``.

    Raises:
        ValueError: an unknown name, an impossible width, or weights of another architecture.
        FileNotFoundError: there is no file of weights.
    """
    family, backbone, width = _parse(name)
    if num_classes < 2:
        raise ValueError(
            f"num_classes counts the foreground classes + 1, so it is at least 2, not {num_classes}"
        )
    options |= {"min_size": min_size or 800, "max_size": max_size or 1333}
    if weights == "coco":
        return _coco(family, backbone, width, num_classes, options)
    state = None if weights in (None, "imagenet") else read_state(weights or "")
    imagenet = weights == "imagenet"
    trunk = build_trunk(backbone, imagenet)
    if state is not None and _is_frozen(state):
        trunk = freeze_batch_norm(trunk)
    parts = _ASSEMBLE[family](trunk, backbone, width, num_classes, options)
    model: Any = parts.model
    # Counted in the body: the classifier at the end of a backbone is loaded but not kept.
    loaded = len(model.backbone.body.state_dict()) if imagenet else 0
    parts.loaded_tensors = (loaded, len(model.state_dict()))
    if state is not None:
        parts.loaded_tensors = load_state(parts.model, state, str(weights))
    return parts


def detector_names() -> list[str]:
    """Every ``family-backbone`` that `build` knows; a ``-c<width>`` may follow."""
    return [f"{family}-{backbone}" for family in _FPN_FAMILIES for backbone in TRUNKS]


def _parse(name: str) -> tuple[str, str, int]:
    match = re.fullmatch(r"([a-z]+)-([a-z0-9.]+?)(?:-c([1-9]\d*))?", name)
    if match is None or f"{match[1]}-{match[2]}" not in detector_names():
        stem = re.sub(r"-c\d+$", "", name)
        near = get_close_matches(stem, detector_names(), n=1)
        raise ValueError(
            f"unknown detector {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f" A name is <family>-<backbone>[-c<width>] with family one of {list(_FPN_FAMILIES)},"
            f" backbone one of {list(TRUNKS)} and any width such as c64 (default c256)"
        )
    family, backbone, width = match[1], match[2], int(match[3] or 256)
    if family == "fcos" and width % 32:
        raise ValueError(
            f"{name!r}: the head of FCOS normalises in 32 groups, so its width must be a multiple "
            f"of 32; take c{max(32, width // 32 * 32)} or c{(width // 32 + 1) * 32}"
        )
    return family, backbone, width


def _coco(
    family: str, backbone: str, width: int, num_classes: int, options: dict[str, Any]
) -> DetectorParts:
    name = f"{family}-{backbone}"
    if name not in _COCO or width != 256:
        raise ValueError(
            f"torchvision published no COCO weights for {name}-c{width}, only for {list(_COCO)}; "
            "use weights='imagenet' or a file"
        )
    if num_classes != _COCO_CLASSES:
        raise ValueError(
            f"the COCO weights of torchvision have {_COCO_CLASSES} classes, not {num_classes}; "
            "use weights='imagenet' to train on other classes"
        )
    model = _COCO[name](weights="COCO_V1", trainable_backbone_layers=5, **options)
    parts = _PARTS[family](model)
    parts.loaded_tensors = (len(model.state_dict()),) * 2
    return parts


def _with_fpn(
    trunk: nn.Module, backbone: str, width: int, first: int, extra: ExtraFPNBlock | None
) -> BackboneWithFPN:
    layers = TRUNKS[backbone].layers[first - 2 :]
    channels = TRUNKS[backbone].channels[first - 2 :]
    return BackboneWithFPN(
        trunk,
        {layer: str(index) for index, layer in enumerate(layers)},
        list(channels),
        width,
        extra_blocks=extra,
    )


def _fcos(
    trunk: nn.Module, backbone: str, width: int, num_classes: int, options: dict[str, Any]
) -> DetectorParts:
    neck = _with_fpn(trunk, backbone, width, 3, LastLevelP6P7(width, width))
    return FCOSParts(detection.FCOS(neck, num_classes, **options))


def _retinanet(
    trunk: nn.Module, backbone: str, width: int, num_classes: int, options: dict[str, Any]
) -> DetectorParts:
    neck = _with_fpn(trunk, backbone, width, 3, LastLevelP6P7(width, width))
    return RetinaNetParts(detection.RetinaNet(neck, num_classes, **options))


def _is_frozen(state: dict[str, Tensor]) -> bool:
    endings = {name.rsplit(".", 1)[-1] for name in state}
    return "running_mean" in endings and "num_batches_tracked" not in endings


_ASSEMBLE: dict[str, Callable[..., DetectorParts]] = {"fcos": _fcos, "retinanet": _retinanet}
_PARTS: dict[str, Callable[[nn.Module], DetectorParts]] = {
    "fcos": FCOSParts,
    "retinanet": RetinaNetParts,
}
