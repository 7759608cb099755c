"""A figure with controls, live in a notebook and a plain picture everywhere else."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from kdviz.plots.theme import to_png
from kdviz.widgets.controls import make_control, need_ipywidgets

Render = Callable[..., Figure | tuple[Figure, Any]]
"""A pure function from settings, given by keyword, to a figure."""

# The live figure and the static picture are two outputs that follow each other, since a renderer
# that knows widgets but has lost the model shows an error and no second choice. This rule is inside
# the live one: only where that is really drawn, it hides the picture after it.
_HIDE_STATIC = (
    '<span class="kdviz-live"></span><style>.jp-OutputArea-child:has(.kdviz-live) '
    "+ .jp-OutputArea-child:has(img) {display: none;}</style>"
)


class InteractiveFigure:
    """A figure that is painted anew when one of its controls moves.

    As the last line of a cell (or by ``display``) it leaves two outputs: the live figure, and a PNG
    of its present state that a page without kernel or network shows instead. In a running notebook
    only the live one is seen; the PNG follows it, so that a saved notebook keeps the last state.

    Attributes:
        view: the widget with controls and picture.
        controls: the widgets whose ``value`` is the setting, by name.
        picture: the widget that holds the PNG.
        message: the widget that shows what went wrong in the last painting, else empty.
    """

    def __init__(self, render: Render, settings: dict[str, Any]) -> None:
        widgets = need_ipywidgets()
        controls = {name: make_control(name, setting) for name, setting in settings.items()}
        self._render = render
        self._static: Any = None
        self.controls = {name: control.source for name, control in controls.items()}
        self.picture = widgets.Image(
            value=self._paint(compression=6), format="png", layout={"max_width": "100%"}
        )
        # An image is as wide as its box; the box must not stretch it over the whole cell.
        self.picture.layout.align_self = "flex-start"
        self.message = widgets.HTML()
        hide = widgets.HTML(_HIDE_STATIC, layout={"display": "none"})
        row = widgets.HBox(
            [control.view for control in controls.values()],
            layout={"flex_flow": "row wrap", "max_width": "100%"},
        )
        self.view = widgets.VBox([row, self.picture, self.message, hide])
        for source in self.controls.values():
            source.observe(self._repaint, "value")

    @property
    def state(self) -> dict[str, Any]:
        """The present settings, by name."""
        return {name: source.value for name, source in self.controls.items()}

    @property
    def png(self) -> bytes:
        """The present picture."""
        return bytes(self.picture.value)

    def _paint(self, compression: int) -> bytes:
        drawn = self._render(**self.state)
        figure = drawn[0] if isinstance(drawn, tuple) else drawn
        return to_png(figure, compression)

    def _repaint(self, _: object) -> None:
        # An exception in a widget's callback is seen by nobody, so the page has to say it.
        try:
            self.picture.value = self._paint(compression=1)
        except Exception as error:
            text = html.escape(f"{type(error).__name__}: {error}")
            self.message.value = f'<pre style="color:#96003C">{text}</pre>'
            return
        self.message.value = ""
        if self._static is not None:
            self._static.update(self._static_bundle(), raw=True)

    def _static_bundle(self) -> dict[str, str]:
        settings = ", ".join(f"{name}={value}" for name, value in self.state.items())
        return {
            "image/png": base64.b64encode(self.png).decode("ascii"),
            "text/plain": f"figure at {settings}" if settings else "figure",
        }

    def _ipython_display_(self) -> None:
        from IPython.display import display

        live = dict(self.view._repr_mimebundle_())
        live["text/plain"] = "Live in a running notebook; the picture shows its last state."
        display(live, raw=True)
        self._static = display(self._static_bundle(), raw=True, display_id=True)


def interactive_figure(render: Render, /, **controls: Any) -> InteractiveFigure:
    """A figure with controls.

    Args:
        render: a pure function that takes each control's value by its name and returns a figure, or
            (figure, axes) as all of `kdviz.plots` do. It should read cached features: it runs at
            every move.
        **controls: by name: ``threshold=(0.0, 1.0, 0.05, 0.5)`` for a slider from low to high with
            step and start, ``image=range(20)``, ``level=["p3", "p4"]``, ``grid=True``, or
            ``image=thumbnails(images)``.

    Returns:
        What to put in the last line of a cell.

    Raises:
        ImportError: ipywidgets is not installed.
    """
    return InteractiveFigure(render, controls)
