"""A sheet of free layout: room above, caption below."""

from __future__ import annotations

from matplotlib.figure import Figure

from kdviz.plots.panels import CAPTION_SIZE, LINE, MARGIN, wrap
from kdviz.plots.theme import new_figure


def captioned_figure(width: float, height: float, caption: str | None) -> tuple[Figure, float]:
    """A figure with room of this height above its caption, all sizes in inches.

    Args:
        width: of the figure.
        height: of the room, without the margins of the figure.
        caption: wrapped to the width; None for none.

    Returns:
        The figure, and how far above its lower edge the room begins.
    """
    text = wrap(caption, (width - 2 * MARGIN) * 72, CAPTION_SIZE) if caption else ""
    foot = (text.count("\n") + 1) * CAPTION_SIZE * LINE + 0.08 if text else 0.0
    tall = 2 * MARGIN + height + foot
    figure = new_figure(width, tall)
    if text:
        place = MARGIN / width, (MARGIN + foot - 0.08) / tall
        figure.text(*place, text, size=CAPTION_SIZE, va="top", linespacing=1.2)
    return figure, MARGIN + foot
