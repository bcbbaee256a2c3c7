"""Train the autoencoder and encode the frames: `python -m toyworld.autoencoder WORK --minutes 120`.

An AutoencoderKL of factor 8: 128x128 frames, latents of 16 channels at 16x16. Resumes from `WORK/autoencoder.pt`. Writes
`WORK/model/vae` and then `WORK/latents-NNN.npy`, encoded means before scaling.
"""

import argparse
import pathlib

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch.nn import functional

from . import dataset
from .averages import AveragedWeights, peak_signal_to_noise, save_atomically, swapped
from .device import autocast, best_device
from .schedule import Schedule
from .shapes import SIDE

SWAPPED_CHANNELS = 0.2
"""Share of the frames whose red, green and blue are swapped, so that all colours are equally common."""
DIVERGENCE = 5e-5
"""Weight of the Kullback-Leibler divergence, as small as that of Rombach et al., 2022, section G."""
REPORT_EVERY, CHECKPOINT_EVERY = 200, 1000


def new_autoencoder():
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=16, sample_size=SIDE, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(32, 64, 96, 128), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4)


def to_tensor(frames):
    """8-bit frames (n, h, w, 3) as a tensor (n, 3, h, w) in -1...1."""
    frames = frames if torch.is_tensor(frames) else torch.from_numpy(np.array(frames))
    return frames.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_frames(values):
    return values.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def random_frames(frames, batch):
    """A batch of frames, half of them mirrored, some with swapped channels."""
    device = frames.device
    chosen = to_tensor(frames[torch.randint(len(frames), (batch,), device=device)])
    mirrored = torch.rand(batch, 1, 1, 1, device=device) < 0.5
    chosen = torch.where(mirrored, chosen.flip(3), chosen)
    order = torch.rand(batch, 3, device=device).argsort(1)[..., None, None].expand_as(chosen)
    swapped_channels = torch.rand(batch, 1, 1, 1, device=device) < SWAPPED_CHANNELS
    return torch.where(swapped_channels, chosen.gather(1, order), chosen)


def reconstruction_loss(result, original):
    """Absolute and squared error, the error of the first differences (sharp edges) and of the colour of 4x4 cells.

    Without the last, rare colours are taken for common ones of the same brightness: a pink car becomes a beige one.
    """
    error = result - original
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    cells = functional.avg_pool2d(error, 4)
    colour = (cells - cells.mean(1, keepdim=True)).abs().mean() + 4 * cells.square().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges + 4 * colour


def train(work, minutes, batch, rate):
    """Train for some minutes more."""
    device = best_device()
    frames = torch.from_numpy(dataset.training(work, "frames", dataset.numbers(work))).to(device)
    torch.manual_seed(0)
    model = new_autoencoder().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.97), weight_decay=1e-4)
    averages, first = AveragedWeights(model), 0
    checkpoint = work / "autoencoder.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        averages.values, first = state["averages"], state["step"]
    torch.manual_seed(first)

    def save(step):
        save_atomically({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                         "averages": averages.values, "step": step}, checkpoint)

    print(f"{len(frames)} frames, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, "
          f"from step {first}", flush=True)
    schedule = Schedule(minutes, minutes / 2, first)
    for step, factor in schedule:
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        original = random_frames(frames, batch).contiguous(memory_format=torch.channels_last)
        with autocast(device):
            posterior = model.encode(original).latent_dist
            result = model.decode(posterior.sample()).sample
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        loss = reconstruction_loss(result.float(), original) + DIVERGENCE * divergence
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averages.update(model, step)
        if step % REPORT_EVERY == 0:
            print(f"{step} loss {loss.item():.4f} {schedule.seconds_per_step():.3f} s/step", flush=True)
        if step % CHECKPOINT_EVERY == 0:
            save(step)
            with swapped(model, averages):
                report(work, model)
    save(schedule.step)
    with swapped(model, averages):
        report(work, model)
        encode_all(work, model)


@torch.no_grad()
def report(work, model):
    """Print the PSNR of held-out frames by style and write a sheet of originals over reconstructions."""
    frames, scenes, _ = dataset.held_out(work)
    frames, scenes = frames[:100], scenes[:100]
    originals = to_tensor(frames)
    results = torch.cat([model.decode(model.encode(part.to(model.device)).latent_dist.mode()).sample.clamp(-1, 1).cpu()
                         for part in originals.split(20)])
    values = {}
    for scene, result, original in zip(scenes, results, originals):
        values.setdefault(scene.style or "plain", []).append(peak_signal_to_noise(result, original))
    print("  held out:", ", ".join(f"{style} {np.mean(found):.1f} dB" for style, found in sorted(values.items())),
          flush=True)
    shown = list(range(0, 100, 5))
    rows = [np.concatenate(list(part[shown[i:i + 10]]), 1) for i in (0, 10) for part in (frames, to_frames(results))]
    Image.fromarray(np.concatenate(rows, 0)).save(work / "autoencoder.png")


@torch.no_grad()
def encode_all(work, model):
    """Give the latents' channels the standard deviation 1, encode every shard, write the model."""
    balance(model, encode(model, np.load(work / "frames-000.npy")))
    for number in dataset.numbers(work):
        latents = encode(model, np.load(work / f"frames-{number:03}.npy"))
        np.save(work / f"latents-{number:03}.npy", latents.astype(np.float16))
    model.register_to_config(scaling_factor=1.0)
    model.save_pretrained(work / "model" / "vae")


def encode(model, frames):
    """Means of the latents, (n, channels, rows, columns)."""
    parts = []
    for i in range(0, len(frames), 50):
        part = to_tensor(frames[i:i + 50]).to(model.device)
        parts.append(model.encode(part.contiguous(memory_format=torch.channels_last)).latent_dist.mode())
    return torch.cat(parts).contiguous().cpu().numpy()


def balance(model, latents):
    """Give each channel of the latents the standard deviation 1.

    The pointwise convolutions at the latents take the factors up: what the autoencoder computes stays the same.
    """
    factor = 1 / torch.from_numpy(latents.std((0, 2, 3))).to(model.device)
    channels = len(factor)
    model.quant_conv.weight[:channels] *= factor[:, None, None, None]
    model.quant_conv.bias[:channels] *= factor
    model.quant_conv.bias[channels:] += 2 * factor.log()
    model.post_quant_conv.weight /= factor[None, :, None, None]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=120, help="wall time of this run")
    parser.add_argument("--batch", type=int, default=16, help="frames in a step")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.work, arguments.minutes, arguments.batch, arguments.rate)


if __name__ == "__main__":
    main()
