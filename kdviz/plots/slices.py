"""What detectors find of the objects, slice by slice of what makes objects hard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kdviz.plots.intervals import leaves_out_zero, span
from kdviz.plots.panels import MARGIN, shorten, text_size
from kdviz.plots.sheets import small_charts
from kdviz.plots.theme import in_role_order, name_colours, theme

SURE = "●"
"""Before the name of a factor along which the gap surely changes."""

_SPREAD = 0.13  # slices, from the dot of one name to that of the next
_NAMES = 0.28  # inches for the names of the detectors
_NAME_SIZE = 9.0
_CAPTION = (
    "Recall in each slice, from the objects with least of the factor to those with most, with its "
    "95 % interval; below, bounds and number of objects. The gap in a title: by how much teacher "
    f"and student lie further apart in the last slice than in the first; {SURE} where its interval "
    "leaves out 0."
)


@theme()
def slice_panels(
    findings: Sequence[Any],
    *,
    titles: Mapping[str, str] | None = None,
    columns: int = 4,
    caption: str | None = None,
    width: float = 10.0,
) -> tuple[Figure, list[Axes]]:
    """A small chart for each factor: the recall of each detector in each slice, on one scale.

    Args:
        findings: one per factor, with ``factor``, its name; ``contrast``, how much more of the gap
            between teacher and student the last slice has than the first, a number with
            ``interval()`` or None; and ``slices``, each with ``slice`` (``low`` and ``high``, the
            bounds), ``objects``, as many as it holds, and ``recall``, a number with ``interval()``
            by role or name.
        titles: what to call a factor, by its name.
        columns: charts of one row.
        caption: sentence below; by default how to read it.
        width: of the figure, inches.

    Returns:
        The figure and one axes per factor; slice i stands at x = i.

    Raises:
        ValueError: there is no factor.
    """
    if not findings:
        raise ValueError("slice_panels needs at least one factor that has slices")
    order = in_role_order(
        dict.fromkeys(name for each in findings for part in each.slices for name in part.recall)
    )
    caption = _CAPTION if caption is None else caption
    colours = name_colours(order)
    heads = [_title(finding, titles or {}) for finding in findings]
    figure, panels = small_charts(
        heads, columns=columns, caption=caption, width=width, above=_NAMES
    )
    _write_names(figure, colours, width)
    spans = [[{name: span(number) for name, number in part.recall.items()} for part in each.slices]
             for each in findings]  # fmt: skip
    ends = [end for each in spans for part in each for one in part.values() for end in one]
    most = max((end for end in ends if math.isfinite(end)), default=1.0)
    for number, (axes, finding, parts) in enumerate(zip(panels, findings, spans, strict=True)):
        for place, (name, colour) in enumerate(colours.items()):
            offset = (place - (len(order) - 1) / 2) * _SPREAD
            _draw_line(axes, [part.get(name) for part in parts], offset, colour)
        axes.set(xlim=(-0.5, len(parts) - 0.5), ylim=(0, min(1.03, 1.06 * most) or 1.0))
        axes.set_xticks(range(len(parts)), [_told(part) for part in finding.slices], size=7.5)
        axes.tick_params(axis="x", length=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(True, axis="y")
        axes.tick_params(axis="y", labelleft=number % columns == 0)
        if number % columns == 0:
            axes.set_ylabel("recall")
    return figure, panels


def _title(finding: Any, titles: Mapping[str, str]) -> str:
    name = titles.get(finding.factor, finding.factor)
    if finding.contrast is None:
        return name
    value, low, high = span(finding.contrast)
    mark = f"{SURE} " if leaves_out_zero(finding.contrast) else ""
    return f"{mark}{name}\ngap {value:+z.2f} [{low:+z.2f}, {high:+z.2f}]"


def _told(part: Any) -> str:
    """Bounds of a slice and how many objects it holds, for below its dots."""
    low, high = part.slice.low, part.slice.high
    if high == 0:
        bound = "0"
    elif math.isfinite(high):
        bound = f"≤ {high:.3g}"
    else:
        bound = f"> {low:.3g}"
    return f"{bound}\n{len(part.objects):,}"


def _draw_line(
    axes: Axes, spans: Sequence[tuple[float, float, float] | None], offset: float, colour: str
) -> None:
    known = [(i + offset, one) for i, one in enumerate(spans) if one and math.isfinite(one[0])]
    axes.plot([x for x, _ in known], [one[0] for _, one in known], "o-", color=colour,
              markersize=4.5, linewidth=1.0, zorder=3)  # fmt: skip
    for x, (_, low, high) in known:
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([x, x], [low, high], "-", color=colour, linewidth=1.6, alpha=0.6)


def _write_names(figure: Figure, colours: Mapping[str, str], width: float) -> None:
    """The names of the detectors in their colours, in one line at the top."""
    tall = figure.get_size_inches()[1]
    left, most = MARGIN, (width - 2 * MARGIN) / len(colours)
    for name, colour in colours.items():
        text = shorten(f"● {name}", most * 72 - 16, _NAME_SIZE)
        figure.text(left / width, 1 - (MARGIN + 0.02) / tall, text, size=_NAME_SIZE, color=colour,
                    va="top")  # fmt: skip
        left += text_size(text, _NAME_SIZE)[0] / 72 + 0.2
