"""Where a point of a picture lies in the data of its panels."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox


class Places:
    """The panels of a drawn figure, without the figure.

    Args:
        figure: drawn, so that its panels have their places.
    """

    def __init__(self, figure: Figure) -> None:
        self._height = figure.canvas.get_width_height()[1]
        self._panels: list[tuple[Bbox | None, Any]] = [
            (
                axes.bbox.frozen() if axes.get_visible() else None,
                axes.transData.inverted().frozen(),
            )
            for axes in filter(_is_panel, figure.axes)
        ]

    def at(self, x: float, y: float) -> tuple[int, float, float] | None:
        """Number of the panel, from 0 in the order they were made, and x and y in its data.

        Args:
            x: pixels from the left edge of the figure.
            y: pixels from its top edge.

        Returns:
            None outside all panels, and on a colour bar, which is not counted either.
        """
        point = x, self._height - y
        for number, (extent, to_data) in enumerate(self._panels):
            if extent is not None and extent.contains(*point):
                across, along = to_data.transform(point)
                return number, float(across), float(along)
        return None


def _is_panel(axes: Axes) -> bool:
    return axes.get_label() != "<colorbar>"
