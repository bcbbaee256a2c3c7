"""SDEdit (Meng et al., 2022) frame by frame: noise the latents part of the way, denoise them with the target prompt."""

import numpy as np
import torch
from PIL import Image

from toyworld.autoencoder import to_frames, to_tensor

from .methods import GUIDANCE

STRENGTH = 0.6
"""Share of the steps that is denoised."""


@torch.no_grad()
def edit(pipeline, frames, prompt, steps, guidance, seed):
    """Edited frames (n, h, w, 3) of a clip. All frames get the same noise, which is kinder than noise of their own."""
    scheduler = pipeline.scheduler
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps[-round(STRENGTH * steps):]
    texts = ["", prompt]
    ids = pipeline.tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids
    text = pipeline.text_encoder(ids)[0].repeat_interleave(len(frames), 0)
    factor = pipeline.vae.config.scaling_factor
    latents = pipeline.vae.encode(to_tensor(frames)).latent_dist.mode() * factor
    noise = torch.randn(latents[:1].shape, generator=torch.Generator().manual_seed(seed)).expand_as(latents)
    latents = scheduler.add_noise(latents, noise, times[:1])
    for time in times:
        plain, told = pipeline.unet(torch.cat([latents, latents]), time, text).sample.chunk(2)
        latents = scheduler.step(plain + guidance * (told - plain), time, latents).prev_sample
    return to_frames(pipeline.vae.decode(latents / factor).sample)


def run(pipeline, clip, out, description, frames, steps, guidance, kinds):
    for kind in kinds:
        if (out / kind).exists():
            continue
        edited = edit(pipeline, np.stack(frames), description["edits"][kind]["caption"], steps,
                      GUIDANCE.get(kind, guidance), seed=int(clip.name.split("-")[-1]))
        unfinished = out / "unfinished"
        unfinished.mkdir(parents=True, exist_ok=True)
        for index, frame in enumerate(edited):
            Image.fromarray(frame).save(unfinished / f"{index:02}.png")
        unfinished.rename(out / kind)
