"""Parts of the HTML pages that kdviz writes: they open without network or script."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdviz.plots import to_png
from kdviz.runs.html_style import PAGE_STYLE

Area = tuple[float, float, float, float]
"""A part of a picture: left, top, right, bottom in pixels from its top left."""


_EVIDENCE_STYLE = """\
img { max-width: 100%; background: #fff; border-radius: 4px; }
table.numbers td:not(:first-child), table.numbers th:not(:first-child) { text-align: right; }
.on-click { display: none; }
.on-click:target { display: block; }
.wide { overflow-x: auto; }
@media (max-width: 45rem) { .wide table { white-space: nowrap; } .wide img { max-width: none; } }
"""


def page(title: str, body: str) -> str:
    """A whole page of pictures and numbers.

    Args:
        title: of the browser's tab, plain text.
        body: HTML.
    """
    return document(title, body, PAGE_STYLE + _EVIDENCE_STYLE)


def document(title: str, body: str, style: str) -> str:
    """A whole page of a style of its own.

    Args:
        title: of the browser's tab, plain text.
        body: HTML.
        style: CSS.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def picture(figure: Figure, alt: str) -> str:
    """A figure as an image inside the page.

    Args:
        figure: any matplotlib figure.
        alt: what it shows, plain text.
    """
    return f'<p><img alt="{html.escape(alt)}" src="{_data(figure)}"></p>'


def picture_with_links(figure: Figure, alt: str, name: str, areas: Mapping[str, Area]) -> str:
    """A figure as an image at its own size, parts of which lead to other places of the page.

    Args:
        figure: any matplotlib figure.
        alt: what it shows, plain text.
        name: of its map, one for each picture of the page.
        areas: parts of the picture by the anchor that they lead to.
    """
    shapes = "\n".join(
        f'<area shape="rect" coords="{",".join(f"{x:.0f}" for x in area)}" href="#{anchor}" '
        f'alt="{anchor}">'
        for anchor, area in areas.items()
    )
    # An image that the browser scales down would leave its areas behind.
    return (
        f'<div style="overflow-x: auto"><img style="max-width: none" alt="{html.escape(alt)}" '
        f'src="{_data(figure)}" usemap="#{name}"></div>\n<map name="{name}">\n{shapes}\n</map>'
    )


def cell_area(axes: Axes, x: float, y: float) -> Area:
    """Where the cell of width 1 around a place in the data of some axes lies in the picture."""
    corners = axes.transData.transform([(x - 0.5, y - 0.5), (x + 0.5, y + 0.5)])
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes that are drawn are in a figure
    across, up = corners[:, 0], figure.bbox.height - corners[:, 1]
    return float(across.min()), float(up.min()), float(across.max()), float(up.max())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts; all columns but the first are aligned to the right."""
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<table class="numbers">\n<tr>{names}</tr>\n{lines}\n</table>'


def details(summary: str, body: str) -> str:
    """A part that the reader opens.

    Args:
        summary: its line, plain text.
        body: HTML.
    """
    return f"<details><summary>{html.escape(summary)}</summary>\n{body}\n</details>"


def wide(body: str) -> str:
    """A part that a narrow screen moves sideways instead of making it too small to read."""
    return f'<div class="wide">{body}</div>'


def shown_on_click(anchor: str, body: str) -> str:
    """A part that is shown when a link leads to it, and hidden when one leads elsewhere.

    Args:
        anchor: where links lead to.
        body: HTML.
    """
    return f'<div class="on-click" id="{anchor}">\n{body}\n</div>'


def _data(figure: Figure) -> str:
    return f"data:image/png;base64,{base64.b64encode(to_png(figure)).decode('ascii')}"
