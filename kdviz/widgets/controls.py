"""What a reader can move: sliders, choices, a picker with thumbnails."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from PIL import Image

from kdviz.plots.images import as_image
from kdviz.widgets.picture import live_picture

THUMBNAIL_HEIGHT = 64
_FEW = 8  # choices up to which all stand side by side as buttons
# JupyterLab would put the buttons below the name, out of line with the controls beside them.
_NAME_BESIDE = {"display": "flex", "align_items": "baseline", "grid_gap": "6px", "margin": "2px"}


@dataclass(frozen=True)
class Control:
    """Something a reader can move; given to several figures, it links them.

    Attributes:
        view: the widget to show; None where another figure beside it shows it already.
        source: the widget whose ``value`` is the setting; often the same.
    """

    view: Any
    source: Any


def need_ipywidgets() -> ModuleType:
    """The ipywidgets package.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise ImportError(
            "interactive figures need ipywidgets: pip install 'kdviz[notebooks]'"
        ) from error
    return ipywidgets


def make_control(name: str, setting: Any) -> Control:
    """The control for one setting.

    Args:
        name: shown beside it, underscores as spaces.
        setting: ``(low, high, step, start)`` or ``(low, high, step)`` for a slider, whole numbers
            for whole steps; a ``range`` for a slider over it; a list of choices, or a mapping from
            what is shown to what is meant; True or False for a tick; a `Control`.

    Raises:
        TypeError: the setting is none of these.
        ValueError: it leaves nothing to choose, or the start lies outside the slider.
    """
    widgets = need_ipywidgets()
    look = {"description": name.replace("_", " "), "style": {"description_width": "initial"}}
    if isinstance(setting, Control):
        return setting
    if isinstance(setting, bool):
        look["layout"] = {"width": "auto"}
        return _alone(widgets.Checkbox(value=setting, indent=False, **look))
    if isinstance(setting, range):
        if not setting:
            raise ValueError(f"{name}: {setting} is empty; there is nothing to choose")
        low, high = min(setting), max(setting)
        step = abs(setting.step)
        return _alone(widgets.IntSlider(setting[0], min=low, max=high, step=step, **look))
    if isinstance(setting, tuple) and all(isinstance(x, int | float) for x in setting):
        return _alone(_slider(widgets, name, setting, look))
    if isinstance(setting, Mapping | Sequence) and not isinstance(setting, str | bytes):
        if not setting:
            raise ValueError(f"{name}: the list of choices is empty")
        options = list(setting.items()) if isinstance(setting, Mapping) else list(setting)
        short = len(options) <= _FEW and all(len(str(x)) < 24 for x in setting)
        kind = widgets.ToggleButtons if short else widgets.Dropdown
        if short:
            look["style"] = {"description_width": "initial", "button_width": "initial"}
            look["layout"] = _NAME_BESIDE
        first = options[0][1] if isinstance(setting, Mapping) else options[0]
        return _alone(kind(options=options, value=first, **look))
    raise TypeError(
        f"{name}={setting!r} is no control: give (low, high, step, start), a range, a list of "
        "choices, True or False, or thumbnails(...); a fixed value belongs into the render function"
    )


def thumbnails(
    images: Sequence[Any], names: Sequence[str] | None = None, start: int = 0
) -> Control:
    """A picker of images: small pictures in a row that scrolls; its value is the index.

    Args:
        images: each (3, h, w) float in [0, 1] or (h, w, 3) uint8.
        names: written on the buttons; by default the index.
        start: index chosen first.

    Raises:
        ValueError: there is no image, or ``start`` is none of them.
    """
    widgets = need_ipywidgets()
    if not 0 <= start < len(images):
        raise ValueError(f"image {start} was chosen first, but there are {len(images)}, from 0")
    chosen = widgets.BoundedIntText(start, min=0, max=len(images) - 1)
    buttons, cells = [], []
    for index, image in enumerate(images):
        small = Image.fromarray(as_image(image))
        small.thumbnail((2 * THUMBNAIL_HEIGHT, THUMBNAIL_HEIGHT))
        file = io.BytesIO()
        small.convert("RGB").save(file, format="jpeg", quality=85)
        label = str(index) if names is None else str(names[index])

        def choose(*_: object, index: int = index) -> None:
            chosen.value = index

        picture = live_picture(file.getvalue(), choose, cursor="pointer")
        picture.alt = label
        picture.layout.margin = "2px 2px 0"  # as that of the button below
        button = widgets.Button(description=label, tooltip=label, layout={"width": "auto"})
        button.on_click(choose)
        buttons.append(button)
        layout = {"flex": "0 0 auto", "max_width": f"{2 * THUMBNAIL_HEIGHT + 8}px"}
        cells.append(widgets.VBox([picture, button], layout=layout))

    def mark(*_: object) -> None:
        for index, button in enumerate(buttons):
            button.button_style = "primary" if index == chosen.value else ""

    chosen.observe(mark, "value")
    mark()
    whole_row = {"overflow": "auto hidden", "max_width": "100%", "flex": "1 0 100%"}
    row = widgets.HBox(cells, layout=whole_row)
    return Control(row, chosen)


def _alone(widget: Any) -> Control:
    return Control(widget, widget)


def _slider(
    widgets: ModuleType, name: str, setting: tuple[float, ...], look: dict[str, Any]
) -> Any:
    if len(setting) not in (3, 4):
        raise TypeError(f"{name}={setting!r}: a slider is (low, high, step) or with a start")
    low, high, step = setting[:3]
    start = setting[3] if len(setting) == 4 else low
    if not (low <= start <= high and low < high and step > 0):
        raise ValueError(f"{name}={setting!r} must hold low <= start <= high, low < high, step > 0")
    if all(isinstance(x, int) for x in setting):
        return widgets.IntSlider(start, min=low, max=high, step=step, **look)
    digits = max(0, math.ceil(-math.log10(step) - 1e-9))
    return widgets.FloatSlider(
        start, min=low, max=high, step=step, readout_format=f".{digits}f", **look
    )
