"""Where each method looks, and where its gradient lands on the student's pyramid.

A paper shows the map that weighs its loss; training feels the gradient. Both are brought here to
the cells of the student's pyramid, for any number of methods on one batch, beside the gradient of
the detection loss. Nothing is trained: the maps of the pyramid become leaves of the graph, and the
gradients are taken on them alone. Each level has what reaches it directly; that the neck makes one
level from another is below the cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kdviz.detectors.parts import DetectorParts, Pass, in_eval
from kdviz.diagnosis.where import Kind, attention_of
from kdviz.engine.balance import DETECTION, gradients_on, term_totals
from kdviz.methods import METHODS, Method
from kdviz.methods.boxes import boxes_of_batch, scaled_box_masks
from kdviz.structures import Batch, Pyramid


@dataclass(frozen=True)
class Ray:
    """One method on one batch.

    Attributes:
        attention: where it looks, (N, 1, H, W) >= 0 on the levels that student and teacher share;
            `attention_of` says what it is for which method.
        kind: of the attention.
        terms: gradient of each loss term times its weight in full force, on the student's pyramid,
            (N, C, H, W); 0 on levels that the term does not reach.
    """

    attention: Pyramid
    kind: Kind
    terms: dict[str, Pyramid]

    @cached_property
    def gradient(self) -> Pyramid:
        """Gradient of all terms together, (N, C, H, W) per level."""
        first, *others = self.terms.values()
        stacks = zip(first.maps, *(x.maps for x in others), strict=True)
        return first.with_maps([torch.stack(maps).sum(dim=0) for maps in stacks])


@dataclass(frozen=True)
class XRay:
    """All methods on one batch.

    Attributes:
        detection: gradient of the student's own loss on its pyramid, (N, C, H, W).
        objects: cells inside a ground-truth box, on every level, (N, 1, H, W), 0 or 1.
        rays: by name of the method.
        sizes: (height, width) of each image inside the padding, network pixels.
    """

    detection: Pyramid
    objects: Pyramid
    rays: dict[str, Ray]
    sizes: tuple[tuple[int, int], ...]


def xray(
    student: DetectorParts, teacher: DetectorParts, batch: Batch, methods: Mapping[str, Method]
) -> XRay:
    """Maps and gradients of some methods on one batch.

    Both detectors run in eval mode and neither is changed; no ``.grad`` is filled, and random
    numbers that a method draws are the same each time. The gradients of all terms are kept: each
    takes the memory of the student's pyramid, N images of it.

    Args:
        student: the detector that learns; its pyramid is where the gradients are taken.
        teacher: the frozen detector.
        batch: prepared by the student, with targets.
        methods: built for this pair, with prototypes where they need them (`fresh_methods`).

    Raises:
        ValueError: the batch has no targets.
    """
    _check_targets(batch)
    rays: dict[str, Ray] = {}
    with in_eval(student.model), in_eval(teacher.model), _seeded(0):
        seen, taught = still_pass(student, batch), Pass(teacher, batch)
        seen.features = seen.features.apply(lambda values: values.requires_grad_())
        detection = torch.stack(list(student.losses(seen.output, batch).values())).sum()
        own = _filled(gradients_on(detection, seen.features), seen.features)
        for name, method in methods.items():
            told = method(seen, taught, batch)
            totals = term_totals(told.losses, method.weights)
            terms = {
                term: _filled(
                    gradients_on(method.weights[term].value * total, seen.features), seen.features
                )
                for term, total in totals.items()
                if term != DETECTION
            }
            kind, attention = attention_of(method, told, _shared(seen.features, teacher))
            rays[name] = Ray(attention, kind, terms)
    return XRay(own, _objects(seen.features, batch), rays, batch.sizes)


def fresh_methods(
    student: DetectorParts,
    teacher: DetectorParts,
    batch: Batch,
    kinds: Iterable[type[Method]] = METHODS,
    seed: int = 0,
) -> tuple[dict[str, Method], dict[str, str]]:
    """Methods as they are at the first step: adapters drawn at random, prototypes just chosen.

    Args:
        student: the detector that learns.
        teacher: the frozen detector.
        batch: with targets; prototypes are chosen from its objects.
        kinds: which methods.
        seed: of the adapters.

    Returns:
        The methods by name, and by name why others cannot work on this pair.

    Raises:
        ValueError: the batch has no targets.
    """
    _check_targets(batch)
    built: dict[str, Method] = {}
    refused: dict[str, str] = {}
    with in_eval(student.model), in_eval(teacher.model):
        passes = [(still_pass(student, batch), Pass(teacher, batch), batch)]
        for kind in kinds:
            with _seeded(seed):
                try:
                    method = kind(student, teacher)
                    if method.refresh_every:
                        method.refresh(passes)
                except ValueError as error:
                    refused[kind.__name__] = str(error)
                else:
                    built[kind.__name__] = method
    return built, refused


@torch.no_grad()
def still_pass(parts: DetectorParts, batch: Batch) -> Pass:
    """A pass whose maps are computed already and belong to no graph."""
    seen = Pass(parts, batch)
    seen.trunk = seen.trunk.apply(Tensor.detach)
    seen.features = seen.features.apply(Tensor.detach)
    return seen


# --- gradients ------------------------------------------------------------------------------------


def energy(gradient: Pyramid) -> Pyramid:
    """Squared length of the gradient in each cell: (N, C, H, W) to float64 (N, 1, H, W)."""
    return gradient.apply(lambda values: values.double().square().sum(dim=1, keepdim=True))


def norms(gradient: Pyramid) -> dict[str, float]:
    """Length of a gradient on each level, over the whole batch."""
    return {level.name: level.map.norm().item() for level in gradient.levels}


def cosines(gradient: Pyramid, other: Pyramid) -> dict[str, Tensor]:
    """Cosine of two gradients on each level, image by image: (N,) in [-1, 1].

    Above 0 a step against one also lowers the other loss; below 0 they are in conflict. NaN where
    one of them is 0. Unrelated directions of d numbers stay within about 2 / sqrt(d) of 0.

    Args:
        gradient: (N, C, H, W) per level.
        other: on the same levels.
    """
    found = {}
    for level, against in zip(gradient.levels, other.maps, strict=True):
        # In double precision the squares of small gradients stay above 0.
        pair = [values.flatten(1).double() for values in (level.map, against)]
        unit = [values / values.norm(dim=1, keepdim=True) for values in pair]
        found[level.name] = (unit[0] * unit[1]).sum(dim=1)
    return found


def _filled(gradients: Mapping[str, Tensor], pyramid: Pyramid) -> Pyramid:
    """With zeros on the levels that a loss does not reach."""
    return pyramid.with_maps(
        [gradients.get(x.name, torch.zeros_like(x.map)).detach() for x in pyramid.levels]
    )


# --- cells ----------------------------------------------------------------------------------------


def _shared(features: Pyramid, teacher: DetectorParts) -> Pyramid:
    strides = {level.stride for level in teacher.levels}
    return Pyramid(tuple(level for level in features.levels if level.stride in strides))


def _objects(features: Pyramid, batch: Batch) -> Pyramid:
    boxes, image = boxes_of_batch(batch)
    masks = []
    for level in features.levels:
        count, _, height, width = level.map.shape
        inside = scaled_box_masks((height, width), boxes, image, count=count, stride=level.stride)
        masks.append(inside.unsqueeze(1).float())
    return features.with_maps(masks)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers of this seed inside the block, the caller's own afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _check_targets(batch: Batch) -> None:
    if batch.targets is None:
        raise ValueError("an x-ray needs the detection loss: prepare the batch with its targets")
