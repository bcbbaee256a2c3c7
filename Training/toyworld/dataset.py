"""Render the training frames: `python -m toyworld.dataset WORK --shards 16`.

The work folder holds numbered shards of 1000 frames: `frames-NNN.npy` (uint8 RGB), `truth-NNN.npy` (float16 object and
ground coverage at 16x16), `scenes-NNN.json`, and later `latents-NNN.npy`. A shard depends on its number alone, so
more can be added at any time. The last frames of shard 0 are held out.
"""

import argparse
import json
import multiprocessing
import os
import pathlib

import numpy as np

from .world import Scene, random_scene, render, to_bytes

SHARD = 1000
HELD_OUT = 100
"""Frames at the end of shard 0 that no training sees."""
TRUTH_SIDE = 16


def render_shard(work, number):
    """Render one shard unless it is there."""
    path = work / f"frames-{number:03}.npy"
    if path.exists():
        return
    rng = np.random.default_rng([1, number])
    scenes = [random_scene(rng) for _ in range(SHARD)]
    frames, truth = [], []
    for scene in scenes:
        picture = render(scene)
        frames.append(to_bytes(picture.image))
        truth.append([_cells(picture.object_coverage), _cells(picture.ground_coverage)])
    (work / f"scenes-{number:03}.json").write_text(json.dumps([scene.description() for scene in scenes]))
    np.save(work / f"truth-{number:03}.npy", np.asarray(truth, np.float16))
    unfinished = work / f"unfinished-{number:03}.npy"
    np.save(unfinished, np.stack(frames))
    os.replace(unfinished, path)


def numbers(work, kind):
    """The numbers of the shards that have `kind` ("frames" or "latents"), in order."""
    return sorted(int(path.stem.split("-")[1]) for path in work.glob(f"{kind}-*.npy"))


def training_frames(work):
    """All frames to train on, as memory maps of (n, 128, 128, 3) uint8."""
    return [without_held_out(np.load(work / f"frames-{n:03}.npy", mmap_mode="r"), n) for n in numbers(work, "frames")]


def training_latents(work):
    """Latents (n, 16, 16, 16), ground truth (n, 2, 16, 16) and scenes of all encoded training frames."""
    latents, truth, scenes = [], [], []
    for n in numbers(work, "latents"):
        latents.append(without_held_out(np.load(work / f"latents-{n:03}.npy"), n))
        truth.append(without_held_out(np.load(work / f"truth-{n:03}.npy"), n))
        scenes += without_held_out(load_scenes(work, n), n)
    return np.concatenate(latents), np.concatenate(truth), scenes


def held_out(work):
    """Frames and scenes that no training sees."""
    return np.load(work / "frames-000.npy", mmap_mode="r")[-HELD_OUT:], load_scenes(work, 0)[-HELD_OUT:]


def load_scenes(work, number):
    return [Scene(**entry) for entry in json.loads((work / f"scenes-{number:03}.json").read_text())]


def without_held_out(items, number):
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
