"""A reader's view in a real browser: a slider that repaints, and pages that open offline.

Needs Chromium and the notebook extras; without them these tests are skipped. Pictures of what the
browser saw are left in ``runs/browser``.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import urlparse

import nbformat
import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if CHROMIUM is None:
    pytest.skip("Chromium is not installed (apt-get install chromium)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="pip install 'kdviz[all]'")
pytest.importorskip("jupyterlab", reason="pip install 'kdviz[notebooks]'")

from kdviz.runs.html import Card, index_page, notebook_page  # noqa: E402
from kdviz.runs.suite import FOLDER  # noqa: E402

NAME = "10_fine_grained_imitation"
PICTURES = FOLDER.parent / "runs" / "browser"
START, EXECUTION, REPAINT = 90_000, 120_000, 30_000  # ms, generous: the machine may be busy

SETTINGS = {
    # Cells out of sight are not in the page otherwise.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}

ALL_RAN = """() => {
  const prompts = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
  return prompts.length > 0 && prompts.every(prompt => /\\[\\d+\\]/.test(prompt.textContent));
}"""
PNG = """async image => {
  const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}"""

CLICKS = """
import numpy as np
from kdviz.plots import mask_grid
from kdviz.widgets import interactive_figure, thumbnails

images = [np.full((3, 96, 160), shade) for shade in (0.3, 0.9)]

def render(image, row, column):
    mask = np.zeros((6, 10))
    mask[row, column] = 1
    return mask_grid(images[image], mask, 16, title=f"row {row}, column {column}")

def pick(panel, x, y, state):
    return {"row": int(y // 16), "column": int(x // 16)}

interactive_figure(
    render, pick=pick, image=thumbnails(images), row=(0, 5, 1, 1), column=(0, 9, 1, 1)
)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    PICTURES.mkdir(parents=True, exist_ok=True)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    arguments += ["--disable-dev-shm-usage"]  # small in containers
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


class TestLab:
    """JupyterLab on notebooks without outputs, cut off from the network."""

    @pytest.fixture(scope="class")
    @classmethod
    def lab(cls, tmp_path_factory):
        """A server's address, its token and the folder it shows."""
        folder = tmp_path_factory.mktemp("lab")
        here = folder / "here"
        here.mkdir()
        notebook = nbformat.read(FOLDER / f"{NAME}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, here / f"{NAME}.ipynb")
        cell = nbformat.v4.new_code_cell(CLICKS)
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata=notebook.metadata)
        nbformat.write(notebook, here / "clicks.ipynb")
        with jupyterlab(folder) as (url, token):
            yield url, token, here

    @pytest.fixture
    def run(self, chromium, lab):
        """Opens a notebook in a new page and runs all its cells."""
        context = chromium.new_context(viewport={"width": 1300, "height": 950})
        context.route(lambda x: urlparse(x).hostname != "localhost", lambda r: r.abort())

        def run(name):
            page = context.new_page()
            page.set_default_timeout(START)
            page.goto(f"{lab[0]}lab/workspaces/{name}/tree/{name}.ipynb?token={lab[1]}")
            page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
            page.get_by_text("| Idle").wait_for()  # what is run before the kernel is there is lost
            choose(page, "Run", "Run All Cells")
            try:
                page.wait_for_function(ALL_RAN, timeout=EXECUTION)
            finally:
                page.screenshot(path=PICTURES / f"{name}_ran.png")
            assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
            return page

        yield run
        context.close()

    def test_a_slider_repaints_the_picture(self, run):
        page = run(NAME)
        figure = page.locator(".jp-OutputArea-child", has=page.locator(".noUi-handle")).first
        handle = figure.locator(".noUi-handle").first
        picture = figure.locator("img.kdviz-picture").last  # the others are thumbnails
        handle.scroll_into_view_if_needed()
        page.screenshot(path=PICTURES / "slider_before.png")
        before, value = picture.evaluate(PNG), handle.get_attribute("aria-valuetext")
        handle.focus()
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        wait_for_change(page, picture, before)
        page.screenshot(path=PICTURES / "slider_after.png")
        assert handle.get_attribute("aria-valuetext") != value

        # Of the two outputs of the cell only the live one is seen.
        static = figure.locator("xpath=following-sibling::*").first
        assert static.locator("img").count() == 1
        assert not static.is_visible()

    def test_slider_thumbnail_and_click_reach_the_file(self, run, lab):
        page = run("clicks")
        figure = page.locator(".jp-OutputArea-child", has=page.locator(".kdviz-live"))
        figure.locator("img.kdviz-picture").nth(2).wait_for()  # after two thumbnails
        *_, small, picture = figure.locator("img.kdviz-picture").all()
        rows, columns = (figure.locator(".noUi-handle").nth(i) for i in (0, 1))
        seen = [picture.evaluate(PNG)]

        rows.focus()
        page.keyboard.press("ArrowRight")
        seen.append(wait_for_change(page, picture, seen[-1]))
        small.click()
        seen.append(wait_for_change(page, picture, seen[-1]))
        # Row 4, column 8 of 6 x 10, well inside the panel whatever the margins.
        width, height = picture.evaluate("image => [image.clientWidth, image.clientHeight]")
        picture.click(position={"x": 0.85 * width, "y": 0.75 * height})
        seen.append(wait_for_change(page, picture, seen[-1]))
        assert len(set(seen)) == 4
        sync_api.expect(rows).to_have_attribute("aria-valuetext", "4", timeout=REPAINT)
        sync_api.expect(columns).to_have_attribute("aria-valuetext", "8", timeout=REPAINT)
        assert picture.evaluate("image => getComputedStyle(image).cursor") == "crosshair"
        assert "row=4, column=8" in picture.get_attribute("alt")
        page.screenshot(path=PICTURES / "clicked.png")

        # A click on the margin is none.
        picture.click(position={"x": 1, "y": height - 1})
        with page.expect_response(lambda r: r.request.method == "PUT" and "clicks.ipynb" in r.url):
            page.keyboard.press("Control+s")
        assert pictures_of(lab[2] / "clicks.ipynb") == [seen[-1]]


class TestPages:
    """Pages made of the stored notebook, opened from the disk with the network off."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def folder(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("pages")
        notebook = nbformat.read(FOLDER / f"{NAME}.ipynb", as_version=4)
        (folder / f"{NAME}.html").write_text(notebook_page(notebook, NAME, str(FOLDER)))
        (folder / f"{NAME}.ipynb").write_text(nbformat.writes(notebook))
        cards = [Card(NAME, notebook, 12.3), Card("11_other", None, 1.5, "In [3]: KeyError: 'p3'")]
        (folder / "index.html").write_text(index_page(cards, "profile smoke"))
        return folder

    @contextmanager
    def opened(self, chromium, path, scheme, width):
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
        )
        page, problems = context.new_page(), []
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri())
        yield page
        context.close()
        assert problems == []

    @pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 400)])
    def test_notebook(self, chromium, folder, scheme, width):
        with self.opened(chromium, folder / f"{NAME}.html", scheme, width) as page:
            self.check_layout(page, scheme)
            assert page.locator("math mfrac").count() > 0
            page.locator("math[display=block]").first.scroll_into_view_if_needed()
            assert page.locator("script, link, iframe").count() == 0
            page.screenshot(path=PICTURES / f"page_{scheme}_{width}.png")

    def test_index_leads_to_the_notebook_and_back(self, chromium, folder):
        with self.opened(chromium, folder / "index.html", "dark", 1100) as page:
            self.check_layout(page, "dark")
            assert "KeyError" in page.locator(".failed").inner_text()
            page.screenshot(path=PICTURES / "index.png")
            page.locator("a.card").click()
            assert page.title() == NAME
            page.get_by_role("link", name="kdviz", exact=True).click()
            assert page.title() == "kdviz"

    def check_layout(self, page, scheme):
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), "wider than the window"
        assert page.evaluate("[...document.images].every(x => x.complete && x.naturalWidth > 0)")
        assert page.evaluate("document.images.length") > 0
        style = "getComputedStyle(document.body)"
        paper, ink = page.evaluate(f"[{style}.backgroundColor, {style}.color]")
        assert (brightness(paper) > brightness(ink)) == (scheme == "light")
        assert abs(brightness(paper) - brightness(ink)) > 150


def choose(page, menu, item):
    """An entry of JupyterLab's menu bar."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=item, exact=True).click()


def wait_for_change(page, picture, before):
    """The picture's PNG in base 64 as soon as it is no longer ``before``."""
    started = time.monotonic()
    while (now := picture.evaluate(PNG)) == before:
        assert time.monotonic() - started < REPAINT / 1000, "the picture did not change"
        page.wait_for_timeout(20)
    return now


def pictures_of(path):
    """The PNGs in base 64 that a notebook on the disk holds."""
    outputs = [x for cell in nbformat.read(path, as_version=4).cells for x in cell.outputs]
    pictures = [x.data.get("image/png") for x in outputs if "data" in x]
    return ["".join(picture.split()) for picture in pictures if picture]


def brightness(colour):
    """Of a CSS colour ``rgb(r, g, b)``, 0 to 255."""
    return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3


@contextmanager
def jupyterlab(folder):
    """A server that keeps everything in ``folder``; its address and token, and its end."""
    settings = folder / "settings"
    for name, values in SETTINGS.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    flags = ["--no-browser", "--allow-root", "--ip=localhost", "--port=0"]
    command = [sys.executable, "-m", "jupyterlab", *flags, f"--ServerApp.root_dir={folder}/here"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield _address(server, folder)
    finally:
        server.send_signal(signal.SIGTERM)  # a server that is asked ends its kernels, too
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=20)


def _address(server, folder):
    """What the server writes down once it listens."""
    deadline = time.monotonic() + START / 1000
    file = folder / "runtime" / f"jpserver-{server.pid}.json"
    while not file.exists():
        log = (folder / "server.log").read_text()
        assert server.poll() is None, f"JupyterLab ended: {log}"
        assert time.monotonic() < deadline, f"JupyterLab does not listen: {log}"
        time.sleep(0.2)
    time.sleep(0.2)
    told = json.loads(file.read_text())
    return told["url"], told["token"]
