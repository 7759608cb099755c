"""Styles of the HTML pages: one set of colours for light screens, one for dark ones."""

from __future__ import annotations

_COLOURS = """\
:root { color-scheme: light dark;
  --ink: #1b1f24; --faint: #57606a; --line: #d0d7de; --page: #ffffff; --code: #f5f7f9;
  --link: #0067a8; --bad: #b3261e; --comment: #5c6670; --keyword: #8a3ffc; --string: #0a6b3d;
  --number: #9a4a00; --name: #0a5a9c; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #dde3ea; --faint: #9aa5b1; --line: #3a434d; --page: #14181d; --code: #1d232a;
  --link: #6cb8f0; --bad: #ff8a80; --comment: #94a0ac; --keyword: #c8a2ff; --string: #7fd1a5;
  --number: #ffb37a; --name: #82c4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--page);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
a { color: var(--link); }
"""

PAGE_STYLE = (
    _COLOURS
    + """\
body { max-width: 66rem; }
nav { display: flex; justify-content: space-between; font-size: .85rem; margin-bottom: 1.5rem; }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .5rem; text-wrap: balance; }
h1 { font-size: 1.9rem; } h2 { font-size: 1.4rem; } h3 { font-size: 1.15rem; }
.text_cell_render > * { max-width: 46rem; }
p, ul, ol { margin: .6rem 0; }
math[display="block"] { display: block; margin: 1rem 0; overflow-x: auto; overflow-y: hidden; }
math { font-size: 1.08em; font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math",
  "DejaVu Math TeX Gyre", math; }
code, pre { font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; }
:not(pre) > code { background: var(--code); padding: .1em .3em; border-radius: 4px; }
pre { margin: 0; overflow-x: auto; }
.input_area, .text_cell_render pre { background: var(--code); border: 1px solid var(--line);
  border-radius: 6px; padding: .6rem .8rem; margin: .8rem 0 .4rem; max-width: none; }
.text_cell_render pre code { background: none; padding: 0; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--link); }
.output_area { margin: .5rem 0; overflow-x: auto; }
.output_text pre { padding: .2rem .8rem; }
.output_stderr pre { color: var(--faint); }
.output_png img, .output_jpeg img, .output_svg img, .text_cell_render img {
  display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.output_error { border-left: 4px solid var(--bad); }
.celltag_papermill-error-cell-tag span { color: var(--bad) !important;
  font: 600 1rem/1.5 system-ui, sans-serif !important; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .92rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top; }
blockquote { margin: .8rem 0; padding-left: 1rem; border-left: 3px solid var(--line); }
.highlight .c, .highlight .c1, .highlight .ch, .highlight .cm { color: var(--comment); }
.highlight .k, .highlight .kn, .highlight .kc, .highlight .kd, .highlight .ow {
  color: var(--keyword); }
.highlight .s, .highlight .s1, .highlight .s2, .highlight .sa, .highlight .sd, .highlight .si,
.highlight .se { color: var(--string); }
.highlight .mi, .highlight .mf, .highlight .mh { color: var(--number); }
.highlight .nf, .highlight .nc, .highlight .nd, .highlight .nb { color: var(--name); }
.ansi-red-fg, .ansi-red-intense-fg { color: var(--bad); }
.ansi-green-fg, .ansi-green-intense-fg { color: var(--string); }
.ansi-yellow-fg, .ansi-yellow-intense-fg { color: var(--number); }
.ansi-blue-fg, .ansi-blue-intense-fg, .ansi-cyan-fg, .ansi-cyan-intense-fg { color: var(--name); }
.ansi-magenta-fg { color: var(--keyword); }
.ansi-bold { font-weight: 600; }
"""
)

INDEX_STYLE = (
    _COLOURS
    + """\
body { max-width: 72rem; }
h1 { margin: 1rem 0 0; }
body > p { max-width: 46rem; margin: .4rem 0; }
.told { color: var(--faint); font-size: .9rem; }
main { display: grid; gap: 1.25rem; margin-top: 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.card { display: block; border: 1px solid var(--line); border-radius: 8px; padding: 1rem;
  color: inherit; text-decoration: none; overflow-wrap: anywhere; }
a.card:hover, a.card:focus-visible { border-color: var(--link); outline: none; }
.card img, .none { width: 100%; height: 11rem; object-fit: contain; background: #fff;
  border-radius: 4px; }
.none { display: grid; place-items: center; background: var(--code); color: var(--faint);
  font-size: .85rem; }
.card h2 { font-size: 1.1rem; line-height: 1.3; margin: .75rem 0 0; }
.card p { color: var(--faint); margin: .25rem 0 0; font-size: .85rem; }
.failed { border-color: var(--bad); }
.card .error { color: var(--bad); }
"""
)
