"""Named detectors: a family, a backbone and a width make a model of torchvision's own classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.models import detection

from kdviz.detectors.families import faster_rcnn, fcos, retinanet, ssd, ssdlite
from kdviz.detectors.loading import load_state, read_state
from kdviz.detectors.lookup import parts_of
from kdviz.detectors.parts import DetectorParts
from kdviz.detectors.trunks import TRUNKS, build_trunk, freeze_batch_norm

_PYRAMIDS: dict[str, Callable[..., nn.Module]] = {
    "fcos": fcos,
    "retinanet": retinanet,
    "fasterrcnn": faster_rcnn,
}
_OWN_BACKBONE = {"ssd": "vgg16", "ssdlite": "mobilenetv3"}
_COCO: dict[str, Callable[..., nn.Module]] = {
    "fcos-resnet50": detection.fcos_resnet50_fpn,
    "retinanet-resnet50": detection.retinanet_resnet50_fpn,
    "fasterrcnn-resnet50": detection.fasterrcnn_resnet50_fpn,
    "ssd-vgg16": detection.ssd300_vgg16,
    "ssdlite-mobilenetv3": detection.ssdlite320_mobilenet_v3_large,
}
_COCO_CLASSES = 91

# Tensors that ImageNet's network gives to each family's model.
_FROM_IMAGENET = dict.fromkeys(_PYRAMIDS, r"backbone\.body\.") | {
    "ssd": r"backbone\.(features\.|extra\.0\.\d+\.(weight|bias))",
    "ssdlite": r"backbone\.features\.",
}


@dataclass(frozen=True)
class _Name:
    family: str
    backbone: str
    width: int = 256
    multiplier: float = 1.0
    prior: int | None = None

    @property
    def stem(self) -> str:
        return f"{self.family}-{self.backbone}"


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

    ``"<family>-<backbone>[-c<width>][-p<prior>]"``, for example ``"fcos-resnet18-c64"``: ``c64`` is
    the number of channels of the feature pyramid and of the head (256 if not said), ``p2`` the side
    of the smallest prior boxes of a level in strides, for images whose objects are smaller than
    COCO's (4 for RetinaNet, 8 for Faster R-CNN if not said). FCOS and RetinaNet read P3
    to P7, Faster R-CNN P2 to P6. ``"ssd-vgg16"`` and ``"ssdlite-mobilenetv3[-w<multiplier>]"`` are
    torchvision's own, at 300 and 320 pixels. `detector_names` lists what there is.

    Every layer is trainable. BatchNorm is ordinary in a model that starts from nothing, and frozen
    in a backbone that starts from ImageNet or COCO, as in torchvision (SSDlite keeps it ordinary);
    a file brings back whichever of the two wrote it.

    Args:
        name: family, backbone and width.
        num_classes: foreground classes + 1, as torchvision counts.
        weights: ``None``; ``"imagenet"`` (backbone) or ``"coco"`` (whole detector, for the models
            that torchvision published), both of which torchvision downloads, while EfficientNet-
            Lite's come in packages; or the path of a ``.safetensors`` or ``.pth`` state dict, which
            must fit entirely.
        min_size: length in pixels that the shorter side of an image is brought to (800); several
            lengths are drawn from in training.
        max_size: length in pixels that the longer side may not pass (1333).
        **options: passed to the torchvision class, for example ``score_thresh=0.05``.

    Returns:
        The model's parts; ``loaded_tensors`` says how many tensors came from ``weights``.

    Raises:
        ValueError: an unknown name, an impossible width or size, or weights that do not fit.
        FileNotFoundError: there is no file of weights, or their package is not installed.
    """
    named = _parse(name)
    if num_classes < 2:
        raise ValueError(
            f"num_classes counts the foreground classes + 1, so it is at least 2, not {num_classes}"
        )
    options |= _sizes(named, min_size, max_size)
    if weights == "coco":
        parts = parts_of(_with_coco(named, num_classes, options))
        parts.loaded_tensors = (len(parts.model.state_dict()),) * 2
        return parts
    state = None if weights in (None, "imagenet") else _read(weights or "")
    model = _model(named, num_classes, weights == "imagenet", state, options)
    parts = parts_of(model)
    if state is not None:
        parts.loaded_tensors = load_state(model, state, str(weights))
    else:
        pattern = _FROM_IMAGENET[named.family]
        names = list(model.state_dict())
        fresh = weights is None
        loaded = 0 if fresh else sum(re.match(pattern, each) is not None for each in names)
        parts.loaded_tensors = (loaded, len(names))
    return parts


def detector_names() -> list[str]:
    """Every ``family-backbone`` that `build` knows, without the widths that may follow."""
    return [f"{family}-{backbone}" for family in _PYRAMIDS for backbone in TRUNKS] + [
        f"{family}-{backbone}" for family, backbone in _OWN_BACKBONE.items()
    ]


def _parse(name: str) -> _Name:
    pattern = r"([a-z]+)-([a-z0-9.]+?)(?:-c([1-9]\d*)|-w(\d*\.?\d+))?(?:-p([1-9]\d*))?"
    match = re.fullmatch(pattern, name)
    if match is None or f"{match[1]}-{match[2]}" not in detector_names():
        raise ValueError(_unknown(name))
    family, backbone, width, multiplier, prior = match.groups()
    if prior is not None and family not in ("retinanet", "fasterrcnn"):
        raise ValueError(f"{name!r}: {family} has no prior boxes on a pyramid that -p could size")
    if width is not None and family not in _PYRAMIDS:
        raise ValueError(f"{name!r}: {family} has no feature pyramid whose width could be set")
    if multiplier is not None and (family != "ssdlite" or float(multiplier) <= 0):
        raise ValueError(f"{name!r}: only ssdlite-mobilenetv3 takes -w<multiplier>, above 0")
    if family == "fcos" and width is not None and (int(width) % 32 or int(width) < 64):
        below, above = max(64, int(width) // 32 * 32), max(64, (int(width) // 32 + 1) * 32)
        raise ValueError(
            f"{name!r}: the head of FCOS normalises in 32 groups, so its width must be a multiple "
            "of 32, and at least 64: one channel a group is nothing on a level of a single cell; "
            "take " + " or ".join(f"c{each}" for each in sorted({below, above}))
        )
    sides = None if prior is None else int(prior)
    return _Name(family, backbone, int(width or 256), float(multiplier or 1), sides)


def _unknown(name: str) -> str:
    family = name.split("-")[0]
    if family in _OWN_BACKBONE:
        own = _OWN_BACKBONE[family]
        return f"unknown detector {name!r}: {family} comes on {own} only; use '{family}-{own}'"
    stem = re.sub(r"(-[cwp][\d.]*)+$", "", name.lower())
    near = get_close_matches(stem, detector_names(), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return (
        f"unknown detector {name!r}; {hint}a name is <family>-<backbone>[-c<width>] with a family "
        f"of {list(_PYRAMIDS)}, a backbone of {list(TRUNKS)} and any width such as c64 (c256 if "
        "left out), -p<prior> at its end sizes prior boxes, or 'ssd-vgg16', or "
        "'ssdlite-mobilenetv3[-w<multiplier>]'"
    )


def _sizes(
    named: _Name, min_size: int | Sequence[int] | None, max_size: int | None
) -> dict[str, Any]:
    if named.family in _PYRAMIDS:
        return {"min_size": min_size or 800, "max_size": max_size or 1333}
    if min_size is not None or max_size is not None:
        raise ValueError(
            f"{named.stem} stretches every image to one fixed size; leave out min_size and max_size"
        )
    return {}


def _read(path: str | Path) -> dict[str, Tensor]:
    if isinstance(path, str) and not Path(path).suffix:
        raise ValueError(
            f"weights={path!r} is none of None, 'imagenet', 'coco' or the path of a .safetensors "
            "or .pth file"
        )
    return read_state(path)


def _model(
    named: _Name,
    num_classes: int,
    imagenet: bool,
    state: dict[str, Tensor] | None,
    options: dict[str, Any],
) -> nn.Module:
    if named.family == "ssd":
        return ssd(imagenet, num_classes, **options)
    if named.family == "ssdlite":
        if imagenet and named.multiplier != 1:
            raise ValueError("ImageNet weights exist for ssdlite-mobilenetv3 only, without -w")
        return ssdlite(
            imagenet,
            num_classes,
            multiplier=named.multiplier,
            full_tail=imagenet or _has_full_tail(state, named.multiplier),
            **options,
        )
    body = build_trunk(named.backbone, imagenet)
    if state is not None and _is_frozen(state):
        body = freeze_batch_norm(body)
    assemble, trunk = _PYRAMIDS[named.family], TRUNKS[named.backbone]
    if named.prior is not None:
        options = {"prior": named.prior, **options}
    options = {**trunk.options, **options}
    return assemble(body, trunk, named.width, num_classes, **options)


def _with_coco(named: _Name, num_classes: int, options: dict[str, Any]) -> nn.Module:
    if named.stem not in _COCO or named != _Name(named.family, named.backbone):
        raise ValueError(
            f"torchvision published no COCO weights for {named.stem} of this width, only for "
            f"{list(_COCO)} of their own width; use weights='imagenet' or a file"
        )
    if num_classes != _COCO_CLASSES:
        raise ValueError(
            f"the COCO weights of torchvision have {_COCO_CLASSES} classes, not {num_classes}; "
            "use weights='imagenet' to train on other classes"
        )
    all_layers = 6 if named.family == "ssdlite" else 5
    return _COCO[named.stem](weights="COCO_V1", trainable_backbone_layers=all_layers, **options)


def _is_frozen(state: dict[str, Tensor]) -> bool:
    # FrozenBatchNorm2d has statistics like BatchNorm2d, but does not count its batches.
    endings = {name.rsplit(".", 1)[-1] for name in state}
    return "running_mean" in endings and "num_batches_tracked" not in endings


def _has_full_tail(state: dict[str, Tensor] | None, multiplier: float) -> bool:
    # The last layer of the backbone has 960 channels in the full tail, 480 in the reduced one.
    last = None if state is None else state.get("backbone.features.1.3.0.weight")
    return last is not None and len(last) > 720 * multiplier
