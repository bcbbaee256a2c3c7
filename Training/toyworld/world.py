"""Scenes of Toy World: one object on a ground, in a style, rendered with ground truth."""

import dataclasses

import numpy as np

from .objects import ANIMALS, COLOURS, THINGS, draw
from .shapes import EDGE, GRID_X, GRID_Y, SIDE, Canvas, coverage

GROUNDS = ("grass", "sand", "snow", "road", "water", "floor")
STYLES = ("watercolor painting", "pencil sketch", "pixel art", "night photo")

_SKY = {"grass": (0.55, 0.78, 0.98), "sand": (0.6, 0.85, 1.0), "snow": (0.78, 0.86, 0.95),
        "road": (0.62, 0.75, 0.9), "water": (0.65, 0.85, 0.98), "floor": (0.85, 0.75, 0.6)}


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a frame shows. Lengths are in frame units (0...1)."""

    kind: str
    ground: str
    colour: str | None = None
    """A name of `COLOURS`; None is the natural colour of an animal. Things always have one."""
    style: str | None = None
    """A name of `STYLES`; None is a plain picture."""
    x: float = 0.5
    y: float = 0.6
    size: float = 0.36
    phase: float = 0.0
    """Radians; moves legs and tails."""
    facing: int = 1
    """1 looks right, -1 left."""
    seed: int = 0
    """Draws what belongs to the background: horizon, waves, the texture of the paper."""
    scroll: float = 0.0
    """How far the background has moved to the left."""

    def description(self):
        """The scene as a dictionary for JSON."""
        return dataclasses.asdict(self)


def random_scene(rng):
    """Draw a scene; two in three are plain, all kinds are equally common, half of the animals in their natural colour."""
    animal = rng.random() < 0.5
    kind = str(rng.choice(ANIMALS if animal else THINGS))
    coloured = not animal or rng.random() < 0.5
    return Scene(
        kind=kind,
        ground=str(rng.choice(GROUNDS)),
        colour=str(rng.choice(list(COLOURS))) if coloured else None,
        style=str(rng.choice(STYLES)) if rng.random() < 0.35 else None,
        x=float(rng.uniform(0.3, 0.7)),
        y=float(rng.uniform(0.52, 0.68)),
        size=float(rng.uniform(0.27, 0.43)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        facing=1 if rng.random() < 0.5 else -1,
        seed=int(rng.integers(1 << 30)),
    )


@dataclasses.dataclass(frozen=True)
class Picture:
    """A rendered scene with its ground truth."""

    image: np.ndarray
    """RGB in 0...1, (128, 128, 3) float32."""
    object_coverage: np.ndarray
    """Share of each pixel the object covers (without its shadow), (128, 128) float32."""
    ground_coverage: np.ndarray
    """Share of each pixel that shows the ground, (128, 128) float32."""


def render(scene):
    """Render a scene; the same scene always gives the same picture."""
    rng = np.random.default_rng(scene.seed)
    background, ground = _background(scene.ground, rng, scene.scroll)
    canvas = Canvas(background)
    colour = None if scene.colour is None else COLOURS[scene.colour]
    draw(canvas, scene.kind, colour, scene.x, scene.y, scene.size, scene.phase, scene.facing)
    image = np.clip(canvas.image, 0, 1)
    if scene.style is not None:
        image = _STYLES[scene.style](image, rng)
    return Picture(image.astype(np.float32), canvas.object_coverage,
                   (ground * (1 - canvas.object_coverage)).astype(np.float32))


def to_bytes(image):
    """RGB in 0...1 as 8-bit values."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _background(ground, rng, scroll):
    horizon = rng.uniform(0.38, 0.5)
    phase = rng.uniform(0, 6.28)
    x, y = GRID_X + scroll, GRID_Y
    sky = np.asarray(_SKY[ground]) * (1 - 0.12 * y[..., None] / horizon)
    if ground == "grass":
        t = 0.5 + 0.5 * np.sin(x * 95 + 3 * np.sin(y * 60 + phase)) * np.sin(y * 70 + phase)
        earth = np.stack([0.22 + 0.1 * t, 0.55 + 0.16 * t, 0.18 + 0.06 * t], -1)
    elif ground == "sand":
        t = 0.5 + 0.5 * np.sin(y * 60 + 2 * np.sin(x * 9 + phase))
        earth = np.stack([0.88 + 0.07 * t, 0.76 + 0.07 * t, 0.5 + 0.08 * t], -1)
    elif ground == "snow":
        t = 0.5 + 0.5 * np.sin(x * 12 + phase + 5 * y)
        earth = np.stack([0.93 + 0.05 * t, 0.95 + 0.04 * t, 0.98 + 0.02 * t], -1)
    elif ground == "road":
        earth = np.broadcast_to(np.array([0.36, 0.36, 0.39]), (SIDE, SIDE, 3)).copy()
        dashes = (np.sin(x * 25 + phase) > 0) & (np.abs(y - (horizon + 0.72 * (1 - horizon))) < 0.018)
        earth[dashes] = (0.92, 0.9, 0.8)
    elif ground == "water":
        t = 0.5 + 0.5 * np.sin(y * 80 + 2.5 * np.sin(x * 14 + phase + scroll * 9))
        earth = np.stack([0.1 + 0.12 * t, 0.35 + 0.2 * t, 0.7 + 0.15 * t], -1)
    else:
        depth = 1 / np.maximum(y - horizon + 0.18, 0.05)
        tile = (np.floor((x - 0.5) * depth * 3 + phase) + np.floor(depth * 2.0)) % 2
        earth = np.stack([0.62 + 0.2 * tile, 0.45 + 0.2 * tile, 0.3 + 0.17 * tile], -1)
    below = np.clip((y - horizon) / EDGE + 0.5, 0, 1)
    image = sky * (1 - below[..., None]) + earth * below[..., None]
    if ground == "floor":
        skirting = coverage(np.abs(y - horizon) - 0.008)[..., None]
        image = image * (1 - skirting) + np.array([0.45, 0.32, 0.2]) * skirting
    return image.astype(np.float32), below


def _box_blur(image, radius):
    """Mean over squares of side 2 radius + 1, edges repeated."""
    width = 2 * radius + 1
    for axis in (0, 1):
        padding = [(0, 0)] * 3
        padding[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(image, padding, mode="edge"), axis)
        upper = np.take(sums, range(width, sums.shape[axis]), axis)
        image = (upper - np.take(sums, range(sums.shape[axis] - width), axis)) / width
    return image.astype(np.float32)


def _watercolor(image, rng):
    soft = _box_blur(image, 2)
    grain = np.kron(rng.standard_normal((16, 16)).astype(np.float32), np.ones((8, 8), np.float32))
    grain = _box_blur(_box_blur(grain[..., None], 4), 4)
    washes = _box_blur(np.round(soft * 7) / 7, 1)
    return np.clip(0.22 + 0.78 * (washes * 0.7 + soft * 0.2 + 0.1) + 0.1 * grain, 0, 1)


def _pencil(image, rng):
    grey = _box_blur(image, 1).mean(-1)
    steps = np.abs(np.diff(grey, axis=1, append=grey[:, -1:])) + np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    lines = np.clip(1 - 9 * np.maximum(steps - 0.01, 0), 0.1, 1)
    hatching = 0.8 + 0.2 * grey - 0.12 * (1 - grey) * (0.5 + 0.5 * np.sin((GRID_X + GRID_Y) * 120))
    return np.repeat(np.clip(lines * hatching, 0, 1)[..., None], 3, -1)


def _pixel(image, rng):
    cells = image.reshape(SIDE // 4, 4, SIDE // 4, 4, 3).mean((1, 3))
    return np.kron(np.round(cells * 8) / 8, np.ones((4, 4, 1), np.float32))


def _night(image, rng):
    return np.clip(image * np.array([0.32, 0.38, 0.62]) + np.array([0.01, 0.02, 0.05]), 0, 1)


_STYLES = {"watercolor painting": _watercolor, "pencil sketch": _pencil, "pixel art": _pixel, "night photo": _night}
