"""Cross-attention maps of words, and the loss that makes them show where the words are.

Left alone, a model this small looks at a word from anywhere: its maps are nearly flat, and no blending mask can be cut
from them. The world knows the true masks, so the training asks for them.
"""

import math

import torch


class RecordingCrossAttention:
    """A diffusers attention processor that also keeps the attention probabilities."""

    def __init__(self, maps):
        self.maps = maps

    def __call__(self, attention, hidden_states, encoder_hidden_states=None, attention_mask=None, **ignored):
        batch, _, channels = hidden_states.shape
        heads = attention.heads

        def split(values):
            return values.view(batch, -1, heads, channels // heads).transpose(1, 2)

        query = split(attention.to_q(hidden_states))
        key, value = split(attention.to_k(encoder_hidden_states)), split(attention.to_v(encoder_hidden_states))
        scores = query @ key.transpose(-1, -2) / math.sqrt(channels // heads)
        probabilities = torch.softmax(scores.float(), -1)
        self.maps.append(probabilities.mean(1))
        result = (probabilities.to(value.dtype) @ value).transpose(1, 2).reshape(batch, -1, channels)
        return attention.to_out[0](result)


def record(unet):
    """Make the cross-attention layers of a UNet append their maps (batch, cells, tokens), head means, to a list.

    Not those of the middle block: its cells are too coarse for masks.
    """
    maps = []
    processors = {name: RecordingCrossAttention(maps) if "attn2" in name and not name.startswith("mid_block")
                  else processor for name, processor in unet.attn_processors.items()}
    unet.set_attn_processor(processors)
    return maps


def word_maps(maps, positions):
    """The maps of some words of each caption, divided by their maximum: (layers, batch, words, side, side).

    `positions` (batch, words) are the words' tokens. All layers have one resolution.
    """
    index = positions[:, None, :].expand(-1, maps[0].shape[1], -1)
    chosen = torch.stack([layer.gather(2, index) for layer in maps]).mT
    chosen = chosen / chosen.amax(-1, keepdim=True).clamp_min(1e-6)
    side = math.isqrt(chosen.shape[-1])
    return chosen.unflatten(-1, (side, side))


def localization_loss(maps, truth):
    """How far maps (layers, batch, words, side, side) are from the truth (batch, words, side, side), for each word.

    The squared error, averaged inside and outside of the truth separately so that small objects count as much as
    wide grounds.
    """
    error = (maps - truth).square().mean(0)
    inside, outside = truth, 1 - truth
    return 0.5 * ((error * inside).sum((-2, -1)) / inside.sum((-2, -1)).clamp_min(1)
                  + (error * outside).sum((-2, -1)) / outside.sum((-2, -1)).clamp_min(1))


def intersection_over_union(maps, truth, threshold=0.3):
    """IoU of the thresholded mean map with the truth above one half, for each word."""
    mean = maps.mean(0)
    found = mean / mean.amax((-2, -1), keepdim=True) > threshold
    there = truth > 0.5
    union = (found | there).sum((-2, -1)).clamp_min(1)
    return (found & there).sum((-2, -1)) / union
