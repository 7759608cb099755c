"""Ready controls for what is chosen most: a level, a threshold, a method, some checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdviz.plots.theme import in_role_order
from kdviz.structures import Level, LevelInfo, Pyramid
from kdviz.widgets.controls import Control, make_control, need_ipywidgets


def level_picker(*levels: Pyramid | Iterable[Level | LevelInfo]) -> Control:
    """One button per stride that any of the pyramids has; the value is the stride.

    Args:
        levels: pyramids, or the levels of detectors.

    Raises:
        ValueError: there is no level.
    """
    every = [x for given in levels for x in (given.levels if isinstance(given, Pyramid) else given)]
    named = {level.stride: level.name for level in reversed(every)}
    return make_control("level", {f"{named[s]}, stride {s}": s for s in sorted(named)})


def threshold_slider(name: str, start: float, low: float = 0.0, high: float = 1.0) -> Control:
    """A slider in hundredths; the value is a number in [low, high].

    Args:
        name: what it is a threshold of, such as ``score``.
        start: where it stands first.
        low: least value.
        high: greatest value.
    """
    return make_control(f"{name}_threshold", (low, high, 0.01, float(start)))


def method_picker(methods: Sequence[str] | Mapping[str, Any]) -> Control:
    """One method of several; the value is its name, or what the mapping holds under it."""
    return make_control("method", methods)


def checkpoint_picker(names: Iterable[str]) -> Control:
    """Any of several checkpoints, at least one; the value is a tuple of their names.

    Args:
        names: student, teacher and distilled stand first, as in the figures.

    Raises:
        ValueError: there is no name.
    """
    widgets = need_ipywidgets()
    ordered = in_role_order(names)
    if not ordered:
        raise ValueError("there is no checkpoint to choose")
    chosen = widgets.SelectMultiple(options=ordered, value=ordered)
    buttons = {
        name: widgets.ToggleButton(value=True, description=name, layout={"width": "auto"})
        for name in ordered
    }

    def choose(change: Any) -> None:
        button = change["owner"]
        others = [name for name in chosen.value if name != button.description]
        if not (others or change["new"]):
            button.value = True  # the last one stays: a figure of nothing says nothing
            return
        now = {*others, button.description} if change["new"] else set(others)
        chosen.value = [name for name in ordered if name in now]

    def mark(*_: object) -> None:
        for name, button in buttons.items():
            button.value = name in chosen.value
            button.button_style = "primary" if button.value else ""

    for button in buttons.values():
        button.observe(choose, "value")
    chosen.observe(mark, "value")
    mark()
    return Control(widgets.HBox(list(buttons.values()), layout={"flex_flow": "row wrap"}), chosen)
