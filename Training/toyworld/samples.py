"""Sample pictures from prompts: `python -m toyworld.samples MODEL OUT.png`."""

import argparse
import pathlib

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from .autoencoder import to_frames

PROMPTS = (
    "a cat on the grass", "a tiger on the grass", "a red car on the road", "a blue boat on the water",
    "a panda on the snow", "a lion on the sand", "a dog on the floor", "a rabbit on the snow",
    "watercolor painting of a cat on the grass", "pencil sketch of a dog on the road", "pixel art of a fox on the snow",
    "night photo of a bear on the road", "a yellow star on the floor", "a green tree on the grass",
    "a pink house on the sand", "a purple mushroom on the grass", "a black cat on the floor",
    "a white ball on the water")
"""What the sheets show, row by row."""
COLUMNS = 6


@torch.no_grad()
def sample(prompts, words, text, unet, autoencoder, scheduler, steps, guidance, seed=3):
    """Pictures (n, 128, 128, 3) uint8 of some prompts, by DDIM with classifier-free guidance."""
    texts = [""] * len(prompts) + list(prompts)
    device = next(unet.parameters()).device
    ids = words(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids
    embeddings = text(ids.to(device))[0]
    side, channels = unet.config.sample_size, unet.config.in_channels
    latents = torch.randn(len(prompts), channels, side, side, generator=torch.Generator().manual_seed(seed)).to(device)
    scheduler.set_timesteps(steps)
    for time in scheduler.timesteps:
        both = torch.cat([latents, latents])
        plain, told = unet(both, time, encoder_hidden_states=embeddings).sample.chunk(2)
        latents = scheduler.step(plain + guidance * (told - plain), time, latents).prev_sample
    latents = latents / autoencoder.config.scaling_factor
    return np.concatenate([to_frames(autoencoder.decode(part).sample) for part in latents.split(6)])


def save_sheet(path, words, text, unet, autoencoder, scheduler, steps=25, guidance=3.5):
    """Write the pictures of `PROMPTS` as one PNG."""
    pictures = sample(PROMPTS, words, text, unet, autoencoder, scheduler, steps, guidance)
    rows = [np.concatenate(list(pictures[i:i + COLUMNS]), 1) for i in range(0, len(pictures), COLUMNS)]
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=3.5)
    arguments = parser.parse_args()
    pipeline = StableDiffusionPipeline.from_pretrained(arguments.model, torch_dtype=torch.float32)
    save_sheet(arguments.out, pipeline.tokenizer, pipeline.text_encoder, pipeline.unet, pipeline.vae,
               pipeline.scheduler, arguments.steps, arguments.guidance)


if __name__ == "__main__":
    main()
