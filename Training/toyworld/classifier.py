"""Train the judge of pictures: `python -m toyworld.classifier WORK --minutes 30`.

A small residual network that tells kind, colour, ground and style of a frame. Resumes from `WORK/classifier.pt`; the
result is `WORK/judge.safetensors`.
"""

import argparse
import math
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from . import dataset
from .autoencoder import to_tensor
from .averages import save_atomically
from .device import autocast, best_device
from .objects import COLOURS, FUR, KINDS
from .schedule import Schedule
from .world import GROUNDS, STYLES

LABELS = {"kind": KINDS, "colour": ("natural", *COLOURS), "ground": GROUNDS, "style": ("plain", *STYLES)}
"""What the judge tells apart. A natural colour is only one that no colour's name fits, a lion's."""
SAME_COLOUR = 0.2
"""Distance in RGB up to which an animal's natural colour is called by a colour's name: a tiger is orange."""

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

    def __init__(self, widths=(32, 64, 96, 128, 160)):
        super().__init__()
        self.blocks = nn.Sequential(*[Block(a, b) for a, b in zip((3, *widths), widths)])
        # Objects are small: the largest response matters as much as the mean.
        self.heads = nn.ModuleDict({name: nn.Linear(2 * widths[-1], len(values)) for name, values in LABELS.items()})

    def features(self, frames):
        # Trained on channels-last tensors a network like this crashes PyTorch on a processor (seen with 2.11 and 2.15).
        x = self.blocks(frames.contiguous())
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


def degraded(frames):
    """Frames as an autoencoder or a sampler might return them: some noise, blur and change of contrast."""
    def drawn(low, high):
        return low + (high - low) * torch.rand(len(frames), 1, 1, 1, device=frames.device)

    sharp = drawn(0, 1).mul(1.5).clamp_max(1)
    frames = sharp * frames + (1 - sharp) * functional.avg_pool2d(frames, 3, 1, 1)
    noise = drawn(-0.08, 0.08).clamp_min(0)
    return (frames * drawn(0.9, 1.1) + noise * torch.randn_like(frames)).clamp(-1, 1)


@torch.no_grad()
def accuracy(model, frames, scenes):
    """Share of right answers for each label, colours only where `shows_colour`."""
    model.eval()
    device = next(model.parameters()).device
    logits = [model(to_tensor(frames[i:i + 100]).to(device)) for i in range(0, len(frames), 100)]
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


def load(path):
    """The judge stored in a file."""
    model = Classifier()
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.eval()


def train(work, minutes, batch, rate):
    device = best_device()
    shards = dataset.numbers(work)
    frames = torch.from_numpy(dataset.training(work, "frames", shards)).to(device)
    scenes = dataset.training_scenes(work, shards)
    wanted = {name: torch.tensor([labels(scene)[name] for scene in scenes], device=device) for name in LABELS}
    coloured = torch.tensor([shows_colour(scene) for scene in scenes], device=device)
    torch.manual_seed(0)
    model, first = Classifier().to(device), 0
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-2)
    checkpoint = work / "classifier.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    torch.manual_seed(first)
    schedule = Schedule(minutes, minutes, first)

    def keep():
        found = accuracy(model, *dataset.held_out(work)[:2])
        print(f"{schedule.step} {schedule.seconds_per_step():.3f} s/step, right:",
              ", ".join(f"{name} {share:.3f}" for name, share in found.items()), flush=True)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": schedule.step}
        save_atomically(state, checkpoint)

    for step, factor in schedule:
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        chosen = torch.randint(len(frames), (batch,), device=device)
        with autocast(device):
            logits = model(degraded(to_tensor(frames[chosen])))
        loss = 0
        for name in LABELS:
            losses = functional.cross_entropy(logits[name].float(), wanted[name][chosen], reduction="none")
            visible = coloured[chosen] if name == "colour" else torch.ones_like(chosen)
            loss = loss + (losses * visible).sum() / visible.sum().clamp_min(1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 500 == 0:
            keep()
    keep()
    values = {name: value.half().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(values, work / "judge.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.work, arguments.minutes, arguments.batch, arguments.rate)


if __name__ == "__main__":
    main()
