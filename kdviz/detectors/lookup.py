"""Which adapter belongs to which model."""

from __future__ import annotations

from torch import nn
from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
from torchvision.models.detection.ssd import SSD

from kdviz.detectors.assembly import TorchvisionParts
from kdviz.detectors.dense import FCOSParts, RetinaNetParts
from kdviz.detectors.faster_rcnn import FasterRCNNParts
from kdviz.detectors.parts import DetectorParts
from kdviz.detectors.ssd import SSDParts

_ADAPTERS: dict[type[nn.Module], type[TorchvisionParts]] = {
    FCOS: FCOSParts,
    RetinaNet: RetinaNetParts,
    FasterRCNN: FasterRCNNParts,
    SSD: SSDParts,
}


def parts_of(model: nn.Module | DetectorParts) -> DetectorParts:
    """The adapter of a torchvision detector, or of a subclass of one.

    Args:
        model: stays as it is, mode and ``state_dict`` included. Parts come back as they are.

    Raises:
        TypeError: there is no adapter for this model; the message lists what there is.
    """
    if isinstance(model, DetectorParts):
        return model
    for kind in type(model).__mro__:
        if kind in _ADAPTERS:
            return _ADAPTERS[kind](model)
    raise TypeError(
        f"no adapter for {type(model).__name__}; torchvision's "
        f"{', '.join(kind.__name__ for kind in _ADAPTERS)} (SSDlite included) have one. Wrap "
        "another detector with CustomParts(model, preprocess=..., features=..., num_classes=..., "
        "head=..., losses=..., detections=...)"
    )
