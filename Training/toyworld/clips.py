"""Clips of moving scenes with ground truth: `python -m toyworld.clips OUT --count 24`.

Each clip is a folder: `frame-NN.png`, `object-NN.png` (the object's mask), `ideal-NAME-NN.png` (the scene rendered
again under the target description, the edit that nothing could improve) and `clip.json` with captions and scenes.
"""

import argparse
import dataclasses
import json
import math
import pathlib

import numpy as np
from PIL import Image

from . import captions
from .objects import ANIMALS, COLOURS, FUR, THINGS
from .world import GROUNDS, STYLES, random_scene, render, to_bytes


def moving(scene, frames, step, pace=0.9, follow=False):
    """The scenes of a clip: the object moves `step` frame widths a frame where it looks, legs swing by `pace` radians.

    With `follow` the object stays and the background scrolls past instead.
    """
    def at(index):
        distance = step * index
        if follow:
            return dataclasses.replace(scene, phase=scene.phase + pace * index, scroll=scene.facing * distance)
        return dataclasses.replace(scene, phase=scene.phase + pace * index, x=scene.x + scene.facing * distance)

    return [at(index) for index in range(frames)]


def retold(scenes, **changes):
    """The same clip under another description, such as `kind="tiger"` or `style="pencil sketch"`."""
    return [dataclasses.replace(scene, **changes) for scene in scenes]


def random_clip(rng, frames=8):
    """Draw a clip whose object stays in view."""
    scene = random_scene(rng)
    step = float(rng.uniform(0.01, 0.03))
    start = 0.5 - scene.facing * step * frames / 2
    scene = dataclasses.replace(scene, style=None, x=start, size=float(rng.uniform(0.3, 0.42)))
    return moving(scene, frames, step, follow=bool(rng.random() < 0.3))


ANOTHER_COLOUR = 0.3
"""Distance in RGB from which an edit of the colour can be seen."""


def edits(scene, rng):
    """One edit of each kind for a plain scene: name to the changes that make its target."""
    seen = FUR[scene.kind] if scene.colour is None else COLOURS[scene.colour]
    colours = [name for name, value in COLOURS.items() if math.dist(value, seen) > ANOTHER_COLOUR]

    def other(choices, current):
        return str(rng.choice([choice for choice in choices if choice != current]))

    family = ANIMALS if scene.kind in ANIMALS else THINGS
    return {
        "style": {"style": str(rng.choice(STYLES))},
        "attribute": {"colour": str(rng.choice(colours))},
        "shape": {"kind": other(family, scene.kind)},
        "background": {"ground": other(GROUNDS, scene.ground)},
    }


def write(folder, scenes, targets):
    """Write one clip with its ground truth; `targets` maps names of edits to their changes."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, scene in enumerate(scenes):
        picture = render(scene)
        Image.fromarray(to_bytes(picture.image)).save(folder / f"frame-{index:02}.png")
        mask = ((picture.object_coverage > 0.5) * 255).astype(np.uint8)
        Image.fromarray(mask).save(folder / f"object-{index:02}.png")
        for name, changes in targets.items():
            ideal = render(dataclasses.replace(scene, **changes))
            Image.fromarray(to_bytes(ideal.image)).save(folder / f"ideal-{name}-{index:02}.png")
    description = {
        "caption": captions.canonical(scenes[0]),
        "edits": {name: {"caption": captions.canonical(dataclasses.replace(scenes[0], **changes)), "changes": changes}
                  for name, changes in targets.items()},
        "scenes": [scene.description() for scene in scenes],
    }
    (folder / "clip.json").write_text(json.dumps(description, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for number in range(arguments.count):
        rng = np.random.default_rng([arguments.seed, number])
        scenes = random_clip(rng, arguments.frames)
        write(arguments.out / f"clip-{number:02}", scenes, edits(scenes[0], rng))


if __name__ == "__main__":
    main()
