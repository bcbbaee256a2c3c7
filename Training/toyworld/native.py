"""Frames at the size a model works at: the 64x64 version and the world's 128x128 are measured alike."""

from torch.nn import functional

from .shapes import SIDE


def native_side(pipeline):
    """Side in pixels of the pictures a model was trained on."""
    return pipeline.unet.config.sample_size * pipeline.vae_scale_factor


def resized(pictures, side):
    """Tensors (n, 3, h, w) scaled to a side, as the tool scales frames."""
    if pictures.shape[-1] == side:
        return pictures
    return functional.interpolate(pictures, (side, side), mode="bilinear", antialias=True)


def to_native(pipeline, pictures):
    return resized(pictures, native_side(pipeline))


def to_world(pictures):
    return resized(pictures, SIDE)
