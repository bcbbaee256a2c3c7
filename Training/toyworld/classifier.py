"""Train the judge of pictures: `python -m toyworld.classifier WORK --minutes 30`.

A small residual network that tells kind, colour, ground and style of a frame. Resumes from `WORK/classifier.pt`.
"""

import argparse
import math
import pathlib
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import dataset
from .autoencoder import to_tensor
from .averages import save_atomically
from .objects import COLOURS, FUR, KINDS
from .world import GROUNDS, STYLES

LABELS = {"kind": KINDS, "colour": ("natural", *COLOURS), "ground": GROUNDS, "style": ("plain", *STYLES)}
"""What the judge tells apart. A natural colour is only one that no colour's name fits, a lion's."""
SAME_COLOUR = 0.2
"""Distance in RGB up to which an animal's natural colour is called by a colour's name: a tiger is orange."""
BATCH = 32


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2)
        self.norms = nn.ModuleList([nn.GroupNorm(8, outputs), nn.GroupNorm(8, outputs)])

    def forward(self, x):
        y = functional.silu(self.norms[0](self.first(x)))
        return functional.silu(self.norms[1](self.second(y)) + self.shortcut(x))


class Classifier(nn.Module):
    """Logits for each of `LABELS` from frames (n, 3, 128, 128) in -1...1."""

    def __init__(self, widths=(32, 64, 96, 128)):
        super().__init__()
        self.blocks = nn.Sequential(*[Block(a, b) for a, b in zip((3, *widths), widths)])
        # Objects are small: the largest response matters as much as the mean.
        self.heads = nn.ModuleDict({name: nn.Linear(2 * widths[-1], len(values)) for name, values in LABELS.items()})

    def features(self, frames):
        # At half the side everything can still be told. Trained on channels-last tensors a network like this ended in
        # heap corruption (PyTorch 2.15, CPU).
        x = self.blocks(functional.avg_pool2d(frames.contiguous(), 2))
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)

    def forward(self, frames):
        features = self.features(frames)
        return {name: head(features) for name, head in self.heads.items()}


def effective_colour(kind, colour):
    """The name of the colour that is seen."""
    if colour is not None:
        return colour
    nearest = min(COLOURS, key=lambda name: math.dist(COLOURS[name], FUR[kind]))
    return nearest if math.dist(COLOURS[nearest], FUR[kind]) <= SAME_COLOUR else "natural"


def labels(scene):
    """The index of each label of a scene."""
    return {"kind": KINDS.index(scene.kind), "ground": GROUNDS.index(scene.ground),
            "colour": LABELS["colour"].index(effective_colour(scene.kind, scene.colour)),
            "style": LABELS["style"].index(scene.style or "plain")}


def degraded(frames, rng):
    """Frames as an autoencoder or a sampler might return them: a little noise, blur and change of contrast."""
    if rng.random() < 0.5:
        frames = frames + 0.05 * rng.random() * torch.randn_like(frames)
    if rng.random() < 0.5:
        weight = rng.random()
        frames = weight * frames + (1 - weight) * functional.avg_pool2d(frames, 3, 1, 1)
    return (frames * rng.uniform(0.9, 1.1)).clamp(-1, 1)


@torch.no_grad()
def accuracy(model, frames, scenes):
    """Share of right answers for each label, colours only where `shows_colour`."""
    model.eval()
    logits = [model(to_tensor(frames[i:i + 32])) for i in range(0, len(frames), 32)]
    model.train()
    right = {}
    for name in LABELS:
        found = torch.cat([part[name] for part in logits]).argmax(1).tolist()
        counted = [(f, labels(s)[name]) for f, s in zip(found, scenes) if name != "colour" or shows_colour(s)]
        right[name] = float(np.mean([f == wanted for f, wanted in counted]))
    return right


def shows_colour(scene):
    """Whether the style leaves colours to be seen; a pencil sketch and a night do not."""
    return scene.style not in ("pencil sketch", "night photo")


def load(work):
    model = Classifier()
    model.load_state_dict(torch.load(work / "classifier.pt")["model"])
    return model.eval()


def train(work, minutes, rate=2e-3):
    shards = [(np.load(work / f"frames-{n:03}.npy", mmap_mode="r"), dataset.load_scenes(work, n))
              for n in dataset.numbers(work, "frames")]
    torch.manual_seed(0)
    model, step = Classifier(), 0
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2)
    checkpoint = work / "classifier.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]

    def keep():
        print(step, accuracy(model, *dataset.held_out(work)), flush=True)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        save_atomically(state, checkpoint)

    rng = np.random.default_rng([3, step])
    start = time.time()
    while (spent := (time.time() - start) / (minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * max(0.01, 1 - spent)
        frames, scenes = shards[rng.integers(len(shards))]
        usable = len(frames) - (dataset.HELD_OUT if frames is shards[0][0] else 0)
        chosen = rng.integers(0, usable, BATCH)
        logits = model(degraded(to_tensor(frames[np.sort(chosen)]), rng))
        wanted = [labels(scenes[index]) for index in np.sort(chosen)]
        loss = 0
        for name in LABELS:
            visible = torch.tensor([name != "colour" or shows_colour(scenes[index]) for index in np.sort(chosen)])
            losses = functional.cross_entropy(logits[name], torch.tensor([w[name] for w in wanted]), reduction="none")
            loss = loss + (losses * visible).sum() / visible.sum().clamp_min(1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 200 == 0:
            keep()
    keep()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.work, arguments.minutes)


if __name__ == "__main__":
    main()
