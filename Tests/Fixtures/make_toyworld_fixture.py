#!/usr/bin/env python3
"""Makes Tests/Fixtures/toyworld/expected.safetensors: what diffusers and transformers compute with Models/toyworld.

    pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6 pillow
    python3 Tests/Fixtures/make_toyworld_fixture.py

To be run again when the model changes. Inputs are kept in float16, which holds them exactly, outputs in float32.
"""

import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Training"))
from toyworld.autoencoder import to_tensor  # noqa: E402
from toyworld.world import Scene, render, to_bytes  # noqa: E402

PROMPTS = ["", "a tiger on the grass"]


@torch.no_grad()
def main():
    pipeline = StableDiffusionPipeline.from_pretrained(REPOSITORY / "Models/toyworld", torch_dtype=torch.float32)
    tokens = pipeline.tokenizer(PROMPTS, padding="max_length", max_length=77, return_tensors="pt").input_ids
    states = pipeline.text_encoder(tokens)[0]
    frame = to_bytes(render(Scene(kind="cat", ground="grass", seed=3)).image)
    image = to_tensor(frame[None]).half().float()
    mean = pipeline.vae.encode(image).latent_dist.mode()
    side = pipeline.unet.config.sample_size
    shape = (1, pipeline.unet.config.in_channels, side, side)
    sample = torch.randn(shape, generator=torch.Generator().manual_seed(0)).half().float()
    tensors = {
        "text.tokens": tokens.to(torch.int32), "text.last_hidden_state": states, "unet.sample": sample.half(),
        "vae.image": image.half(), "vae.mean": mean,
        # A corner, to keep the file small.
        "vae.decoded": pipeline.vae.decode(mean[..., :side // 2, :side // 2]).sample,
    }
    for time in (1, 500, 981):
        tensors[f"unet.t{time}.noise"] = pipeline.unet(sample, time, states[1:]).sample
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, REPOSITORY / "Tests/Fixtures/toyworld/expected.safetensors")


if __name__ == "__main__":
    main()
