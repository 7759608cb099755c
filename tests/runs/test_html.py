"""Pages that open offline: what goes in, what is left out, and what is refused."""

import base64
import io

import nbformat
import pytest
from PIL import Image

from kdviz.runs.html import (
    WIDGET_VIEW,
    Card,
    drop_live_views,
    first_heading,
    first_picture,
    index_page,
    notebook_page,
    to_mathml,
)

V4 = nbformat.v4


def png(width=40, height=20):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


def shown(**data):
    return V4.new_output("display_data", {key.replace("__", "/"): x for key, x in data.items()})


def live(text="Live"):
    return V4.new_output("display_data", {WIDGET_VIEW: {"model_id": "5"}, "text/plain": text})


def code(source="1", *outputs):
    return V4.new_code_cell(source, outputs=list(outputs), execution_count=1)


def notebook(*cells):
    return V4.new_notebook(cells=list(cells))


def text(source):
    return notebook(V4.new_markdown_cell(source))


class TestPage:
    def test_stands_alone(self):
        page = notebook_page(
            notebook(
                V4.new_markdown_cell("# Which cells?\n\nSee [the paper](https://arxiv.org/abs/1)."),
                code("x = 1  # one", shown(image__png=png(), text__plain="<Figure>")),
            ),
            "10_cells",
        )
        assert page.startswith("<!doctype html>")
        assert "<script" not in page
        assert "<link" not in page
        assert "Which cells?" in page
        assert 'href="https://arxiv.org/abs/1"' in page  # a link is followed, not loaded
        assert "data:image/png;base64," in page
        assert 'alt="Figure, section: Which cells?"' in page
        assert "prefers-color-scheme: dark" in page
        assert 'href="index.html"' in page

    def test_formulas_are_mathml(self):
        page = notebook_page(text("So $a_i < b$, and\n\n$$\\frac{1}{2} \\sum_i x_i$$\n"), "t")
        assert page.count("<math") == 2
        assert "<mfrac>" in page
        assert 'display="block"' in page
        assert "$" not in page.split("<main>")[1]

    @pytest.mark.parametrize(
        "source",
        ["Use `$HOME` and `$PATH`.", "```\necho $HOME $PATH\n```", "It costs \\$5, not \\$6."],
    )
    def test_dollars_that_are_no_formula(self, source):
        page = notebook_page(text(source), "t")
        assert "<math" not in page
        assert page.split("<main>")[1].count("$") == 2

    def test_environments_become_tables(self):
        formula = r"\begin{aligned} a &= b \\ c &= d \end{aligned}"
        assert "<mtable" in to_mathml(formula, "block")
        assert "&</mi>" not in to_mathml(formula, "block")

    def test_latex_outputs(self):
        page = notebook_page(notebook(code("1", shown(text__latex="$\\displaystyle x^2$"))), "t")
        assert "<msup>" in page

    def test_a_picture_stands_for_the_live_view_before_it(self):
        page = notebook_page(notebook(code("f", live("Live there"), shown(image__png=png()))), "t")
        assert "Live there" in page
        assert "widget" not in page.split("<main>")[1]
        assert page.count("<img") == 1

    def test_solutions_are_folded(self):
        solution = code("answer = 42", shown(text__plain="right"))
        solution.metadata["tags"] = ["solution"]
        page = notebook_page(notebook(code("gap = None"), solution, code("after = 1")), "t")
        folded = page.split("<details><summary>Solution</summary>")[1].split("</details>")[0]
        assert "answer" in folded
        assert "right" in folded
        assert "gap" not in folded
        assert "after" not in folded
        assert page.count("<details>") == page.count("</details>") == 1

    def test_scripts_of_outputs_are_left_out(self):
        output = shown(**{"application/javascript": "alert(1)", "text__plain": "a figure"})
        page = notebook_page(notebook(code("1", output)), "t")
        assert "alert" not in page
        assert "a figure" in page

    def test_what_was_printed_in_two_goes_is_one_text(self):
        lines = [V4.new_output("stream", name="stdout", text=f"line {i}\n") for i in (1, 2)]
        page = notebook_page(notebook(code("print()", *lines)), "t")
        assert "line 1\nline 2\n" in page

    def test_errors_are_shown_with_their_trace(self):
        failed = V4.new_output(
            "error", ename="ValueError", evalue="no", traceback=["\x1b[0;31mValueError\x1b[0m: no"]
        )
        page = notebook_page(notebook(code("raise ValueError('no')", failed)), "t")
        assert 'class="ansi-red-fg">ValueError</span>: no' in page

    def test_the_title_is_escaped(self):
        page = notebook_page(text("# x"), "a<b>")
        assert "<title>a&lt;b&gt;</title>" in page
        assert "a<b>" not in page

    def test_images_beside_the_notebook_go_in(self, tmp_path):
        (tmp_path / "dot.png").write_bytes(base64.b64decode(png()))
        page = notebook_page(text("![dot](dot.png)"), "t", str(tmp_path))
        assert "data:image/png;base64," in page

    def test_links_between_notebooks_lead_to_pages(self):
        table = "| [`00_map`](00_map.ipynb) | [why](./10_why.ipynb#the-idea) |\n|---|---|"
        outputs = shown(text__markdown=table), shown(text__html='<a href="00_map.ipynb">map</a>')
        page = notebook_page(
            notebook(V4.new_markdown_cell("See [the map](00_map.ipynb)."), code("1", *outputs)),
            "10_why",
            pages=["00_map", "10_why"],
        )
        assert page.count('<a href="00_map.html">') == 3
        assert page.count('href="./10_why.html#the-idea"') == 1
        assert '<nav><a href="index.html">kdviz</a> <a href="10_why.ipynb">' in page
        assert page.count(".ipynb") == 2  # both are of the link to the executed copy

    @pytest.mark.parametrize(
        "href",
        [
            "90_not_exported.ipynb",
            "elsewhere/00_map.ipynb",
            "https://example.org/00_map.ipynb",
            "00_map.ipynb.txt",
        ],
    )
    def test_other_links_stay(self, href):
        assert f'href="{href}"' in notebook_page(text(f"[x]({href})"), "t", pages=["00_map"])

    def test_code_that_looks_like_a_link_stays(self):
        """In what the reader copies, and in printed text, the file is meant."""
        link = '<a href="00_map.ipynb">'
        cells = V4.new_markdown_cell(f"`{link}`\n\n```html\n{link}\n```"), code(f"s = '{link}'")
        printed = V4.new_output("stream", name="stdout", text=link)
        page = notebook_page(notebook(*cells, code("print(s)", printed)), "t", pages=["00_map"])
        assert page.count("00_map.ipynb") == 4
        assert ".html" not in page.split("<main>")[1]

    @pytest.mark.parametrize(
        "wanted",
        [
            "![x](https://example.org/x.png)",
            '<img src="//example.org/x.png">',
            '<script src="http://example.org/x.js"></script>',
            '<link rel="stylesheet" href="https://example.org/x.css">',
            "<style>@import url(https://example.org/x.css);</style>",
            '<div style="background: url(https://example.org/x.png)"></div>',
        ],
    )
    def test_what_needs_a_network_is_refused(self, wanted):
        with pytest.raises(ValueError, match="page of t would load from the network"):
            notebook_page(text(wanted), "t")

    def test_the_notebook_itself_is_left_alone(self):
        given = notebook(code("f", live(), shown(image__png=png())))
        before = nbformat.writes(given)
        notebook_page(given, "t")
        assert nbformat.writes(given) == before


def test_live_views_without_a_picture_go_whole():
    """A progress bar, for one, of which the words would tell its first state."""
    given = notebook(code("f", live("0%"), shown(text__plain="1")), code("g", live("0%")))
    given.metadata["widgets"] = {"state": {}}
    drop_live_views(given)
    assert [len(cell.outputs) for cell in given.cells] == [1, 0]
    assert "widgets" not in given.metadata


def test_first_heading_and_picture():
    given = notebook(
        V4.new_markdown_cell("Before\n\n# The title \n\n## Not this"),
        code("1", shown(text__plain="2")),
        code("2", shown(image__png=png(3, 2)), shown(image__png=png(5, 5))),
    )
    assert first_heading(given) == "The title"
    assert Image.open(io.BytesIO(first_picture(given))).size == (3, 2)
    assert first_heading(notebook()) is None
    assert first_picture(notebook()) is None


class TestIndex:
    def test_each_notebook_has_a_card(self):
        good = notebook(V4.new_markdown_cell("# Good & new"), code("1", shown(image__png=png())))
        page = index_page(
            [Card("00_good", good, 12.4), Card("01_plain", notebook(), 3.0)], "profile smoke"
        )
        assert 'href="00_good.html"' in page
        assert "Good &amp; new" in page
        assert "00_good, 12 s" in page
        assert "<h2>01_plain</h2>" in page  # a notebook without a title has its name
        assert page.count("data:image/png") == 1
        assert "all 2 ran through in 15 s, profile smoke" in page
        assert "<script" not in page

    def test_failures_are_marked_with_their_error(self):
        cards = [
            Card("00_a", notebook(), 1),
            Card("01_b", notebook(), 1, "cell 3: KeyError: '<k>'"),
        ]
        page = index_page(cards)
        assert "1 of 2 failed" in page
        assert page.count('class="card failed"') == 1
        assert "cell 3: KeyError: &#x27;&lt;k&gt;&#x27;" in page

    def test_a_notebook_without_a_copy_has_no_link(self):
        assert "01_b.html" not in index_page([Card("01_b", None, 1, "DeadKernelError")])

    def test_pictures_are_small(self):
        wide = notebook(code("1", shown(image__png=png(2000, 1000))))
        page = index_page([Card("00_wide", wide, 1)])
        picture = page.split("base64,")[1].split('"')[0]
        assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (640, 320)
