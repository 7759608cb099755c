"""Notebooks as pages that need no network: pictures, styles and formulas are inside."""

from __future__ import annotations

import base64
import copy
import html
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import latex2mathml.converter
import nbformat
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from PIL import Image

from kdviz.runs.html_style import INDEX_STYLE, PAGE_STYLE
from kdviz.runs.pages import document

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
"""Type of an output that only a running kernel can draw."""

_THUMBNAIL_WIDTH = 640  # pixels, twice what a card shows
_FROM_NETWORK = re.compile(
    r"<(?:script|link|img|iframe|source|video)\b[^>]*\b(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//"
    r"|@import\s+[^;]*//|url\(\s*[\"']?\s*(?:https?:)?//",
    re.IGNORECASE,
)
# In a page "<" opens a tag: what stands as text, code for one, has "&lt;" and is not found.
_LINK = re.compile(r"""(<a\b[^>]*\shref=["'](?:\./)?)([^"'/?#:]+)\.ipynb(?=["'#])""")


@dataclass(frozen=True)
class Card:
    """One notebook on the index page.

    Attributes:
        name: of the notebook; its page is ``<name>.html``.
        notebook: the executed copy; None if there is none.
        seconds: it took.
        error: what stopped it; None if nothing did.
    """

    name: str
    notebook: nbformat.NotebookNode | None
    seconds: float
    error: str | None = None


def notebook_page(
    notebook: nbformat.NotebookNode, title: str, folder: str = "", pages: Collection[str] = ()
) -> str:
    """An executed notebook as one HTML page that opens offline.

    Widgets are shown by the static picture that each leaves; formulas become MathML, which browsers
    draw themselves. The page follows the reader's choice of a light or a dark screen.

    Args:
        notebook: with its outputs.
        title: of the browser's tab, and of the notebook's file.
        folder: the images that its text refers to are found from here.
        pages: names of the notebooks that lie beside it as pages: links to them lead there.

    Raises:
        ValueError: the page would still load something from the network.
    """
    notebook = copy.deepcopy(notebook)
    drop_live_views(notebook)
    heading = title
    for cell in notebook.cells:
        heading = _last_heading(cell) or heading
        for output in cell.get("outputs", []):
            _make_static(output, heading)
    exporter = _Exporter(
        template_name="basic",
        raw_template=_TEMPLATE,
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"path": folder}})
    found = _FROM_NETWORK.search(body)
    if found:
        raise ValueError(f"the page of {title} would load from the network: {found.group()}")
    name = html.escape(title)
    body = _LINK.sub(lambda link: _to_page(link, pages), body)
    nav = f'<nav><a href="index.html">kdviz</a> <a href="{name}.ipynb">{name}.ipynb</a></nav>'
    return document(title, f"{nav}\n<main>\n{body}\n</main>", PAGE_STYLE)


def index_page(cards: Sequence[Card], note: str = "") -> str:
    """One page with picture, title, duration and state of each notebook, linked to its own page.

    Args:
        cards: the notebooks in reading order.
        note: said below the title.
    """
    failed = sum(card.error is not None for card in cards)
    state = f"{failed} of {len(cards)} failed" if failed else f"all {len(cards)} ran through"
    seconds = sum(card.seconds for card in cards)
    told = ", ".join(filter(None, (f"{state} in {seconds:.0f} s", note)))
    body = _INDEX_BODY.format(told=html.escape(told), cards="\n".join(map(_card, cards)))
    return document("kdviz", body, INDEX_STYLE)


def drop_live_views(notebook: nbformat.NotebookNode) -> None:
    """Take out what only a running kernel can draw; the static picture after it stays.

    Of a live view that a picture follows its plain words are kept.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        kept = []
        for place, output in enumerate(outputs):
            data = output.get("data", {})
            if WIDGET_VIEW in data:
                after = outputs[place + 1].get("data", {}) if place + 1 < len(outputs) else {}
                if "image/png" not in after:
                    continue
                output["data"] = {"text/plain": data.get("text/plain", "")}
                output["metadata"] = {}
            kept.append(output)
        if "outputs" in cell:
            cell["outputs"] = kept


def first_picture(notebook: nbformat.NotebookNode) -> bytes | None:
    """The first PNG among the outputs; None without one."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                return base64.b64decode(picture)
    return None


def first_heading(notebook: nbformat.NotebookNode) -> str | None:
    """Text of the first ``#`` heading; None without one."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:].strip())
    return None


def to_mathml(formula: str, display: str = "inline") -> str:
    """A LaTeX formula as MathML.

    Args:
        formula: without its dollar signs.
        display: ``inline`` or ``block``.
    """
    # The converter knows align, not the same thing inside another formula.
    formula = re.sub(r"\{aligned\}", "{align}", formula.strip())
    return str(latex2mathml.converter.convert(formula, display=display))


class _Renderer(IPythonRenderer):
    """Markdown with formulas that need no script."""

    def block_math(self, body: str) -> str:
        return to_mathml(body, "block")

    def inline_math(self, body: str) -> str:
        return to_mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        return to_mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Render markdown, formulas as MathML."""
        renderer = _Renderer(
            escape=False,
            embed_images=True,
            exclude_anchor_links=True,
            attachments=context.get("cell", {}).get("attachments", {}),
            path=context.get("resources", {}).get("metadata", {}).get("path", ""),
        )
        return str(MarkdownWithMath(renderer=renderer).render(source))


def _to_page(link: re.Match[str], pages: Collection[str]) -> str:
    before, name = link.groups()
    return f"{before}{name}.html" if name in pages else link[0]


def _make_static(output: nbformat.NotebookNode, heading: str) -> None:
    """Prepare an output for a page without scripts."""
    data: Mapping[str, Any] = output.get("data", {})
    for script in [key for key in data if key.endswith("javascript")]:
        del output["data"][script]
    if "text/latex" in data and "text/html" not in data:
        formula = str(data["text/latex"]).strip().strip("$")
        output["data"]["text/html"] = to_mathml(formula, "block")
    if "image/png" in data:
        alt = f"Figure, section: {heading}"
        output["metadata"] = {**output.get("metadata", {}), "alt": alt}


def _last_heading(cell: nbformat.NotebookNode) -> str | None:
    if cell.cell_type != "markdown":
        return None
    found = re.findall(r"^#{1,6} +(.+)$", cell.source, re.MULTILINE)
    return str(found[-1]).strip() if found else None


def _card(card: Card) -> str:
    name = html.escape(card.name)
    title = (card.notebook and first_heading(card.notebook)) or card.name
    picture = first_picture(card.notebook) if card.notebook else None
    image = '<div class="none">no picture</div>'
    if picture:
        image = f'<img src="data:image/png;base64,{_thumbnail(picture)}" alt="">'
    words = f"<h2>{html.escape(title)}</h2>\n<p>{name}, {card.seconds:.0f} s</p>"
    if card.error is not None:
        words += f'\n<p class="error"><strong>failed</strong> {html.escape(card.error)}</p>'
    state = "card" if card.error is None else "card failed"
    if card.notebook is None:
        return f'<div class="{state}">{image}\n{words}</div>'
    return f'<a class="{state}" href="{name}.html">{image}\n{words}</a>'


def _thumbnail(picture: bytes) -> str:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((_THUMBNAIL_WIDTH, _THUMBNAIL_WIDTH))
    file = io.BytesIO()
    image.save(file, format="png")
    return base64.b64encode(file.getvalue()).decode("ascii")


# A solution stands behind a line that the reader opens.
_TEMPLATE = """\
{%- extends 'basic/index.html.j2' -%}
{%- block codecell -%}
{%- if 'solution' in cell.metadata.get('tags', []) -%}
<details><summary>Solution</summary>{{ super() }}</details>
{%- else -%}
{{ super() }}
{%- endif -%}
{%- endblock codecell -%}
"""

_INDEX_BODY = """<h1>kdviz</h1>
<p>Where and why a small detector learns from a big one. Each page is an executed notebook; all of
them open without a network.</p>
<p class="told">{told}</p>
<main>
{cards}
</main>"""
