"""The silhouettes: one signed distance each, and which two are easily mistaken for each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kdviz.datasets.scenes.fixed import TURN, Frame, Ints, cosine, sine


def _regular(corners: int, first: int = 0) -> list[tuple[int, int]]:
    """Corners of a regular polygon, thousandths, clockwise from ``first`` / 720 past the top."""
    steps = [first + TURN * index // corners for index in range(corners)]
    return [(sine(step) * 1000 >> 12, -cosine(step) * 1000 >> 12) for step in steps]


def _square(frame: Frame) -> Ints:
    return frame.convex([(-920, -920), (920, -920), (920, 920), (-920, 920)])


def _diamond(frame: Frame) -> Ints:
    return frame.convex(_regular(4))


def _ring(frame: Frame) -> Ints:
    return np.maximum(frame.ellipse(), -frame.ellipse(480))


# Tips are blunt on purpose: sharp ones are thinner than a pixel, and the tight box would end before
# the drawing does.


def _triangle(frame: Frame) -> Ints:
    return frame.convex([(-80, -1000), (80, -1000), (1000, 900), (-1000, 900)])


def _arrow(frame: Frame) -> Ints:
    notch = frame.convex([(0, 280), (1350, 1420), (-1350, 1420)])
    return np.maximum(
        frame.convex([(-80, -1000), (80, -1000), (1000, 1000), (-1000, 1000)]), -notch
    )


def _star(frame: Frame) -> Ints:
    # A point lies in the pentagram if it lies outside at most one of its five lines.
    lines = frame.half_planes(_regular(5), step=2)
    worst, second = lines[0], np.full_like(lines[0], np.iinfo(np.int32).min)
    for line in lines[1:]:
        second = np.maximum(second, np.minimum(worst, line))
        worst = np.maximum(worst, line)
    # A little fatter, with tips cut by their circle.
    return np.maximum(second - min(frame.a, frame.b) // 11, frame.ellipse())


def _cross(frame: Frame) -> Ints:
    upright = frame.convex([(-340, -1000), (340, -1000), (340, 1000), (-340, 1000)])
    across = frame.convex([(-1000, -340), (1000, -340), (1000, 340), (-1000, 340)])
    return np.minimum(upright, across)


SHAPES: dict[str, Callable[[Frame], Ints]] = {
    "disc": Frame.ellipse,
    "ring": _ring,
    "square": _square,
    "diamond": _diamond,
    "triangle": _triangle,
    "arrow": _arrow,
    "star": _star,
    "cross": _cross,
    "hexagon": lambda frame: frame.convex(_regular(6)),
    "octagon": lambda frame: frame.convex(_regular(8, first=TURN // 16)),
}
"""Signed distance of every known class in a frame, (h, w), units, negative inside."""

TWINS: dict[str, str] = {
    "disc": "ring",
    "ring": "disc",
    "square": "diamond",
    "diamond": "square",
    "triangle": "arrow",
    "arrow": "triangle",
    "star": "cross",
    "cross": "star",
    "hexagon": "octagon",
    "octagon": "hexagon",
}
"""The class each is most easily mistaken for."""
