"""A detector of the user's own, seen in parts through five functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from kdviz.detectors.parts import DetectorParts, InputFormat
from kdviz.structures import Batch, Detection, HeadOutput, Pyramid, Target


class CustomParts(DetectorParts):
    """Any model as `DetectorParts`, without a subclass: each verb is a function that is given.

    There is one cut only, between ``features`` and ``head``: ``trunk`` is ``features`` and ``neck``
    is the identity. A detector whose head cannot be called alone leaves out ``head``, ``losses``
    and ``detections``; then methods that read features work, and every other verb says why not.

    Args:
        model: holds all parameters; its ``state_dict`` is what a run saves.
        preprocess: ``(images, targets) -> Batch``; targets may be None. It must accept a blank
            image of 256 x 256 pixels, on which the levels are measured.
        features: ``(batch) -> Pyramid``, finest level first, strides given.
        num_classes: foreground classes + 1, as torchvision counts.
        head: ``(features, batch) -> HeadOutput``; features may come from another detector.
        losses: ``(output, batch) -> dict`` of scalars, in train and in eval mode.
        detections: ``(output, batch) -> list[Detection]``, in original pixels.
        input_format: how images are prepared, for comparison with a teacher; None if not known.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        preprocess: Callable[[Sequence[Tensor], Sequence[Target] | None], Batch],
        features: Callable[[Batch], Pyramid],
        num_classes: int,
        head: Callable[[Pyramid, Batch], HeadOutput] | None = None,
        losses: Callable[[HeadOutput, Batch], dict[str, Tensor]] | None = None,
        detections: Callable[[HeadOutput, Batch], list[Detection]] | None = None,
        input_format: InputFormat | None = None,
    ) -> None:
        self.model = model
        self.num_classes = num_classes
        self.input_format = input_format
        self._preprocess = preprocess
        self._features = features
        self._head = head
        self._losses = losses
        self._detections = detections

    def preprocess(
        self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> Batch:
        """The given function."""
        return self._preprocess(images, targets)

    def trunk(self, batch: Batch) -> Pyramid:
        """The given ``features``: there is no cut before the neck."""
        return self._features(batch)

    def neck(self, trunk: Pyramid) -> Pyramid:
        """The identity."""
        return trunk

    def head(self, features: Pyramid, batch: Batch) -> HeadOutput:
        """The given function.

        Raises:
            NotImplementedError: none was given.
        """
        if self._head is None:
            raise NotImplementedError(_without("head", self.model))
        return self._head(features, batch)

    def losses(self, output: HeadOutput, batch: Batch) -> dict[str, Tensor]:
        """The given function.

        Raises:
            NotImplementedError: none was given.
        """
        if self._losses is None:
            raise NotImplementedError(_without("losses", self.model))
        return self._losses(output, batch)

    def detections(self, output: HeadOutput, batch: Batch) -> list[Detection]:
        """The given function.

        Raises:
            NotImplementedError: none was given.
        """
        if self._detections is None:
            raise NotImplementedError(_without("detections", self.model))
        return self._detections(output, batch)


def _without(verb: str, model: nn.Module) -> str:
    return (
        f"the CustomParts of {type(model).__name__} was made without {verb}=...; give it that "
        "function, or use a method that reads features only"
    )
