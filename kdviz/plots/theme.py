"""One look for every figure: colours, colour maps, sizes, fonts, and the figure that carries them.

Student, teacher and distilled student keep one place and one colour everywhere. The three colours
and the class palette stay apart under the common forms of colour blindness. The paper is opaque and
light, so that a figure reads the same in a dark notebook.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from kdviz.plots.glyphs import GlyphCanvas

PAPER = "#ffffff"
INK = "#1f2933"
FAINT = "#c4ccd4"

FIGURE_WIDTH = 10.0
"""Widest figure, inches."""
DPI = 100
"""Pixels per inch of every figure."""

ROLES = ("ground truth", "student", "teacher", "distilled")
"""Order of the panels, whatever the order of the arguments."""

ROLE_COLOURS = {
    "ground truth": INK,
    "student": "#D55E00",
    "teacher": "#0072B2",
    "distilled": "#009E73",
}
MISSED = "#96003C"
"""Ground truth that no detection found."""

# Greedy choice of the colour farthest from those before it, as seen with normal, deuteranopic and
# protanopic eyes, among tones that carry a white halo on light and on dark images.
CLASS_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#96003C", "#0000FF"),
    *("#69D278", "#8778FF", "#4B3C96", "#875A78", "#964B00", "#FF9600", "#D20FC3", "#FF4B78"),
)

SEQUENTIAL: Colormap = mpl.colormaps["viridis"]
"""Maps that start at zero."""
DIVERGING: Colormap = LinearSegmentedColormap.from_list(
    "kdviz-signed", ["#00436b", "#0072B2", "#9cc7df", "#f4f4f2", "#f2b98d", "#D55E00", "#7d3200"]
)
"""Signed maps: zero is pale, above zero the student's colour, below zero the teacher's."""

_RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.facecolor": PAPER,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.bottom": True,
    "axes.spines.left": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "normal",
    "axes.unicode_minus": True,
    "figure.dpi": DPI,
    "figure.edgecolor": PAPER,
    "figure.facecolor": PAPER,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": "#e4e8ec",
    "grid.linestyle": "-",
    "grid.linewidth": 0.8,
    "image.aspect": "equal",
    "image.interpolation": "auto",
    "image.origin": "upper",
    "image.resample": True,
    "legend.edgecolor": FAINT,
    "legend.facecolor": PAPER,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linestyle": "-",
    "lines.linewidth": 1.5,
    "path.effects": [],
    "text.color": INK,
    "text.parse_math": False,  # a class name may hold a dollar sign
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


class Picture(Figure):
    """A figure outside pyplot's list: it shows itself as PNG and leaves nothing open."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


@contextmanager
def theme() -> Iterator[None]:
    """The look of kdviz inside the block (or the decorated function), the user's own afterwards."""
    with mpl.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Picture:
    """An empty figure of this size in inches, with an Agg canvas that keeps letters."""
    figure = Picture(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    GlyphCanvas(figure)
    return figure


def to_png(figure: Figure, compression: int = 6) -> bytes:
    """The figure as PNG at its own size and resolution.

    Args:
        figure: any matplotlib figure.
        compression: zlib level in [0, 9]; 1 is three times faster than 6 and a little larger.
    """
    file = io.BytesIO()
    Image.fromarray(_drawn(figure)).save(file, format="png", compress_level=compression)
    return file.getvalue()


def to_quick_png(figure: Figure) -> bytes:
    """The same picture as `to_png`, several times faster and a little larger.

    A PNG may foretell each row from its neighbours in five ways. Of figures with as much plain
    paper as ours that saves little, and to try the five takes most of the time.
    """
    pixels = _drawn(figure)
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each begins with 0: not foretold
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _drawn(figure: Figure) -> NDArray[np.uint8]:
    canvas = figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):
        canvas = FigureCanvasAgg(figure)
    with theme():
        canvas.draw()
    return np.asarray(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))


def role_colour(name: str) -> str:
    """Colour of a role: ``student``, ``teacher``, ``distilled``, ``ground truth``; else ink.

    A name that begins with a role shares its colour: ``distilled (frs)``.
    """
    for role, colour in ROLE_COLOURS.items():
        if name == role or name.startswith((role + " ", role + ":", role + "/", role + "-")):
            return colour
    return INK


def in_role_order(names: Iterable[str]) -> list[str]:
    """Roles in their fixed order, then all other names in the order given."""
    given = list(names)
    known = [role for role in ROLES if role in given]
    return known + [name for name in given if name not in known]


def name_colours(names: Sequence[str]) -> dict[str, str]:
    """Colours for the lines of one chart.

    Roles keep theirs and their variants get it paler; other names take colours that no role has.
    """
    spare = iter([c for c in CLASS_COLOURS if c not in ROLE_COLOURS.values()] * len(names))
    bases = {name: role_colour(name) for name in names}
    colours: dict[str, str] = {}
    for index, (name, base) in enumerate(bases.items()):
        variants = list(bases.values())[:index].count(base)
        stranger = base == INK and name != "ground truth"
        colours[name] = next(spare) if stranger else paler(base, min(0.6, 0.3 * variants))
    return colours


def paler(colour: str, share: float) -> str:
    """The colour mixed with this share of white, [0, 1]."""
    if share == 0:
        return colour
    red, green, blue = (c + (1 - c) * share for c in to_rgb(colour))
    return to_hex((red, green, blue))


def class_colour(label: int) -> str:
    """Colour of a class label (from 1); sixteen colours, then they repeat."""
    return CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)]


def text_colour_on(colour: str) -> str:
    """Ink or white, whichever reads better on ``colour``."""
    red, green, blue = ((c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
                        for c in to_rgb(colour))  # fmt: skip
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return INK if luminance > 0.25 else "#ffffff"
