"""Measure a model against the goals of its card: `python -m toyworld.evaluate MODEL WORK`.

Prints, for held-out scenes: the autoencoder's PSNR on plain frames; the share of sampled pictures in which the
classifier finds the kind, colour, ground and style asked for; the PSNR after inversion and generation with guidance 1;
the mean IoU of the words' cross-attention maps with the true masks during inversion.
"""

import argparse
import collections
import pathlib

import numpy as np
import torch
from diffusers import DDIMInverseScheduler, StableDiffusionPipeline

from . import captions, classifier, dataset
from .attention_maps import intersection_over_union, record, word_maps
from .autoencoder import to_frames, to_tensor
from .averages import peak_signal_to_noise
from .native import to_native, to_world
from .samples import sample
from .world import random_scene


def autoencoder_quality(pipeline, frames):
    """Mean PSNR in dB, at the model's own size."""
    values = []
    for frame in frames:
        original = to_native(pipeline, to_tensor(frame[None]))
        result = pipeline.vae.decode(pipeline.vae.encode(original).latent_dist.mode()).sample.clamp(-1, 1)
        values.append(peak_signal_to_noise(result, original))
    return np.mean(values)


def prompt_following(pipeline, judge, count, steps, guidance):
    """Share of pictures in which the judge finds what the prompt asked for, by label."""
    rng = np.random.default_rng(11)
    scenes = [random_scene(rng) for _ in range(count)]
    pictures = []
    for start in range(0, count, 12):
        prompts = [captions.canonical(scene) for scene in scenes[start:start + 12]]
        pictures.append(sample(prompts, pipeline.tokenizer, pipeline.text_encoder, pipeline.unet, pipeline.vae,
                               pipeline.scheduler, steps, guidance, seed=start))
    shown = to_frames(to_world(to_tensor(np.concatenate(pictures))))
    return classifier.accuracy(judge, shown, scenes)


def inversion(pipeline, frames, scenes, truth, steps):
    """PSNR of frames after inversion and generation with guidance 1, and the IoU by word during inversion.

    The IoU is the mean over the first half of the steps, where the method takes its masks.
    """
    backward = DDIMInverseScheduler.from_config(pipeline.scheduler.config)
    backward.set_timesteps(steps)
    pipeline.scheduler.set_timesteps(steps)
    factor = pipeline.vae.config.scaling_factor
    maps = record(pipeline.unet)
    psnr, overlap = [], collections.defaultdict(list)
    for frame, scene, (object_mask, ground_mask) in zip(frames, scenes, truth):
        caption = captions.canonical(scene)
        ids = pipeline.tokenizer(caption, padding="max_length", max_length=77, return_tensors="pt").input_ids
        embeddings = pipeline.text_encoder(ids)[0]
        words = {"kind": (scene.kind, object_mask), "colour": (scene.colour, object_mask),
                 "ground": (scene.ground, ground_mask)}
        original = to_native(pipeline, to_tensor(frame[None]))
        latents = pipeline.vae.encode(original).latent_dist.mode() * factor
        for index, time in enumerate(backward.timesteps):
            maps.clear()
            latents = backward.step(pipeline.unet(latents, time, embeddings).sample, time, latents).prev_sample
            if index < steps // 2:
                for label, (word, mask) in words.items():
                    if word is not None:
                        position = (ids[0] == pipeline.tokenizer(word).input_ids[1]).nonzero()[0]
                        found = word_maps(maps, torch.zeros(1, dtype=torch.long), position)
                        target = torch.from_numpy(mask.astype(np.float32))[None]
                        overlap[label].append(intersection_over_union(found, target).item())
        for time in pipeline.scheduler.timesteps:
            noise = pipeline.unet(latents, time, embeddings).sample
            latents = pipeline.scheduler.step(noise, time, latents).prev_sample
        psnr.append(peak_signal_to_noise(pipeline.vae.decode(latents / factor).sample.clamp(-1, 1), original))
    return np.mean(psnr), {label: float(np.mean(values)) for label, values in overlap.items()}


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path, help="folder with the held-out frames and the classifier")
    parser.add_argument("--prompts", type=int, default=300, help="pictures to sample; 0 to leave this out")
    parser.add_argument("--frames", type=int, default=40, help="held-out frames to invert")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=3.5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pipeline = StableDiffusionPipeline.from_pretrained(arguments.model, torch_dtype=torch.float32)
    frames, scenes = dataset.held_out(arguments.work)
    truth = np.load(arguments.work / "truth-000.npy")[-dataset.HELD_OUT:]
    plain = [i for i, scene in enumerate(scenes) if scene.style is None][:arguments.frames]
    quality = autoencoder_quality(pipeline, frames[plain])
    print(f"autoencoder: {quality:.1f} dB PSNR, {len(plain)} plain frames", flush=True)
    psnr, overlap = inversion(pipeline, frames[plain], [scenes[i] for i in plain], truth[plain], arguments.steps)
    print(f"inversion and generation, guidance 1: {psnr:.1f} dB PSNR", flush=True)
    print("IoU of words:", {label: round(value, 2) for label, value in overlap.items()}, flush=True)
    if arguments.prompts:
        judge = classifier.load(arguments.work)
        held_out = classifier.accuracy(judge, frames, scenes)
        print("classifier on held-out frames:", {name: round(value, 3) for name, value in held_out.items()}, flush=True)
        shares = prompt_following(pipeline, judge, arguments.prompts, arguments.steps, arguments.guidance)
        print("prompts followed:", {name: round(value, 3) for name, value in shares.items()}, flush=True)


if __name__ == "__main__":
    main()
