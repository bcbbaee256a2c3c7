"""The animals and things of Toy World, drawn on a canvas."""

import numpy as np

from .shapes import (GRID_X, GRID_Y, circle, coverage, ellipse, intersection, polygon, rectangle, shaded,
                     union)

COLOURS = {
    "red": (0.85, 0.15, 0.12), "green": (0.2, 0.65, 0.2), "blue": (0.15, 0.3, 0.85),
    "yellow": (0.95, 0.82, 0.15), "orange": (0.95, 0.5, 0.1), "purple": (0.55, 0.2, 0.7),
    "pink": (0.95, 0.55, 0.7), "white": (0.95, 0.95, 0.95), "black": (0.12, 0.12, 0.13),
    "gray": (0.55, 0.56, 0.58), "brown": (0.5, 0.32, 0.18),
}

FUR = {
    "cat": (0.5, 0.5, 0.53), "tiger": (0.96, 0.55, 0.1), "rabbit": (0.93, 0.9, 0.88),
    "dog": (0.62, 0.4, 0.22), "fox": (0.9, 0.38, 0.1), "panda": (0.95, 0.95, 0.95),
    "bear": (0.4, 0.25, 0.14), "lion": (0.9, 0.68, 0.3),
}
"""The natural colour of each animal."""

ANIMALS = tuple(FUR)
THINGS = ("ball", "box", "star", "car", "house", "tree", "mushroom", "boat")
KINDS = ANIMALS + THINGS

INK = np.array((0.1, 0.1, 0.1), np.float32)
STRIPE = np.array((0.1, 0.07, 0.05), np.float32)
PALE = np.array((0.96, 0.94, 0.9), np.float32)
GLASS = np.array((0.75, 0.88, 0.95), np.float32)
WOOD = np.array((0.4, 0.26, 0.14), np.float32)


class Pen:
    """Paints in an object's own coordinates: origin at (cx, cy), unit `size`, mirrored when it faces left."""

    def __init__(self, canvas, cx, cy, size, facing):
        self.canvas, self.size = canvas, size
        self.x = (GRID_X - cx) / size * facing
        self.y = (GRID_Y - cy) / size
        self.centre = (cx, cy)

    def paint(self, distance, colour):
        self.canvas.paint(distance * self.size, colour)

    def shadow(self, drop, width):
        """A soft ellipse on the ground `drop` below the centre."""
        cx, cy = self.centre
        distance = ellipse(GRID_X, GRID_Y, cx, cy + drop * self.size, width * self.size, 0.09 * self.size)
        self.canvas.blend(coverage(distance) * 0.3, (0, 0, 0))


def draw(canvas, kind, colour, cx, cy, size, phase, facing):
    """Draw one object.

    `cx`, `cy`, `size` are in frame units; `phase` (radians) moves legs and tails; `facing` is 1 (right) or -1.
    `colour` is RGB in 0...1, or None for an animal's natural colour.
    """
    pen = Pen(canvas, cx, cy, size, facing)
    if kind in FUR:
        _animal(pen, kind, np.asarray(FUR[kind] if colour is None else colour, np.float32), phase)
    else:
        pen.shadow(0.55, 0.55)
        _THINGS[kind](pen, np.asarray(colour, np.float32), phase)


def _ears(pen, kind, hx, hy):
    x, y = pen.x, pen.y
    if kind in ("cat", "tiger", "fox"):
        return union(*[polygon(x, y, [(hx + s * 0.28, hy - 0.12), (hx + s * 0.2, hy - 0.5), (hx + s * 0.02, hy - 0.24)])
                       for s in (-1, 1)])
    if kind == "rabbit":
        return union(*[ellipse(x, y, hx + s * 0.12, hy - 0.48, 0.075, 0.3) for s in (-1, 1)])
    if kind == "dog":
        return union(*[ellipse(x, y, hx + s * 0.27, hy + 0.02, 0.09, 0.24) for s in (-1, 1)])
    return union(*[circle(x, y, hx + s * 0.22, hy - 0.25, 0.11) for s in (-1, 1)])


def _tail(pen, kind, phase):
    x, y = pen.x, pen.y
    if kind == "rabbit":
        return circle(x, y, -0.64, 0.0, 0.12)
    if kind in ("panda", "bear"):
        return circle(x, y, -0.64, 0.0, 0.09)
    return union(*[circle(x, y, -0.62 - 0.03 * k, -0.02 - 0.07 * k + 0.02 * np.sin(phase + k), 0.07)
                   for k in range(5)])


def _animal(pen, kind, colour, phase):
    x, y = pen.x, pen.y
    hx, hy, head_radius = 0.46, -0.25, 0.3
    swing = 0.12 * np.sin(phase)
    dark = colour * 0.72
    # Stripes stay visible on dark fur.
    stripe = STRIPE if colour.mean() > 0.2 else np.array((0.55, 0.55, 0.55), np.float32)
    body = ellipse(x, y, -0.12, 0.08, 0.52, 0.3)
    legs = union(*[rectangle(x, y, lx + step, 0.42, 0.075, 0.2, 0.06)
                   for lx, step in ((-0.48, swing), (-0.3, -swing), (0.1, swing), (0.28, -swing))])
    leg_colour = {"panda": INK, "fox": np.array((0.2, 0.12, 0.1), np.float32)}.get(kind, dark)

    pen.shadow(0.6, 0.62)
    if kind == "lion":
        pen.paint(circle(x, y, hx, hy, 0.43), colour * np.array([0.62, 0.42, 0.3], np.float32))
    pen.paint(legs, leg_colour)
    pen.paint(_tail(pen, kind, phase), colour if kind == "panda" else dark)
    pen.paint(body, shaded(colour, x, y, 0, 0, 1.5))
    if kind == "tiger":
        pen.paint(intersection(body, -(np.sin(x * 26 + 2 * np.sin(y * 6)) - 0.35) * 0.04), stripe)
    if kind == "panda":
        pen.paint(intersection(body, np.abs(x - 0.22) - 0.13), INK)
    pen.paint(_ears(pen, kind, hx, hy), INK if kind == "panda" else dark)
    head = circle(x, y, hx, hy, head_radius)
    pen.paint(head, shaded(colour, x, y, hx, hy, 1.2))
    if kind == "tiger":
        bars = union(np.abs(x - hx) - 0.03, np.abs(x - hx + 0.13) - 0.025, np.abs(x - hx - 0.13) - 0.025)
        pen.paint(intersection(head, bars, y - hy + 0.1), stripe)
    if kind in ("fox", "tiger"):
        pen.paint(ellipse(x, y, hx, hy + 0.14, 0.17, 0.13), PALE)
    for side in (-0.11, 0.11):
        if kind == "panda":
            pen.paint(ellipse(x, y, hx + side, hy - 0.02, 0.085, 0.1), INK)
        pen.paint(circle(x, y, hx + side, hy - 0.03, 0.042), (0.95,) * 3 if kind == "panda" else (0.05,) * 3)
    pen.paint(ellipse(x, y, hx, hy + 0.09, 0.05, 0.035), (0.25, 0.1, 0.1))


def _ball(pen, colour, phase):
    pen.paint(circle(pen.x, pen.y, 0, 0, 0.52), shaded(colour, pen.x, pen.y, 0, 0, 1.0))
    pen.paint(circle(pen.x, pen.y, -0.18, -0.2, 0.09), colour * 0.3 + 0.7)


def _box(pen, colour, phase):
    pen.paint(rectangle(pen.x, pen.y, 0, 0.02, 0.5, 0.5, 0.04), shaded(colour, pen.x, pen.y, 0, 0, 1.6))
    pen.paint(rectangle(pen.x, pen.y, 0, 0.02, 0.5, 0.06), colour * 0.6)
    pen.paint(rectangle(pen.x, pen.y, 0, 0.02, 0.06, 0.5), colour * 0.6)


def _star(pen, colour, phase):
    angles = np.arange(10) * np.pi / 5 + phase * 0.2
    points = [(np.sin(a) * r, -np.cos(a) * r) for a, r in zip(angles, (0.6, 0.26) * 5)]
    pen.paint(polygon(pen.x, pen.y, points), shaded(colour, pen.x, pen.y, 0, 0, 1.4))


def _car(pen, colour, phase):
    x, y = pen.x, pen.y
    cabin = polygon(x, y, [(-0.42, 0.02), (-0.28, -0.34), (0.24, -0.34), (0.44, 0.02)])
    pen.paint(union(rectangle(x, y, 0, 0.18, 0.72, 0.2, 0.08), cabin), shaded(colour, x, y, 0, 0, 1.8))
    pen.paint(polygon(x, y, [(-0.3, -0.02), (-0.2, -0.26), (-0.03, -0.26), (-0.03, -0.02)]), GLASS)
    pen.paint(polygon(x, y, [(0.04, -0.02), (0.04, -0.26), (0.2, -0.26), (0.32, -0.02)]), GLASS)
    for wheel in (-0.42, 0.42):
        pen.paint(circle(x, y, wheel, 0.38, 0.17), INK)
        pen.paint(circle(x, y, wheel, 0.38, 0.07), (0.7, 0.7, 0.7))


def _house(pen, colour, phase):
    x, y = pen.x, pen.y
    pen.paint(rectangle(x, y, 0, 0.2, 0.5, 0.35), (0.93, 0.87, 0.75))
    pen.paint(polygon(x, y, [(-0.62, -0.12), (0, -0.65), (0.62, -0.12)]), colour)
    pen.paint(rectangle(x, y, 0, 0.33, 0.12, 0.22), colour * 0.6)
    for window in (-0.3, 0.3):
        pen.paint(rectangle(x, y, window, 0.12, 0.1, 0.1), (0.6, 0.8, 0.95))


def _tree(pen, colour, phase):
    x, y = pen.x, pen.y
    pen.paint(rectangle(x, y, 0, 0.3, 0.09, 0.28), WOOD)
    crown = union(circle(x, y, -0.22, -0.12, 0.28), circle(x, y, 0.22, -0.12, 0.28), circle(x, y, 0, -0.36, 0.3))
    pen.paint(crown, shaded(colour, x, y, 0, -0.2, 1.2))


def _mushroom(pen, colour, phase):
    x, y = pen.x, pen.y
    pen.paint(rectangle(x, y, 0, 0.25, 0.16, 0.28, 0.1), (0.95, 0.9, 0.8))
    pen.paint(intersection(ellipse(x, y, 0, 0.02, 0.58, 0.5), y - 0.06), shaded(colour, x, y, 0, 0, 1.4))
    for dx, dy, radius in ((-0.28, -0.14, 0.08), (0.05, -0.28, 0.09), (0.3, -0.1, 0.07)):
        pen.paint(circle(x, y, dx, dy, radius), (0.97, 0.97, 0.95))


def _boat(pen, colour, phase):
    x, y = pen.x, pen.y
    pen.paint(polygon(x, y, [(-0.7, 0.2), (0.7, 0.2), (0.45, 0.52), (-0.45, 0.52)]), colour)
    pen.paint(rectangle(x, y, 0, -0.1, 0.03, 0.34), WOOD)
    pen.paint(polygon(x, y, [(0.06, -0.42), (0.06, 0.1), (0.5, 0.1)]), PALE)


_THINGS = {"ball": _ball, "box": _box, "star": _star, "car": _car, "house": _house, "tree": _tree,
           "mushroom": _mushroom, "boat": _boat}
