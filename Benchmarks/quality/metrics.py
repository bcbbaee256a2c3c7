"""What is measured of an edited clip. Pictures are arrays (frames, height, width, 3) of 0...255."""

import numpy as np
import torch
from torch.nn import functional

from toyworld import classifier
from toyworld.autoencoder import to_tensor
from toyworld.classifier import LABELS, effective_colour
from toyworld.world import random_scene, render, to_bytes

HEADS = {"style": "style", "attribute": "colour", "shape": "kind", "background": "ground"}
"""Which of the judge's heads tells whether an edit of a kind has come about."""
KEEPS_BACKGROUND = ("attribute", "shape")
MARGIN = 4
"""Pixels around the objects that count as neither object nor background: shadows and soft edges."""


def label(head, scene):
    """What the judge should say of a scene."""
    if head == "colour":
        return effective_colour(scene.kind, scene.colour)
    return getattr(scene, head) or "plain"


class Judge:
    """The classifier, with features that are told from what all pictures have in common."""

    @torch.no_grad()
    def __init__(self, path):
        self.network = classifier.load(path)
        rng = np.random.default_rng(103)
        frames = np.stack([to_bytes(render(random_scene(rng)).image) for _ in range(200)])
        self.centre = self.network.features(to_tensor(frames)).mean(0)

    @torch.no_grad()
    def __call__(self, frames):
        """The logits for frames and their normalised features."""
        tensor = to_tensor(frames)
        logits = {name: values.numpy() for name, values in self.network(tensor).items()}
        return logits, functional.normalize(self.network.features(tensor) - self.centre)


def frame_accuracy(logits, head, source, target):
    """Fram-Acc: share of the frames in which the target is likelier than the source."""
    values = logits[head]
    names = LABELS[head]
    return float((values[:, names.index(target)] > values[:, names.index(source)]).mean())


def temporal_consistency(features):
    """Tem-Con: mean cosine of the features of consecutive frames."""
    return float((features[1:] * features[:-1]).sum(1).mean())


def background_error(frames, unedited, objects):
    """Mean absolute difference from the unedited frames outside of the objects, in levels of 255."""
    outside = ~grown(objects, MARGIN)
    return float(np.abs(frames.astype(float) - unedited)[outside].mean())


def psnr(frames, reference):
    error = np.square(frames.astype(float) - reference).mean((1, 2, 3))
    return float((10 * np.log10(255 ** 2 / np.maximum(error, 1e-3))).mean())


def warp_error(frames, objects, object_shift, background_shift):
    """Mean absolute difference between a frame and the one before, moved as the scene moved, in levels of 255.

    The shifts are pixels to the right per frame. Background that an object covers in either frame is left out.
    """
    errors = []
    for before, after, was, now in zip(frames[:-1], frames[1:], objects[:-1], objects[1:]):
        either = grown(was | now, MARGIN)
        for shift, region in ((object_shift, now & moved(was[..., None], object_shift)[..., 0].astype(bool)),
                              (background_shift, ~either)):
            expected = moved(before.astype(float), shift)
            difference = np.abs(after.astype(float) - expected).mean(-1)
            errors.append(difference[region & np.isfinite(difference)])
    return float(np.concatenate(errors).mean())


def moved(image, shift):
    """A picture moved right by a fraction of pixels, linearly interpolated; NaN where nothing is known."""
    width = image.shape[1]
    position = np.arange(width) - shift
    left = np.floor(position).astype(int)
    share = (position - left)[None, :, None]
    known = (left >= 0) & (left + 1 < width)
    safe = np.clip(left, 0, width - 2)
    result = image[:, safe] * (1 - share) + image[:, safe + 1] * share
    if image.dtype == bool:
        return (result > 0.5) & known[None, :, None]
    return np.where(known[None, :, None], result, np.nan)


def grown(mask, margin):
    """A mask (..., h, w) widened by a square."""
    tensor = torch.from_numpy(mask.astype(np.float32)).reshape(-1, 1, *mask.shape[-2:])
    return functional.max_pool2d(tensor, 2 * margin + 1, 1, margin).numpy().reshape(mask.shape) > 0
