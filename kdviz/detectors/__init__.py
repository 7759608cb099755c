"""Detectors seen in parts: backbone, neck and head of any family, called apart."""

from kdviz.detectors.custom import CustomParts as CustomParts
from kdviz.detectors.dense import FCOSParts as FCOSParts
from kdviz.detectors.dense import RetinaNetParts as RetinaNetParts
from kdviz.detectors.faster_rcnn import FasterRCNNParts as FasterRCNNParts
from kdviz.detectors.loading import load_weights as load_weights
from kdviz.detectors.lookup import parts_of as parts_of
from kdviz.detectors.parts import DetectorParts as DetectorParts
from kdviz.detectors.parts import HasAnchors as HasAnchors
from kdviz.detectors.parts import InputFormat as InputFormat
from kdviz.detectors.parts import Pass as Pass
from kdviz.detectors.parts import freeze as freeze
from kdviz.detectors.parts import in_eval as in_eval
from kdviz.detectors.parts import logit_maps as logit_maps
from kdviz.detectors.ssd import SSDParts as SSDParts
from kdviz.detectors.zoo import build as build
from kdviz.detectors.zoo import detector_names as detector_names
