"""Pictures of the things that a diagnosis counts, with a sentence that says which they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from matplotlib.figure import Figure

from kdviz.plots.sheets import captioned_figure
from kdviz.runs.diagnosis.image_files import ImageFiles

Thing = TypeVar("Thing")
Shown = TypeVar("Shown")
Noun = str | tuple[str, str]

_WIDTH = 8.0


@dataclass(frozen=True)
class Gallery:
    """Pictures and what they show.

    Attributes:
        text: how many there are of what, and how many of them are shown; where nothing is shown,
            why.
        figures: one of objects, with the text in its caption, or one for each image, without;
            empty where there is nothing to show.
        total: things of this kind.
        shown: things in the figures.
    """

    text: str
    figures: tuple[Figure, ...]
    total: int
    shown: int

    @property
    def figure(self) -> Figure:
        """The first figure; the text alone where there is none."""
        return self.figures[0] if self.figures else captioned_figure(_WIDTH, 0.0, self.text)[0]


def take(
    things: Sequence[Thing], show: Callable[[Thing], Shown], count: int
) -> tuple[list[Shown], list[str]]:
    """The first so many things that can be shown, and why others on the way to them cannot.

    Args:
        things: in the order of interest.
        show: makes something to draw; an `OSError` or a `ValueError` in it passes the thing over.
        count: at most.
    """
    shown: list[Shown] = []
    unseen: list[str] = []
    for thing in things:
        if len(shown) == count:
            break
        try:
            shown.append(show(thing))
        except (OSError, ValueError) as error:
            unseen.append(str(error))
    return shown, unseen


def told(
    total: int,
    shown: int,
    noun: Noun,
    order: str,
    first: int,
    unseen: Sequence[str],
    images: ImageFiles,
) -> str:
    """How many things there are, which of them are shown, and why others are not.

    Args:
        total: how many there are.
        shown: how many of them are shown.
        noun: what they are, after their number; for one of them and for several, or for both.
        order: which come first, after "those".
        first: so many were passed over.
        unseen: why some could not be shown, one sentence for each.
        images: that were looked for.
    """
    one, several = (noun, noun) if isinstance(noun, str) else noun
    words = [f"{total or 'No'} {one if total == 1 else several}."]
    are, those = ("is", "the one") if shown == 1 else ("are", "those")
    if shown and first:
        words.append(f"Here {are} {shown} after the first {first} of those {order}.")
    elif 0 < shown < total:
        words.append(f"Here {are} {shown}, {those} {order}.")
    if unseen and images.missing:
        words.append(f"{len(unseen)} cannot be shown: {images.complaint}.")
    elif unseen:
        words.append(f"{len(unseen)} cannot be shown: {unseen[0]}.")
    return " ".join(words)
