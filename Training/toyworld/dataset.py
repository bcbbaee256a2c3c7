"""Render the training frames: `python -m toyworld.dataset WORK --shards 16`.

The work folder holds numbered shards of 1000 frames: `frames-NNN.npy` (uint8 RGB), `truth-NNN.npy` (float16 object and
ground coverage at 16x16), `scenes-NNN.json`, `captions-NNN.npy` (int16 token ids of some captions of each scene), and
later `latents-NNN.npy`. A shard depends on its number alone, so more can be added at any time. The last frames of shard
0 are held out.
"""

import argparse
import json
import multiprocessing
import os
import pathlib

import numpy as np

from . import captions
from .tokenizer import Words
from .world import Scene, random_scene, render, to_bytes

SHARD = 1000
HELD_OUT = 500
"""Frames at the end of shard 0 that no training sees."""
TRUTH_SIDE = 16
CAPTIONS = 6
"""Wordings drawn for each scene."""


def render_shard(work, number):
    """Render one shard unless it is there."""
    path = work / f"frames-{number:03}.npy"
    if path.exists():
        return
    rng = np.random.default_rng([1, number])
    scenes = [random_scene(rng) for _ in range(SHARD)]
    words = Words()
    texts = [[words.ids(captions.random_caption(scene, rng)) for _ in range(CAPTIONS)] for scene in scenes]
    frames, truth = [], []
    for scene in scenes:
        picture = render(scene)
        frames.append(to_bytes(picture.image))
        truth.append([_cells(picture.object_coverage), _cells(picture.ground_coverage)])
    (work / f"scenes-{number:03}.json").write_text(json.dumps([scene.description() for scene in scenes]))
    np.save(work / f"captions-{number:03}.npy", np.asarray(texts, np.int16))
    np.save(work / f"truth-{number:03}.npy", np.asarray(truth, np.float16))
    unfinished = work / f"unfinished-{number:03}.npy"
    np.save(unfinished, np.stack(frames))
    os.replace(unfinished, path)


def numbers(work, kind="frames"):
    """The numbers of the shards that have `kind` ("frames" or "latents"), in order."""
    return sorted(int(path.stem.split("-")[1]) for path in work.glob(f"{kind}-*.npy"))


def training(work, kind, shards):
    """One array of what the training sees of some shards: "frames", "latents", "truth" or "captions"."""
    return np.concatenate([_without_held_out(np.load(work / f"{kind}-{n:03}.npy"), n) for n in shards])


def training_scenes(work, shards):
    return [scene for n in shards for scene in _without_held_out(load_scenes(work, n), n)]


def held_out(work):
    """Frames, scenes and true masks that no training sees."""
    return (np.load(work / "frames-000.npy", mmap_mode="r")[-HELD_OUT:], load_scenes(work, 0)[-HELD_OUT:],
            np.load(work / "truth-000.npy")[-HELD_OUT:])


def load_scenes(work, number):
    return [Scene(**entry) for entry in json.loads((work / f"scenes-{number:03}.json").read_text())]


def _without_held_out(items, number):
    return items[:-HELD_OUT] if number == 0 else items


def _cells(coverage):
    step = coverage.shape[0] // TRUTH_SIDE
    return coverage.reshape(TRUTH_SIDE, step, TRUTH_SIDE, step).mean((1, 3))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--shards", type=int, default=16, help="shards of 1000 frames")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(arguments.processes) as pool:
        shards = [(arguments.work, number) for number in range(arguments.shards)]
        pool.starmap(render_shard, shards, chunksize=1)
    print(f"{arguments.shards} shards in {arguments.work}", flush=True)


if __name__ == "__main__":
    main()
