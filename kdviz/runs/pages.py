"""Parts of the HTML pages that kdviz writes: they open without a network, pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure

from kdviz.plots import to_png
from kdviz.runs.html_style import PAGE_STYLE


def page(title: str, body: str) -> str:
    """A whole page.

    Args:
        title: of the browser's tab, plain text.
        body: HTML.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>
{PAGE_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def picture(figure: Figure, alt: str) -> str:
    """A figure as an image inside the page.

    Args:
        figure: any matplotlib figure.
        alt: what it shows, plain text.
    """
    data = base64.b64encode(to_png(figure)).decode("ascii")
    return f'<p><img alt="{html.escape(alt)}" src="data:image/png;base64,{data}"></p>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts; all columns but the first are aligned to the right."""
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<table class="numbers">\n<tr>{names}</tr>\n{lines}\n</table>'


def details(summary: str, body: str, name: str = "") -> str:
    """A part that the reader opens.

    Args:
        summary: its line, plain text.
        body: HTML.
        name: other parts can link to it by this anchor.
    """
    anchor = f' id="{html.escape(name)}"' if name else ""
    return f"<details{anchor}><summary>{html.escape(summary)}</summary>\n{body}\n</details>"
