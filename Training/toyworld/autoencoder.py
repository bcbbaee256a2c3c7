"""Train the autoencoder and encode the frames: `python -m toyworld.autoencoder WORK --steps 2500`.

An AutoencoderKL of factor 4 (128x128 frames, 32x32x4 latents), trained on crops of 64x64. Resumes from
`WORK/autoencoder.pt`. Writes `WORK/model/vae` and then `WORK/latents-NNN.npy`, encoded means before scaling.
"""

import argparse
import math
import pathlib
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch.nn import functional

from . import dataset
from .averages import AveragedWeights, peak_signal_to_noise, save_atomically, swapped
from .shapes import SIDE

CROP = 64
BATCH = 16
SWAPPED_CHANNELS = 0.3
CHECKPOINT_EVERY = 200


def new_autoencoder():
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=SIDE, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(32, 64, 96), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3)


def to_tensor(frames):
    """8-bit frames (n, h, w, 3) as a tensor (n, 3, h, w) in -1...1."""
    values = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return values.contiguous(memory_format=torch.channels_last)


def to_frames(values):
    return values.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()


def random_crops(shards, rng):
    """A batch of crops, some mirrored, some with their channels swapped so that all colours are equally common."""
    crops = []
    for _ in range(BATCH):
        frames = shards[rng.integers(len(shards))]
        top, left = rng.integers(0, SIDE - CROP + 1, 2)
        crop = frames[rng.integers(len(frames)), top:top + CROP, left:left + CROP]
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        crops.append(crop[..., rng.permutation(3)] if rng.random() < SWAPPED_CHANNELS else crop)
    return to_tensor(np.stack(crops))


def reconstruction_loss(result, original):
    """Absolute and squared error, the error of the first differences (sharp edges) and of the colour of 4x4 cells.

    Without the last, rare colours are taken for common ones of the same brightness: a pink car becomes a beige one.
    """
    error = result - original
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    cells = functional.avg_pool2d(error, 4)
    colour = (cells - cells.mean(1, keepdim=True)).abs().mean() + 4 * cells.square().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges + 2 * colour


def train(work, steps, rate, initial):
    """Train to `steps` steps in all."""
    shards = dataset.training_frames(work)
    model = AutoencoderKL.from_pretrained(initial).float() if initial else new_autoencoder()
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.97), weight_decay=1e-4)
    averages, done = AveragedWeights(model), 0
    checkpoint = work / "autoencoder.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        averages.values, done = state["averages"], state["step"]
    rng = np.random.default_rng(done)
    torch.manual_seed(done)
    start, first = time.time(), done
    for step in range(done + 1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate * (min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 0.01)
        original = random_crops(shards, rng)
        posterior = model.encode(original).latent_dist
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss = reconstruction_loss(model.decode(posterior.sample()).sample, original) + 5e-5 * divergence
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averages.update(model, step)
        if step % 50 == 0:
            print(f"{step} loss {loss.item():.4f} {(time.time() - start) / (step - first):.2f} s/step", flush=True)
        if step % CHECKPOINT_EVERY == 0 or step == steps:
            save_atomically({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                             "averages": averages.values, "step": step}, checkpoint)
            with swapped(model, averages):
                report(work, model)
    with swapped(model, averages):
        encode_all(work, model)


@torch.no_grad()
def report(work, model):
    """Print the PSNR of held-out frames by style and write a sheet of originals over reconstructions."""
    frames, scenes = dataset.held_out(work)
    frames, scenes = frames[:48], scenes[:48]
    originals = to_tensor(frames)
    results = torch.cat([model.decode(model.encode(part).latent_dist.mode()).sample.clamp(-1, 1)
                         for part in originals.split(8)])
    for style in sorted({scene.style or "plain" for scene in scenes}):
        chosen = [i for i, scene in enumerate(scenes) if (scene.style or "plain") == style]
        values = [peak_signal_to_noise(results[i], originals[i]) for i in chosen]
        print(f"  held out, {style}: {np.mean(values):.1f} dB PSNR, {len(values)} frames", flush=True)
    rows = [np.concatenate(list(part[:10]), 1) for part in (frames, to_frames(results))]
    Image.fromarray(np.concatenate(rows, 0)).save(work / "autoencoder.png")


@torch.no_grad()
def encode_all(work, model):
    """Encode every shard that is not yet; the scaling factor comes from the first one."""
    for number in dataset.numbers(work, "frames"):
        path = work / f"latents-{number:03}.npy"
        if not path.exists():
            frames = np.load(work / f"frames-{number:03}.npy")
            latents = [model.encode(to_tensor(frames[i:i + 20])).latent_dist.mode() for i in range(0, len(frames), 20)]
            np.save(path, torch.cat(latents).contiguous().numpy().astype(np.float16))
            print("encoded shard", number, flush=True)
    spread = np.load(work / "latents-000.npy").astype(np.float32).std()
    model.register_to_config(scaling_factor=float(1 / spread))
    model.save_pretrained(work / "model" / "vae")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=2500, help="of 16 crops, in all runs together")
    parser.add_argument("--rate", type=float, default=1.2e-3, help="highest learning rate")
    parser.add_argument("--initial", type=pathlib.Path, help="folder of an autoencoder to start from")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.work, arguments.steps, arguments.rate, arguments.initial)


if __name__ == "__main__":
    main()
