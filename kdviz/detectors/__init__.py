"""Detectors seen in parts: backbone, neck and head of any family, called apart."""

from torch import nn
from torchvision.models.detection import FCOS, RetinaNet

from kdviz.detectors.dense import FCOSParts as FCOSParts
from kdviz.detectors.dense import RetinaNetParts as RetinaNetParts
from kdviz.detectors.loading import load_weights as load_weights
from kdviz.detectors.parts import DetectorParts as DetectorParts
from kdviz.detectors.parts import HasAnchors as HasAnchors
from kdviz.detectors.parts import InputFormat as InputFormat
from kdviz.detectors.parts import Pass as Pass
from kdviz.detectors.parts import freeze as freeze
from kdviz.detectors.parts import in_eval as in_eval
from kdviz.detectors.parts import logit_maps as logit_maps
from kdviz.detectors.zoo import build as build
from kdviz.detectors.zoo import detector_names as detector_names

_ADAPTERS = {FCOS: FCOSParts, RetinaNet: RetinaNetParts}


def parts_of(model: nn.Module | DetectorParts) -> DetectorParts:
    """The adapter of a torchvision detector; parts that are given come back as they are.

    Raises:
        TypeError: there is no adapter for this model; the message lists what there is.
    """
    if isinstance(model, DetectorParts):
        return model
    for kind in type(model).__mro__:
        if kind in _ADAPTERS:
            return _ADAPTERS[kind](model)
    raise TypeError(
        f"no adapter for {type(model).__name__}; supported are "
        f"{', '.join(kind.__name__ for kind in _ADAPTERS)} of torchvision. Wrap another detector "
        "with CustomParts(model, preprocess=..., features=..., head=..., losses=..., "
        "detections=..., num_classes=...)"
    )
