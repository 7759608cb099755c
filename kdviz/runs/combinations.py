"""Which method works with which detector: each pair takes two steps on scenes.

The table in the README comes from here, and a test compares the two.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import torch

from kdviz.detectors import DetectorParts, build, freeze
from kdviz.engine.trainee import Trainee
from kdviz.methods import Method
from kdviz.runs.lessons import scene_batch

FAMILIES = {
    "FCOS": "fcos-{}-c64",
    "RetinaNet": "retinanet-{}-c32",
    "Faster R-CNN": "fasterrcnn-{}-c32",
    "SSDlite": "ssdlite-mobilenetv3-w{}",
}
BACKBONES = {"SSDlite": ("0.35", "0.5")}
"""Of student and teacher; both differ, so that every adapter has something to do."""
SIZE = 96


def works(kind: type[Method], family: str) -> str | None:
    """Let one pair take two steps with one method.

    Returns:
        None if it works, else why the method refuses the pair at construction.

    Raises:
        FloatingPointError: it was accepted but a loss or gradient is not finite.
    """
    student, teacher = deepcopy(_detector(family, 0)), freeze(_detector(family, 1))
    torch.manual_seed(0)
    try:
        method = kind(student, teacher)
    except (TypeError, ValueError) as refusal:
        return str(refusal)
    trainee = Trainee(student, teacher, [method]).train()
    optimizer = torch.optim.SGD(trainee.parameters(), lr=1e-4)
    images, targets = scene_batch(2, SIZE)
    trainee.refresh(0, [(images, targets)])
    for _ in range(2):
        losses = trainee(images, targets)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        finite = [loss.isfinite() for loss in losses.values()]
        finite += [p.grad.isfinite().all() for p in trainee.parameters() if p.grad is not None]
        if not torch.stack(finite).all():
            raise FloatingPointError(f"{kind.__name__} on {family} is not finite")
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 10.0)
        optimizer.step()
    return None


@cache
def _detector(family: str, role: int) -> DetectorParts:
    torch.manual_seed(role)
    backbone = BACKBONES.get(family, ("shufflenetv2x0.5", "resnet18h"))[role]
    name = FAMILIES[family].format(backbone)
    if family == "SSDlite":
        return build(name, 9)  # has a size of its own
    return build(name, 9, min_size=SIZE, max_size=SIZE)


def marks(kind: type[Method]) -> list[str]:
    """``yes`` or ``no`` for each family, in order."""
    return ["yes" if works(kind, family) is None else "no" for family in FAMILIES]
