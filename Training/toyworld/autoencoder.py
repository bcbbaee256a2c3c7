"""Train the autoencoder and encode the frames: `python -m toyworld.autoencoder WORK --steps 2500`.

An AutoencoderKL of factor 8 (128x128 frames, 16x16x16 latents), trained on crops of 64x64 and at the end on whole frames.
Resumes from `WORK/autoencoder.pt`. Writes `WORK/model/vae` and then `WORK/latents-NNN.npy`, encoded means before
scaling.
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
from .device import autocast, best_device
from .growth import grow_autoencoder, latents_of_half
from .shapes import SIDE

CROP = 64
WHOLE_FRAMES = 0.2
"""Share of the steps, the last, on whole frames: group normalisation and attention see other statistics in a crop."""
SWAPPED_CHANNELS = 0.2
CHECKPOINT_EVERY = 200


def new_autoencoder():
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=16, sample_size=SIDE, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(16, 32, 64, 96), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4)


def to_tensor(frames):
    """8-bit frames (n, h, w, 3) as a tensor (n, 3, h, w) in -1...1."""
    values = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return values.contiguous(memory_format=torch.channels_last)


def to_frames(values):
    return values.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).numpy()


def random_crops(shards, rng, side, batch):
    """A batch of crops, some mirrored, some with their channels swapped so that all colours are equally common."""
    crops = []
    for _ in range(batch):
        frames = shards[rng.integers(len(shards))]
        top, left = rng.integers(0, SIDE - side + 1, 2)
        crop = frames[rng.integers(len(frames)), top:top + side, left:left + side]
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
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges + 4 * colour


def train(work, steps, batch, rate, initial):
    """Train to `steps` steps in all."""
    device = best_device()
    model = new_autoencoder().to(device)
    small = AutoencoderKL.from_pretrained(initial).float().eval().to(device) if initial else None
    if small:
        grow_autoencoder(model, small)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.97), weight_decay=1e-4)
    averages, done = AveragedWeights(model), 0
    checkpoint = work / "autoencoder.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        averages.values, done = state["averages"], state["step"]
    rng = np.random.default_rng(done)
    torch.manual_seed(done)
    start, first = time.time(), done
    for step in range(done + 1, steps + 1):
        if (step - 1) % CHECKPOINT_EVERY == 0 or step == done + 1:
            shards = dataset.training_frames(work)
        whole = step > steps * (1 - WHOLE_FRAMES)
        for group in optimizer.param_groups:
            group["lr"] = rate * (min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 0.01)
        original = random_crops(shards, rng, *((SIDE, batch // 4) if whole else (CROP, batch))).to(device)
        with autocast(device):
            posterior = model.encode(original).latent_dist
            result = model.decode(posterior.sample()).sample.float()
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss = reconstruction_loss(result, original) + 5e-5 * divergence
        if small:
            target = latents_of_half(small, original)
            kept = posterior.mean[:, :target.shape[1]]
            loss = loss + 0.5 * ((kept - target) * small.config.scaling_factor).square().mean()
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
        encode_all(work, model, small)


def refine_decoder(work, steps, batch, rate):
    """Train the decoder alone for some steps more, on encoded frames: the latents stay what they are."""
    device = best_device()
    model = AutoencoderKL.from_pretrained(work / "model" / "vae").to(device, memory_format=torch.channels_last).train()
    part = torch.nn.ModuleDict({"decoder": model.decoder, "post_quant_conv": model.post_quant_conv})
    optimizer = torch.optim.AdamW(part.parameters(), lr=rate, betas=(0.9, 0.97), weight_decay=1e-4)
    averages = AveragedWeights(part)
    numbers = dataset.numbers(work, "latents")
    shards = [(dataset.without_held_out(np.load(work / f"latents-{n:03}.npy"), n),
               dataset.without_held_out(np.load(work / f"frames-{n:03}.npy", mmap_mode="r"), n)) for n in numbers]
    rng = np.random.default_rng()
    start = time.time()
    for step in range(1, steps + 1):
        whole = step > steps * (1 - WHOLE_FRAMES)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 50) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + rate / 100
        side, count = (SIDE, max(1, batch // 4)) if whole else (CROP, batch)
        latents, frames = encoded_crops(shards, rng, side, count)
        with autocast(device):
            result = model.decode(latents.to(device)).sample.float()
        loss = reconstruction_loss(result, frames.to(device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        averages.update(part, step)
        if step % 50 == 0:
            print(f"decoder {step} loss {loss.item():.4f} {(time.time() - start) / step:.2f} s/step", flush=True)
        if step % CHECKPOINT_EVERY == 0 or step == steps:
            with swapped(part, averages):
                report(work, model)
                model.save_pretrained(work / "model" / "vae")


def encoded_crops(shards, rng, side, batch):
    """Latents and frames of the same places; places start at whole cells of the latents."""
    cells, latents, crops = side // 8, [], []
    for _ in range(batch):
        encoded, frames = shards[rng.integers(len(shards))]
        index = rng.integers(len(frames))
        row, column = rng.integers(0, (SIDE - side) // 8 + 1, 2)
        latents.append(encoded[index, :, row:row + cells, column:column + cells])
        crops.append(frames[index, row * 8:row * 8 + side, column * 8:column * 8 + side])
    return torch.from_numpy(np.stack(latents).astype(np.float32)), to_tensor(np.stack(crops))


@torch.no_grad()
def report(work, model):
    """Print the PSNR of held-out frames by style and write a sheet of originals over reconstructions."""
    frames, scenes = dataset.held_out(work)
    frames, scenes = frames[:48], scenes[:48]
    originals = to_tensor(frames)
    results = torch.cat([model.decode(model.encode(part.to(model.device)).latent_dist.mode()).sample.clamp(-1, 1).cpu()
                         for part in originals.split(8)])
    for style in sorted({scene.style or "plain" for scene in scenes}):
        chosen = [i for i, scene in enumerate(scenes) if (scene.style or "plain") == style]
        values = [peak_signal_to_noise(results[i], originals[i]) for i in chosen]
        print(f"  held out, {style}: {np.mean(values):.1f} dB PSNR, {len(values)} frames", flush=True)
    rows = [np.concatenate(list(part[:10]), 1) for part in (frames, to_frames(results))]
    Image.fromarray(np.concatenate(rows, 0)).save(work / "autoencoder.png")


@torch.no_grad()
def encode_all(work, model, small=None):
    """Balance the latents' channels and encode every shard that is not yet encoded."""
    for number in dataset.numbers(work, "frames"):
        path = work / f"latents-{number:03}.npy"
        if not path.exists():
            frames = np.load(work / f"frames-{number:03}.npy")
            if number == 0:
                balance(model, encode(model, frames), small)
            np.save(path, encode(model, frames).astype(np.float16))
            print("encoded shard", number, flush=True)
    model.save_pretrained(work / "model" / "vae")


def encode(model, frames):
    """Means of the latents, (n, channels, rows, columns)."""
    parts = [model.encode(to_tensor(frames[i:i + 20]).to(model.device)).latent_dist.mode()
             for i in range(0, len(frames), 20)]
    return torch.cat(parts).contiguous().cpu().numpy()


def balance(model, latents, small):
    """Give the latents' channels the standard deviation 1, or after growth the details half of that.

    Channels that were grown from keep their meaning and scale. The pointwise convolutions at the latents take the
    factors up: what the autoencoder computes stays the same.
    """
    kept = small.config.latent_channels if small else 0
    scaling = small.config.scaling_factor if small else 1.0
    spread = torch.from_numpy(latents.std((0, 2, 3))).to(model.device)
    factor = (0.5 if small else 1.0) / (spread * scaling)
    factor[:kept] = 1
    channels = len(factor)
    model.quant_conv.weight[:channels] *= factor[:, None, None, None]
    model.quant_conv.bias[:channels] *= factor
    model.quant_conv.bias[channels:] += 2 * factor.log()
    model.post_quant_conv.weight /= factor[None, :, None, None]
    model.register_to_config(scaling_factor=scaling)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=2500, help="in all runs together")
    parser.add_argument("--batch", type=int, default=16, help="crops in a step")
    parser.add_argument("--decoder-steps", type=int, default=0, help="train the finished decoder so many steps more")
    parser.add_argument("--rate", type=float, default=1.2e-3, help="highest learning rate")
    parser.add_argument("--initial", type=pathlib.Path, help="folder of the autoencoder of a smaller model to grow from")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.decoder_steps:
        refine_decoder(arguments.work, arguments.decoder_steps, arguments.batch, arguments.rate)
    else:
        train(arguments.work, arguments.steps, arguments.batch, arguments.rate, arguments.initial)


if __name__ == "__main__":
    main()
