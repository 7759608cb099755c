"""What is trained, and the losses it is trained with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from kdviz.detectors.batched_losses import Losses
from kdviz.detectors.batched_preprocessing import Preprocess
from kdviz.detectors.parts import DetectorParts, Pass, in_eval
from kdviz.engine.teacher_cache import TeacherCache
from kdviz.methods.base import Method
from kdviz.structures import Batch, Target

Images = Sequence[Tensor]
Targets = Sequence[Target]


class Trainee(nn.Module):
    """What is trained: the student and the adapters of its methods.

    The teacher is held beside them, not as a submodule, so that neither ``train()``, ``state_dict``
    nor DDP ever reaches it.

    Args:
        student: the detector that learns.
        teacher: a frozen detector; None trains the student alone.
        methods: what it learns from the teacher beside the ground truth.
        kept: the teacher's maps of earlier, instead of a forward pass each time; None computes.

    Attributes:
        preprocess: makes a batch of images and targets: the student's own, or a faster equal.
        losses: the student's own losses of a batch, or a faster equal.
    """

    def __init__(
        self,
        student: DetectorParts,
        teacher: DetectorParts | None = None,
        methods: Sequence[Method] = (),
        kept: TeacherCache | None = None,
    ) -> None:
        super().__init__()
        if methods and teacher is None:
            raise ValueError("distillation methods need a teacher; name one, or drop the methods")
        self.model = student.model
        self.adapters = nn.ModuleList(methods)
        self.methods = tuple(methods)
        self.student, self.teacher, self.kept = student, teacher, kept
        self.preprocess: Preprocess = student.preprocess
        self.losses: Losses = student.losses

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Unweighted losses of one batch: the detector's own, then those of each method."""
        return self.terms(Pass(self.student, self.preprocess(images, targets)))

    def terms(self, seen: Pass) -> dict[str, Tensor]:
        """Unweighted losses of a pass of the student over a batch with targets."""
        batch = seen.batch
        losses = dict(self.losses(seen.output, batch))
        if self.teacher is not None:
            taught = self._taught(batch)
            for method in self.methods:
                for key, loss in method(seen, taught, batch).losses.items():
                    if key in losses:
                        raise ValueError(f"two losses are called {key!r}; methods must differ")
                    losses[key] = loss
        return losses

    @torch.no_grad()
    def refresh(self, step: int, samples: Iterable[tuple[Images, Targets]]) -> None:
        """Let each method whose turn it is renew what it keeps, from un-augmented images."""
        for method in self.methods:
            if method.refresh_every and step % method.refresh_every == 0:
                method.refresh(self._passes(samples))

    def _passes(
        self, samples: Iterable[tuple[Images, Targets]]
    ) -> Iterator[tuple[Pass, Pass, Batch]]:
        assert self.teacher is not None  # there are methods
        device = next(self.model.parameters()).device
        for images, targets in samples:
            moved = [{key: value.to(device) for key, value in x.items()} for x in targets]
            with in_eval(self.model):  # resize as for evaluation
                batch = self.student.preprocess([image.to(device) for image in images], moved)
            yield Pass(self.student, batch), self._taught(batch), batch

    def _taught(self, batch: Batch) -> Pass:
        assert self.teacher is not None
        return Pass(self.teacher, batch) if self.kept is None else self.kept.pass_of(batch)


def term_of(key: str) -> str:
    """The term a loss belongs to: ``fgfi`` of ``fgfi/p3``."""
    return key.split("/", 1)[0]
