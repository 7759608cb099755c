"""How large is each distillation term beside the detection loss, where both meet the student?

The size of a loss says little about how hard it pulls. What counts is its gradient on the maps that
detection and distillation share: the student's neck, level by level. A term whose gradient there is
a hundredth of the detector's own changes nothing; one a hundred times as large drowns it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from kdviz.detectors.parts import Pass
from kdviz.engine.trainee import Images, Targets, Trainee, term_of
from kdviz.methods.base import TermWeight
from kdviz.structures import Pyramid

DETECTION = "detection"


@dataclass(frozen=True)
class TermBalance:
    """One term beside the detection loss, means over batches.

    Attributes:
        term: ``detection`` for the detector's own loss, all its parts together.
        value: unweighted loss.
        gradient: L2 norm of its gradient on each level of the student's neck (``p3``), or of the
            trunk (``c3``) for a term that passes the neck by.
        ratio: its gradient over the detection loss's, all these levels together, unweighted.
        cosine: between the two gradients, in [-1, 1]; below 0 they pull apart.
        weight: in full force, as the method or the spec has it.
        proposed: weight at which its gradient is ``share`` of the detection loss's.
    """

    term: str
    value: float
    gradient: dict[str, float]
    ratio: float
    cosine: float
    weight: float
    proposed: float | None

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def balance(
    trainee: Trainee,
    batches: Iterable[tuple[Images, Targets]],
    weights: Mapping[str, TermWeight],
    share: float = 0.5,
    adapter_lr: float = 1e-3,
) -> list[TermBalance]:
    """Measure each term on some batches and propose weights; the student is not trained.

    Adapters often start near zero, where a term can hardly reach the student. So they alone take a
    step after each batch, and only the second half of the batches is measured.

    Args:
        trainee: student, teacher and methods.
        batches: images and targets, at least two batches; twenty give steady numbers.
        weights: of each distillation term.
        share: gradient that a term should have, as a part of the detection loss's, above 0.
        adapter_lr: of the adapters' steps.

    Returns:
        The detection loss first, then each term.

    Raises:
        ValueError: there are fewer than two batches.
    """
    batches = list(batches)
    if len(batches) < 2:
        raise ValueError(f"balance needs at least two batches to measure on, not {len(batches)}")
    trainee.train()
    adapters = list(trainee.adapters.parameters())
    optimizer = torch.optim.Adam(adapters, lr=adapter_lr) if adapters else None
    trainee.refresh(0, batches)
    seen: dict[str, list[_Pull]] = {}
    for number, (images, targets) in enumerate(tqdm(batches, desc="balance", disable=None)):
        student = Pass(trainee.student, trainee.student.preprocess(images, targets))
        totals = term_totals(trainee.terms(student), weights)
        if number >= len(batches) // 2:
            for term, pull in _pulls(totals, student.features, student.trunk).items():
                seen.setdefault(term, []).append(pull)
        if optimizer is not None:
            optimizer.zero_grad()
            learned = [total for term, total in totals.items() if term != DETECTION]
            torch.stack(learned).sum().backward(inputs=adapters)
            optimizer.step()
    return [_summary(term, pulls, weights.get(term), share) for term, pulls in seen.items()]


@dataclass(frozen=True)
class _Pull:
    """One term on one batch."""

    value: float
    gradient: dict[str, float]
    detection: float  # norm of the detection loss's gradient on the same levels
    cosine: float


def term_totals(
    losses: Mapping[str, Tensor], weights: Mapping[str, TermWeight]
) -> dict[str, Tensor]:
    """Losses of all levels added up by term; what has no weight is part of ``detection``."""
    totals: dict[str, Tensor] = {}
    for key, loss in losses.items():
        term = term_of(key) if term_of(key) in weights else DETECTION
        totals[term] = totals[term] + loss if term in totals else loss
    return totals


def _pulls(totals: Mapping[str, Tensor], neck: Pyramid, trunk: Pyramid) -> dict[str, _Pull]:
    pulls = {}
    for pyramid in (neck, trunk):
        own = gradients_on(totals[DETECTION], pyramid)
        for term, total in totals.items():
            gradients = gradients_on(total, pyramid)
            if term in pulls or not gradients:
                continue
            # A term may reach some levels only; it is compared on those.
            level_pairs = [(gradients[name], own[name]) for name in gradients if name in own]
            mine = torch.cat([x.flatten() for x, _ in level_pairs])
            theirs = torch.cat([x.flatten() for _, x in level_pairs])
            pulls[term] = _Pull(
                value=total.item(),
                gradient={name: values.norm().item() for name, values in gradients.items()},
                detection=theirs.norm().item(),
                cosine=torch.cosine_similarity(mine, theirs, dim=0).item(),
            )
    return pulls


def gradients_on(total: Tensor, pyramid: Pyramid) -> dict[str, Tensor]:
    """Gradient of a loss on each map that it reaches, by level; nothing is added to any ``.grad``.

    Args:
        total: scalar whose graph holds the maps; the graph is kept.
        pyramid: maps with gradient.
    """
    found = torch.autograd.grad(total, pyramid.maps, retain_graph=True, allow_unused=True)
    return {
        level.name: gradient
        for level, gradient in zip(pyramid.levels, found, strict=True)
        if gradient is not None and gradient.any()
    }


def _summary(term: str, pulls: list[_Pull], weight: TermWeight | None, share: float) -> TermBalance:
    levels = dict.fromkeys(name for pull in pulls for name in pull.gradient)
    gradient = {name: _mean([pull.gradient.get(name, 0.0) for pull in pulls]) for name in levels}
    mine = _mean([sum(x**2 for x in pull.gradient.values()) ** 0.5 for pull in pulls])
    ratio = mine / _mean([pull.detection for pull in pulls])
    return TermBalance(
        term=term,
        value=_mean([pull.value for pull in pulls]),
        gradient=gradient,
        ratio=ratio,
        cosine=_mean([pull.cosine for pull in pulls]),
        weight=1.0 if weight is None else weight.value,
        proposed=None if weight is None else share / ratio,
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def table(report: list[TermBalance]) -> str:
    """The report as text, one row a term, one column a level."""
    levels = sorted({name for row in report for name in row.gradient})
    width = max(len(row.term) for row in report)
    head = ["value", "ratio", "cosine", "weight", "proposed", *levels]
    lines = [" " * width + "".join(f"{name:>11}" for name in head)]
    for row in report:
        proposed = "" if row.proposed is None else f"{row.proposed:.3g}"
        numbers = [f"{x:.3g}" for x in (row.value, row.ratio, row.cosine, row.weight)]
        norms = [f"{row.gradient[name]:.3g}" if name in row.gradient else "" for name in levels]
        lines.append(
            row.term.ljust(width) + "".join(f"{x:>11}" for x in (*numbers, proposed, *norms))
        )
    return "\n".join(lines)
