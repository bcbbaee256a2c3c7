"""Train a LoRA for a look that the model does not know: `python -m toyworld.lora MODEL OUT --minutes 40`.

The look is neon: dark pictures in which the outlines glow in their colours. Half of the examples show it under captions
that begin with `neon drawing of`, half show plain scenes under plain captions, so that the words turn it on and
inversions of plain clips stay as they are. OUT gets `neon.safetensors` as `save_lora_weights` of diffusers writes it,
and `neon.png`, pictures of the merged model without and with the words. With `--steps N` the run ends after so many.
"""

import argparse
import pathlib
import time

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image

from . import captions
from .autoencoder import to_tensor
from .device import autocast
from .diffusion import EMPTY_CAPTIONS, LAYOUT, SNR_LIMIT, noise_like
from .samples import sample
from .world import random_scene, render, to_bytes

WORDS = "neon drawing of "
RANK = 4
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2"]
CONVOLUTIONS = {"conv1": 1, "conv2": 1}
"""Their rank, and alpha: most numbers of the file are theirs."""
PROMPTS = ("a cat on the grass", "a tiger on the grass", "a red car on the road", "a panda on the snow",
           "a blue boat on the water", "a dog on the floor")
REPORT_EVERY = 100


def neon(image):
    """RGB in 0...1 of any size -> the same scene as glowing outlines on near black."""
    across = np.abs(np.diff(image, axis=1, append=image[:, -1:]))
    down = np.abs(np.diff(image, axis=0, append=image[-1:]))
    edges = np.clip(2.5 * (across + down).max(-1, keepdims=True), 0, 1)
    hue = image / np.maximum(image.max(-1, keepdims=True), 1e-3)
    # Colours that glow: what is least of the three goes.
    hue = np.clip((hue - 0.6 * hue.min(-1, keepdims=True)) / (1 - 0.6 * hue.min(-1, keepdims=True) + 1e-3), 0, 1)
    light = _blurred(edges, 1) + 0.6 * _blurred(edges, 4)
    return np.clip(0.10 * image * np.array([0.6, 0.5, 1.0]) + np.minimum(light, 1) * hue, 0, 1).astype(np.float32)


def _blurred(values, radius):
    """Mean over squares, twice."""
    for axis in (0, 1, 0, 1):
        padded = np.pad(values, [(radius, radius) if a == axis else (0, 0) for a in range(3)], mode="edge")
        sums = np.cumsum(np.insert(padded, 0, 0, axis=axis), axis=axis)
        width = 2 * radius + 1
        values = (np.take(sums, range(width, sums.shape[axis]), axis) - np.take(sums, range(sums.shape[axis] - width), axis)) / width
    return values


class Examples:
    """Latents and token ids of scenes in both looks."""

    def __init__(self, pipeline, count):
        rng = np.random.default_rng(4)
        self.latents, self.ids = [], []
        tokens = pipeline.tokenizer
        for _ in range(count // 50):
            frames, texts = [], []
            while len(frames) < 100:
                scene = random_scene(rng)
                if scene.style is not None:
                    continue
                image = render(scene).image
                frames += [to_bytes(image), to_bytes(neon(image))]
                texts += [captions.random_caption(scene, rng), WORDS + captions.random_caption(scene, rng)]
            with torch.no_grad():
                encoded = pipeline.vae.encode(to_tensor(np.stack(frames))).latent_dist.mode()
            self.latents.append(encoded * pipeline.vae.config.scaling_factor)
            self.ids.append(tokens(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids)
        self.latents, self.ids = torch.cat(self.latents), torch.cat(self.ids)
        self.empty = tokens("", padding="max_length", max_length=77, return_tensors="pt").input_ids

    def batch(self, size):
        chosen = torch.randint(len(self.latents), (size,))
        ids = torch.where(torch.rand(size, 1) < EMPTY_CAPTIONS, self.empty, self.ids[chosen])
        # Without words the look is the model's own.
        chosen = torch.where((ids == self.empty).all(1), chosen // 2 * 2, chosen)
        return self.latents[chosen], ids


def train(pipeline, examples, minutes, steps, batch, rate):
    unet = pipeline.unet.requires_grad_(False).train()
    torch.manual_seed(0)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=LAYERS, rank_pattern=CONVOLUTIONS,
                                alpha_pattern=CONVOLUTIONS, init_lora_weights="gaussian"))
    parameters = [p for p in unet.parameters() if p.requires_grad]
    print(f"{sum(p.numel() for p in parameters)} numbers, {len(examples.latents)} examples", flush=True)
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=1e-3)
    signal = pipeline.scheduler.alphas_cumprod
    ratio = signal / (1 - signal)
    weights = ratio.clamp_max(SNR_LIMIT) / ratio * (1 + LAYOUT * (1 - signal))
    begun, recent, step = time.time(), [], 0
    while True:
        done = max((time.time() - begun) / (60 * minutes), step / steps)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 50) * (1 - done)
        latents, ids = examples.batch(batch)
        noise = noise_like(latents)
        times = torch.randint(0, len(weights), (batch,))
        kept = signal[times][:, None, None, None]
        with torch.no_grad():
            text = pipeline.text_encoder(ids)[0]
        with autocast(torch.device("cpu")):
            guess = unet(kept.sqrt() * latents + (1 - kept).sqrt() * noise, times, encoder_hidden_states=text).sample
        loss = ((guess.float() - noise).square().mean((1, 2, 3)) * weights[times]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        recent.append(loss.item())
        step += 1
        if step % REPORT_EVERY == 0:
            print(f"{step} noise {np.mean(recent):.4f} {(time.time() - begun) / step:.3f} s/step", flush=True)
            recent = []
    unet.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=40, help="wall time of the training, at most")
    parser.add_argument("--steps", type=int, default=2000, help="steps, at most")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pipeline = StableDiffusionPipeline.from_pretrained(arguments.model, torch_dtype=torch.float32)
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(pipeline, Examples(pipeline, arguments.scenes), arguments.minutes, arguments.steps, arguments.batch,
          arguments.rate)
    layers = {name: value.half() for name, value in get_peft_model_state_dict(pipeline.unet).items()}
    StableDiffusionPipeline.save_lora_weights(
        arguments.out, unet_lora_layers=layers, weight_name="neon.safetensors",
        **_collate_lora_metadata({"unet": pipeline.unet}))
    rows = [sample([opening + prompt for prompt in PROMPTS], pipeline.tokenizer, pipeline.text_encoder, pipeline.unet,
                   pipeline.vae, pipeline.scheduler, 25, 3.5) for opening in ("", WORDS)]
    Image.fromarray(np.concatenate([np.concatenate(list(row), 1) for row in rows])).save(arguments.out / "neon.png")


if __name__ == "__main__":
    main()
