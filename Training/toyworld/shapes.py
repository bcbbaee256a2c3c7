"""Signed distances of flat shapes and a canvas that paints them with smooth edges.

Distances are in the units of the coordinates given (negative inside), sampled at pixel centres.
"""

import numpy as np

SIDE = 128
"""Width and height of a frame in pixels."""

_centres = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
GRID_X, GRID_Y = np.meshgrid(_centres, _centres)
"""Pixel centres in frame units: both axes run from 0 (left, top) to 1."""

EDGE = 1.2 / SIDE
"""Width of the antialiased edge in frame units."""


def circle(x, y, cx, cy, radius):
    return np.hypot(x - cx, y - cy) - radius


def ellipse(x, y, cx, cy, rx, ry):
    """Distance to an ellipse, exact on its outline and approximate away from it."""
    return (np.hypot((x - cx) / rx, (y - cy) / ry) - 1) * min(rx, ry)


def rectangle(x, y, cx, cy, half_width, half_height, rounding=0.0):
    dx = np.abs(x - cx) - half_width + rounding
    dy = np.abs(y - cy) - half_height + rounding
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return outside + np.minimum(np.maximum(dx, dy), 0) - rounding


def polygon(x, y, points):
    """Distance to a simple polygon given by its corners in order."""
    nearest = np.full_like(x, 1e9)
    inside = np.zeros_like(x, bool)
    for (ax, ay), (bx, by) in zip(points, points[-1:] + points[:-1]):
        ex, ey, wx, wy = bx - ax, by - ay, x - ax, y - ay
        along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey + 1e-9), 0, 1)
        nearest = np.minimum(nearest, np.hypot(wx - ex * along, wy - ey * along))
        crosses = ((ay > y) != (by > y)) & (x < ex * (y - ay) / (ey + 1e-12) + ax)
        inside ^= crosses
    return np.where(inside, -nearest, nearest)


def union(*distances):
    return np.minimum.reduce(distances)


def intersection(*distances):
    return np.maximum.reduce(distances)


def coverage(distance):
    """Share of each pixel covered by a shape, in 0...1, from its distance in frame units."""
    return np.clip(0.5 - distance / EDGE, 0, 1)


def shaded(colour, x, y, cx, cy, reach):
    """The colour lit softly from the top left, one RGB value a pixel."""
    light = np.clip(1 - 0.45 * (((x - cx) + (y - cy)) / reach), 0.55, 1.3)[..., None]
    return np.clip(np.asarray(colour, np.float32) * light, 0, 1)


class Canvas:
    """An RGB frame in 0...1 that also keeps which pixels its object covers."""

    def __init__(self, background):
        self.image = background
        self.object_coverage = np.zeros((SIDE, SIDE), np.float32)

    def blend(self, alpha, colour):
        """Paint without counting as part of the object (shadows)."""
        alpha = alpha[..., None]
        self.image = self.image * (1 - alpha) + np.asarray(colour, np.float32) * alpha

    def paint(self, distance, colour):
        """Paint a part of the object; `distance` in frame units, `colour` RGB or one RGB a pixel."""
        alpha = coverage(distance)
        self.blend(alpha, colour)
        self.object_coverage = np.maximum(self.object_coverage, alpha)
