"""A figure with controls, live in a notebook and a plain picture everywhere else."""

from __future__ import annotations

import base64
import gc
import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from matplotlib.figure import Figure

from kdviz.plots.theme import to_png, to_quick_png
from kdviz.widgets.controls import make_control, need_ipywidgets
from kdviz.widgets.picture import live_picture
from kdviz.widgets.places import Places

Render = Callable[..., Figure | tuple[Figure, Any]]
"""A pure function from settings, given by keyword, to a figure."""

Pick = Callable[[int, float, float, dict[str, Any]], Mapping[str, Any]]
"""What a click means: ``(panel, x, y, state)``, to new values of controls by name.

``panel`` counts the axes of the figure in the order they were made, colour bars left out; ``x`` and
``y`` are in the data of that panel, for an image its pixels; ``state`` are the present settings.
"""

LIVE = "Live in a running notebook; the picture shows its last state."
"""Stands for the live figure where no kernel runs."""

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
        message: the widget that shows what went wrong in the last painting or click, else empty.
    """

    def __init__(self, render: Render, pick: Pick | None, settings: dict[str, Any]) -> None:
        widgets = need_ipywidgets()
        controls = {name: make_control(name, setting) for name, setting in settings.items()}
        self._render = render
        self._pick = pick
        self._static: Any = None
        self.controls = {name: control.source for name, control in controls.items()}
        png = self._paint(to_png)
        self.picture = live_picture(png, None if pick is None else self.click)
        self.picture.alt = self._told()
        self.message = widgets.HTML()
        hide = widgets.HTML(_HIDE_STATIC, layout={"display": "none"})
        row = widgets.HBox(
            [control.view for control in controls.values() if control.view is not None],
            layout={"flex_flow": "row wrap", "max_width": "100%", "grid_gap": "0 16px"},
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

    def figure(self) -> Figure:
        """The present state drawn anew: a figure to look into, or to save in another format."""
        drawn = self._render(**self.state)
        return drawn[0] if isinstance(drawn, tuple) else drawn

    def click(self, x: float, y: float) -> None:
        """Do what a reader's click on the picture does.

        Args:
            x: pixels of the PNG from its left edge.
            y: pixels of the PNG from its top edge.
        """
        place = self._places.at(x, y)
        if self._pick is None or place is None:
            return
        self.message.value = ""
        try:
            self._put(self._pick(*place, self.state))
        except Exception as error:
            self._complain(error)

    def _put(self, values: Mapping[str, Any]) -> None:
        strange = sorted(values.keys() - self.controls.keys())
        if strange:
            raise KeyError(f"pick gave {strange}, but the controls are {sorted(self.controls)}")
        # All are set before the first of them tells anybody, so that no figure is painted halfway.
        with ExitStack() as held:
            for name in values:
                held.enter_context(self.controls[name].hold_trait_notifications())
            for name, value in values.items():
                self.controls[name].value = value

    def _paint(self, encode: Callable[[Figure], bytes]) -> bytes:
        self._painted = self.state
        figure = self.figure()
        png = encode(figure)
        self._places = Places(figure)
        return png

    def _repaint(self, _: object) -> None:
        if self.state == self._painted:
            return  # the second of several controls that were set together
        try:
            with _swept():
                self.picture.value = self._paint(to_quick_png)
        except Exception as error:
            self._complain(error)
            return
        self.picture.alt = self._told()
        self.message.value = ""
        if self._static is not None:
            self._static.update(self._static_bundle(), raw=True)

    def _complain(self, error: Exception) -> None:
        # An exception in a widget's callback is seen by nobody, so the page has to say it.
        text = html.escape(f"{type(error).__name__}: {error}")
        style = "color:var(--jp-error-color1,#96003C);white-space:pre-wrap"
        self.message.value = f'<pre style="{style}">{text}</pre>'

    def _told(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self._painted.items())
        return f"figure at {settings}" if settings else "figure"

    def _static_bundle(self) -> dict[str, str]:
        return {
            "image/png": base64.b64encode(self.png).decode("ascii"),
            "text/plain": self._told(),
        }

    def _ipython_display_(self) -> None:
        from IPython.display import display

        live = dict(self.view._repr_mimebundle_())
        live["text/plain"] = LIVE
        display(live, raw=True)
        self._static = display(self._static_bundle(), raw=True, display_id=True)


def interactive_figure(
    render: Render, /, pick: Pick | None = None, **controls: Any
) -> InteractiveFigure:
    """A figure with controls, which may also be clicked.

    Two figures that are given the same `Control` are linked: each shows it, and a move of either
    repaints both, once. Give the second one ``Control(None, first.source)`` to show it once.

    Args:
        render: a pure function that takes each control's value by its name and returns a figure, or
            (figure, axes) as all of `kdviz.plots` do. It should read cached features: it runs at
            every move.
        pick: called when a panel of the picture is clicked, as ``pick(panel, x, y, state)`` with
            the number of the panel from 0 (colour bars are not counted), the place in the data of
            that panel, and the present settings by name. The values it returns, by name, are put
            into those controls, and the picture is painted once; ``{}`` changes nothing. What a
            click does should be in reach of the controls, too: a keyboard has only them.
        **controls: by name: ``threshold=(0.0, 1.0, 0.05, 0.5)`` for a slider from low to high with
            step and start, ``image=range(20)``, ``level=["p3", "p4"]``, ``grid=True``, or
            ``image=thumbnails(images)``.

    Returns:
        What to put in the last line of a cell.

    Raises:
        ImportError: ipywidgets or anywidget is not installed.
    """
    return InteractiveFigure(render, pick, controls)


@contextmanager
def _swept() -> Iterator[None]:
    """Free what is left of a figure at the end of the block, and collect no garbage inside it.

    A figure is full of cycles. Left to itself Python takes them for long-lived, and after some
    twenty paintings goes through all objects there are, which halts a slider for half a second.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
            gc.collect(1)
