"""Small detectors that the tests of the methods share: built once, teachers frozen."""

from functools import cache

import pytest
import torch

from kdviz.detectors import build, freeze

CLASSES = 4  # three and the background
NAMES = {
    "fcos": ("fcos-shufflenetv2x0.5-c64", "fcos-resnet18h-c96"),
    "retinanet": ("retinanet-shufflenetv2x0.5-c32", "retinanet-resnet18h-c64"),
    "fasterrcnn": ("fasterrcnn-shufflenetv2x0.5-c32", "fasterrcnn-resnet18h-c64"),
    "ssdlite": ("ssdlite-mobilenetv3", "ssdlite-mobilenetv3"),
}


@cache
def _built(name, seed):
    torch.manual_seed(seed)
    size = {} if name.startswith("ssd") else {"min_size": 64, "max_size": 96}
    return build(name, CLASSES, **size)


@pytest.fixture
def pair():
    """Gives (student, teacher) of a family: the student in train mode and without gradients."""

    def pair_of(family, other=None):
        student = _built(NAMES[family][0], 0)
        student.model.train()
        student.model.zero_grad()
        return student, freeze(_built(NAMES[other or family][1], 1))

    return pair_of


@cache
def _small_ssd(width):
    torch.manual_seed(0)
    return build(f"ssdlite-mobilenetv3-w{width}", num_classes=CLASSES)


@pytest.fixture
def detectors(pair):
    """The pairs of all methods; SSDlite in two small widths, which have different channels."""
    ssd = _small_ssd(0.25), freeze(_small_ssd(0.35))
    ssd[0].model.zero_grad()
    return lambda family: ssd if family == "ssdlite" else pair(family)


@pytest.fixture
def batch_for():
    """Gives a batch of two images of 64 x 96 pixels: two boxes and none, or as many as asked."""

    def batch_of(parts, boxes=2):
        generator = torch.Generator().manual_seed(7)
        images = [torch.rand(3, 64, 96, generator=generator) for _ in range(2)]
        every = torch.tensor([[8.0, 8.0, 40.0, 40.0], [50.0, 10.0, 90.0, 60.0]])
        targets = [
            {"boxes": every[:count], "labels": torch.tensor([1, 3])[:count]} for count in (boxes, 0)
        ]
        return parts.preprocess(images, targets)

    return batch_of
