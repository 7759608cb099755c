"""A picture that changes while a cell runs, and stays in the notebook as it was last."""

from __future__ import annotations

import base64
from typing import Any

from matplotlib.figure import Figure

from kdviz.plots.theme import to_png


class UpdatingPicture:
    """One output of a cell that is painted again and again; outside a notebook it does nothing.

    It is a plain PNG, no widget: a saved notebook, a page and a scheduled execution all keep the
    last state.
    """

    def __init__(self) -> None:
        self._output: Any = None

    def show(self, figure: Figure, text: str = "figure") -> None:
        """Put this figure in the place of the one before.

        Args:
            figure: any matplotlib figure.
            text: what stands for it where no picture can be shown.
        """
        if not _in_notebook():
            return
        from IPython.display import display

        picture = base64.b64encode(to_png(figure)).decode("ascii")
        bundle = {"image/png": picture, "text/plain": text}
        if self._output is None:
            self._output = display(bundle, raw=True, display_id=True)
        else:
            self._output.update(bundle, raw=True)


def _in_notebook() -> bool:
    """Whether a kernel runs this, and somebody can see a picture."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
