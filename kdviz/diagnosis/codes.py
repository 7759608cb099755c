"""The prototypes of some instances, and what every instance looks like relative to them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kdviz.methods.gkd import projection, reliability
from kdviz.methods.gkd_bank import InstanceTable, PrototypeBank


@dataclass(frozen=True)
class Codes:
    """Instances of one level in terms of shared prototypes, in both detectors.

    Attributes:
        student: cosines of each instance to each prototype, (n, P), in [-1, 1].
        teacher: the same in the teacher's space, (n, P).
        labels: classes of the instances, (n,), from 1.
        rows: which instance each prototype is, (P,); one may be there more than once.
        prototype_labels: classes of the prototypes, rising, (P,).
        reliability: (n,), in [-1, 1].
    """

    student: Tensor
    teacher: Tensor
    labels: Tensor
    rows: Tensor
    prototype_labels: Tensor
    reliability: Tensor

    @property
    def judged(self) -> Tensor:
        """Which instances reliability can say something about, (n,).

        Not the prototypes: each is its own best match in both spaces. All, where there is no other.
        """
        others = ~torch.isin(torch.arange(len(self.labels)), self.rows)
        return others | ~others.any()

    @property
    def typicality(self) -> tuple[Tensor, Tensor]:
        """The best cosine to a prototype of its own class, student's and teacher's, (n,) each.

        It is -2 for an instance whose class has no prototype.
        """
        strange = self.labels[:, None] != self.prototype_labels
        student, teacher = (
            codes.masked_fill(strange, -2.0).amax(dim=1) for codes in (self.student, self.teacher)
        )
        return student, teacher


def choose_prototypes(
    table: InstanceTable, stride: int, count: int = 10, alpha: float = 10.0, unique: bool = False
) -> Tensor:
    """Rows of the instances that GKD takes for prototypes, class after class, (P,).

    Args:
        table: all instances.
        stride: the level.
        count: how many of each class, >= 1; a class has at most as many as it has instances.
        alpha: how much the coefficients of both spaces must agree, >= 0.
        unique: take no instance twice.
    """
    student, teacher = table.student[stride], table.teacher[stride]
    bank = PrototypeBank(student_channels=student.shape[1], teacher_channels=teacher.shape[1])
    # The bank keeps where its prototypes come from; here that is the row.
    named = replace(table, image_ids=torch.arange(len(table.labels)))
    bank.fill(named, stride, count=count, alpha=alpha, unique=unique)
    return bank.image_ids


def taken_by_class(table: InstanceTable, rows: Tensor) -> dict[int, Counter[int]]:
    """How often each row was taken, by class, in the order they were first taken."""
    labels = table.labels[rows].tolist()
    found: dict[int, Counter[int]] = {label: Counter() for label in labels}
    for label, row in zip(labels, rows.tolist(), strict=True):
        found[label][row] += 1
    return found


def draw_prototypes(table: InstanceTable, count: int = 10, seed: int = 0) -> Tensor:
    """Rows drawn at random from those that `choose_prototypes` chooses from, none twice."""
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for label in table.labels.unique().tolist():
        rows = table.of_class(label)
        drawn.append(rows[torch.randperm(len(rows), generator=generator)[:count]])
    return torch.cat(drawn)


def encode(
    table: InstanceTable, rows: Tensor, stride: int, prototypes: InstanceTable | None = None
) -> Codes:
    """The codes of all instances of a table on one level, and how reliable each is.

    Args:
        table: the instances.
        rows: of the prototypes, (P,).
        stride: the level.
        prototypes: the table that ``rows`` belong to; by default ``table`` itself. The same
            instances seen under other conditions are measured by the prototypes of the first view.
    """
    source = table if prototypes is None else prototypes
    student = projection(table.student[stride], source.student[stride][rows])
    teacher = projection(table.teacher[stride], source.teacher[stride][rows])
    own = source.labels[rows]
    trust = reliability(
        student_codes=student, teacher_codes=teacher, labels=table.labels, prototype_labels=own
    )
    return Codes(student, teacher, table.labels, rows, own, trust)


def unexplained(
    table: InstanceTable, rows: Tensor, stride: int, alpha: float = 10.0
) -> tuple[Tensor, Tensor]:
    r"""How much of the instances the first k prototypes of their class leave over.

    What the choice of prototypes minimises, with the best coefficients for each set instead of
    those that the pursuit met on its way: for each instance of unit features a, b

    .. math:: \min_{u, v} |a - \sum_p u_p a_p|^2 + |b - \sum_p v_p b_p|^2
        + \alpha \sum_p (u_p - v_p)^2.

    Args:
        table: all instances.
        rows: of the prototypes, those of a class in the order they were taken.
        stride: the level.
        alpha: how much the coefficients of both spaces must agree, >= 0.

    Returns:
        (student, teacher), each (most prototypes of a class + 1,): the mean squared length that is
        left, from 1 for none. A class with fewer prototypes keeps what its last one left.
    """
    labels = table.labels[rows]
    steps = int(labels.bincount().max()) if len(rows) else 0
    left = torch.zeros(steps + 1, 2, dtype=torch.float64)
    total = 0
    for label in labels.unique().tolist():
        taken, instances = rows[labels == label], table.of_class(label)
        spaces = [
            F.normalize(each[stride].double(), dim=1) for each in (table.student, table.teacher)
        ]
        total += len(instances)
        for step in range(steps + 1):
            atoms = taken[:step]
            left[step] += _left_over(
                [x[instances] for x in spaces], [x[atoms] for x in spaces], alpha
            )
    student, teacher = (left / max(total, 1)).unbind(dim=1)
    return student, teacher


def _left_over(instances: list[Tensor], atoms: list[Tensor], alpha: float) -> Tensor:
    """Squared lengths of all residuals in both spaces, (2,)."""
    count = len(atoms[0])
    tie = alpha * torch.eye(count, dtype=torch.float64)
    a, b = atoms
    system = torch.cat([torch.cat([a @ a.T + tie, -tie], 1), torch.cat([-tie, b @ b.T + tie], 1)])
    sides = torch.cat([atom @ x.T for atom, x in zip(atoms, instances, strict=True)])
    # A prototype that was taken twice makes the system singular; any solution is as good.
    found = torch.linalg.pinv(system, hermitian=True) @ sides
    parts = found[:count], found[count:]
    residuals = [x - p.T @ y for x, y, p in zip(instances, atoms, parts, strict=True)]
    return torch.stack([residual.square().sum() for residual in residuals])
