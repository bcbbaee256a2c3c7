"""Start a model from a smaller one: the same networks for frames of half the side and latents of fewer channels.

The first latent channels mean what they meant (a frame of half the side), the others are details to be learned.
"""

import torch
from torch.nn import functional


@torch.no_grad()
def grow_autoencoder(model, small):
    """Copy the weights of `small`, which has one level and some latent channels less, into `model`."""
    channels, fewer = model.config.latent_channels, small.config.latent_channels
    moments = list(range(fewer)) + list(range(channels, channels + fewer))
    old, new = small.state_dict(), model.state_dict()
    for name, value in new.items():
        source = _moved_level(name)
        if source in old and old[source].shape == value.shape and not name.startswith("encoder.conv_in"):
            value.copy_(old[source])
    for end in ("weight", "bias"):
        new[f"encoder.conv_out.{end}"][moments] = old[f"encoder.conv_out.{end}"]
        new[f"quant_conv.{end}"].copy_(_identity(new[f"quant_conv.{end}"]))
        new[f"post_quant_conv.{end}"].copy_(_identity(new[f"post_quant_conv.{end}"]))
    # The details start with little noise.
    new["encoder.conv_out.bias"][channels + fewer:] = -4
    rows = torch.tensor(moments)
    new["quant_conv.weight"][rows[:, None], rows] = old["quant_conv.weight"]
    new["quant_conv.bias"][rows] = old["quant_conv.bias"]
    new["post_quant_conv.weight"][:fewer, :fewer] = old["post_quant_conv.weight"]
    new["post_quant_conv.bias"][:fewer] = old["post_quant_conv.bias"]
    new["decoder.conv_in.weight"][:, :fewer] = old["decoder.conv_in.weight"]
    new["decoder.conv_in.bias"].copy_(old["decoder.conv_in.bias"])


def latents_of_half(small, frames):
    """The latents that `small` gives frames of half the side."""
    with torch.no_grad():
        return small.encode(functional.avg_pool2d(frames, 2)).latent_dist.mode()


@torch.no_grad()
def grow_unet(model, small):
    """Copy the weights of `small`, which has fewer latent channels and at least the same layers, into `model`."""
    fewer = small.config.in_channels
    old, new = small.state_dict(), model.state_dict()
    for name, value in new.items():
        if name == "conv_in.weight":
            value[:, :fewer] = old[name]
            value[:, fewer:] *= 0.3
        elif name.startswith("conv_out"):
            value[:fewer] = old[name]
        else:
            value.copy_(old[name])


def _moved_level(name):
    """The name in the smaller encoder, which lacks the level of the full frame."""
    parts = name.split(".")
    if name.startswith("encoder.down_blocks."):
        parts[2] = str(int(parts[2]) - 1)
    return ".".join(parts)


def _identity(value):
    result = torch.zeros_like(value)
    if value.ndim > 1:
        for index in range(min(value.shape[:2])):
            result[index, index] = 1
    return result
