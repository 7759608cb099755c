"""Notebooks as pages that need no network: pictures, styles and formulas are inside."""

from __future__ import annotations

import copy
import html
import re
from collections.abc import Mapping

import latex2mathml.converter
import nbformat
from nbconvert import HTMLExporter

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_FORMULA = re.compile(r"\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n]+?)\$", re.DOTALL)
_FROM_NETWORK = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?https?:", re.I)


def notebook_page(notebook: nbformat.NotebookNode, title: str) -> str:
    """An executed notebook as one HTML page that opens offline.

    Widgets are shown by the static picture that each leaves; formulas become MathML, which browsers
    draw themselves.

    Raises:
        RuntimeError: the page would still load something from the network.
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["title"] = title
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _FORMULA.sub(_mathml, cell.source)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(_WIDGET_VIEW, None)
    exporter = HTMLExporter(
        template_name="lab",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        mathjax_url="",
        require_js_url="",
        jquery_url="",
        mermaid_js_url="",
    )
    page, _ = exporter.from_notebook_node(notebook)
    page = re.sub(r"<script[^>]*\bsrc=\"\"[^>]*>\s*</script>", "", page)
    page = re.sub(r"<script type=\"module\">.*?mermaid.*?</script>", "", page, flags=re.DOTALL)
    found = _FROM_NETWORK.search(page)
    if found:
        raise RuntimeError(f"the page of {title} would load from the network: {found.group()}")
    return str(page)


def index_page(notebooks: Mapping[str, nbformat.NotebookNode], notes: Mapping[str, str]) -> str:
    """One page with the title and first picture of each notebook, linked to its own page."""
    cards = []
    for name, notebook in notebooks.items():
        picture = first_picture(notebook)
        image = f'<img src="data:image/png;base64,{picture}" alt="">' if picture else ""
        cards.append(
            f'<a class="card" href="{html.escape(name)}.html">{image}'
            f"<h2>{html.escape(first_heading(notebook) or name)}</h2>"
            f"<p>{html.escape(name)}, {html.escape(notes[name])}</p></a>"
        )
    return _PAGE.replace("CARDS", "\n".join(cards))


def first_picture(notebook: nbformat.NotebookNode) -> str | None:
    """The first PNG among the outputs, base64; None without one."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                return str(picture).replace("\n", "")
    return None


def first_heading(notebook: nbformat.NotebookNode) -> str | None:
    """Text of the first ``#`` heading; None without one."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:].strip())
    return None


def _mathml(found: re.Match[str]) -> str:
    block = found["block"]
    formula = block if block is not None else found["inline"]
    display = "block" if block is not None else "inline"
    return str(latex2mathml.converter.convert(formula.strip(), display=display))


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kdviz</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
         padding: 0 1rem; color: #1b1f24; background: #fff; }
  main { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
  .card { display: block; border: 1px solid #d0d7de; border-radius: 8px; padding: 1rem;
          color: inherit; text-decoration: none; }
  .card:hover, .card:focus { border-color: #0072b2; }
  .card img { width: 100%; height: 11rem; object-fit: contain; background: #fff; }
  .card h2 { font-size: 1.1rem; margin: .5rem 0 0; }
  .card p { color: #57606a; margin: .25rem 0 0; font-size: .85rem; }
</style>
</head>
<body>
<h1>kdviz</h1>
<p>Where and why a small detector learns from a big one. Each page is an executed notebook; all of
them open without a network.</p>
<main>
CARDS
</main>
</body>
</html>
"""
