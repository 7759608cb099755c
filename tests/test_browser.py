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
from kdviz.runs.notebooks import FOLDER  # noqa: E402

NAME = "10_fine_grained_imitation"
PICTURES = FOLDER.parent / "runs" / "browser"
START, EXECUTION, REPAINT = 90_000, 300_000, 30_000  # ms, generous: the machine may be busy

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
PIXELS = """image => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""

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
    @pytest.fixture
    def page(self, chromium, tmp_path):
        """JupyterLab on a copy of the notebook without outputs, cut off from the network."""
        notebook = nbformat.read(FOLDER / f"{NAME}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        (tmp_path / "here").mkdir()
        nbformat.write(notebook, tmp_path / "here" / f"{NAME}.ipynb")
        with jupyterlab(tmp_path) as (url, token):
            context = chromium.new_context(viewport={"width": 1300, "height": 950})
            context.route(lambda x: urlparse(x).hostname != "localhost", lambda r: r.abort())
            page = context.new_page()
            page.set_default_timeout(START)
            page.goto(f"{url}lab/tree/{NAME}.ipynb?token={token}")
            yield page
            context.close()

    def test_a_slider_repaints_the_picture(self, page):
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.get_by_text("| Idle").wait_for()  # what is run before the kernel is there is lost
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.wait_for_function(ALL_RAN, timeout=EXECUTION)
        finally:
            page.screenshot(path=PICTURES / "all_ran.png")
        assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0

        figure = page.locator(".jp-OutputArea-child", has=page.locator(".noUi-handle")).first
        handle = figure.locator(".noUi-handle").first
        # The thumbnails are images, too; the figure comes after its controls.
        picture = figure.locator("img.widget-image").last
        handle.scroll_into_view_if_needed()
        page.screenshot(path=PICTURES / "slider_before.png")
        before, value = picture.evaluate(PIXELS), handle.get_attribute("aria-valuetext")
        handle.focus()
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        started = time.monotonic()
        while picture.evaluate(PIXELS) == before:
            assert time.monotonic() - started < REPAINT / 1000, "the picture did not change"
            page.wait_for_timeout(20)
        page.screenshot(path=PICTURES / "slider_after.png")
        assert handle.get_attribute("aria-valuetext") != value

        # Of the two outputs of the cell only the live one is seen.
        static = figure.locator("xpath=following-sibling::*").first
        assert static.locator("img").count() == 1
        assert not static.is_visible()


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


def brightness(colour):
    """Of a CSS colour ``rgb(r, g, b)``, 0 to 255."""
    return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3


@contextmanager
def jupyterlab(folder):
    """A server that keeps everything in ``folder``; its address and token, and its end."""
    settings = folder / "settings"
    for name, values in SETTINGS.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
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
