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
from .device import best_device
from .samples import sample
from .tokenizer import Words
from .world import random_scene


def autoencoder_quality(pipeline, frames):
    """Mean PSNR in dB."""
    values = []
    for frame in frames:
        original = to_tensor(frame[None]).to(pipeline.device)
        result = pipeline.vae.decode(pipeline.vae.encode(original).latent_dist.mode()).sample.clamp(-1, 1)
        values.append(peak_signal_to_noise(result, original))
    return np.mean(values)


def prompt_following(pipeline, judge, count, steps, guidance):
    """Share of pictures in which the judge finds what the prompt asked for, by label."""
    rng = np.random.default_rng(11)
    scenes = [random_scene(rng) for _ in range(count)]
    pictures = []
    for start in range(0, count, 50):
        prompts = [captions.canonical(scene) for scene in scenes[start:start + 50]]
        pictures.append(sample(prompts, pipeline.tokenizer, pipeline.text_encoder, pipeline.unet, pipeline.vae,
                               pipeline.scheduler, steps, guidance, seed=start))
    return classifier.accuracy(judge, np.concatenate(pictures), scenes)


def inversion(pipeline, frames, scenes, truth, steps):
    """PSNR of frames after inversion and generation with guidance 1, and the IoU by word and by kind during inversion.

    The IoU is the mean over the first half of the steps, where the method takes its masks.
    """
    backward = DDIMInverseScheduler.from_config(pipeline.scheduler.config)
    backward.set_timesteps(steps)
    pipeline.scheduler.set_timesteps(steps)
    factor = pipeline.vae.config.scaling_factor
    maps = record(pipeline.unet)
    texts = [captions.canonical(scene) for scene in scenes]
    ids = pipeline.tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids
    ids = ids.to(pipeline.device)
    embeddings = pipeline.text_encoder(ids)[0]
    names = ("kind", "colour", "ground")
    vocabulary = Words()
    words = torch.tensor([[vocabulary.word(word) if word else -1 for word in (s.kind, s.colour, s.ground)]
                          for s in scenes], device=pipeline.device)
    found = ids[:, None, :] == words[..., None]
    masks = torch.from_numpy(truth.astype(np.float32)).to(pipeline.device)[:, [0, 0, 1]]
    originals = to_tensor(frames).to(pipeline.device)
    latents = pipeline.vae.encode(originals).latent_dist.mode() * factor
    overlaps = []
    for index, time in enumerate(backward.timesteps):
        maps.clear()
        latents = backward.step(pipeline.unet(latents, time, embeddings).sample, time, latents).prev_sample
        if index < steps // 2:
            overlaps.append(intersection_over_union(word_maps(maps, found.int().argmax(-1)), masks))
    for time in pipeline.scheduler.timesteps:
        noise = pipeline.unet(latents, time, embeddings).sample
        latents = pipeline.scheduler.step(noise, time, latents).prev_sample
    results = pipeline.vae.decode(latents / factor).sample.clamp(-1, 1)
    psnr = np.mean([peak_signal_to_noise(result, original) for result, original in zip(results, originals)])
    mean, there = torch.stack(overlaps).mean(0), found.any(-1)
    by_word = {name: mean[:, column][there[:, column]].mean().item() for column, name in enumerate(names)}
    by_kind = collections.defaultdict(list)
    for scene, value in zip(scenes, mean[:, 0].tolist()):
        by_kind[scene.kind].append(value)
    return psnr, by_word, {kind: float(np.mean(values)) for kind, values in sorted(by_kind.items())}


def rounded(values, digits):
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path, help="folder with the held-out frames and the judge")
    parser.add_argument("--prompts", type=int, default=300, help="pictures to sample")
    parser.add_argument("--frames", type=int, default=100, help="plain held-out frames to invert")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, nargs="+", default=[3.5])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = best_device()
    pipeline = StableDiffusionPipeline.from_pretrained(arguments.model, torch_dtype=torch.float32).to(device)
    frames, scenes, truth = dataset.held_out(arguments.work)
    judge = classifier.load(arguments.work / "judge.safetensors").to(device)
    print("judge on held-out frames:", rounded(classifier.accuracy(judge, frames, scenes), 3), flush=True)
    plain = [i for i, scene in enumerate(scenes) if scene.style is None][:arguments.frames]
    quality = autoencoder_quality(pipeline, frames[plain])
    print(f"autoencoder: {quality:.1f} dB PSNR, {len(plain)} plain frames", flush=True)
    for guidance in arguments.guidance:
        shares = prompt_following(pipeline, judge, arguments.prompts, arguments.steps, guidance)
        print(f"prompts followed, guidance {guidance}:", rounded(shares, 3), flush=True)
    psnr, by_word, by_kind = inversion(pipeline, frames[plain], [scenes[i] for i in plain], truth[plain],
                                       arguments.steps)
    print(f"inversion and generation, guidance 1: {psnr:.1f} dB PSNR", flush=True)
    print("IoU by word:", rounded(by_word, 2), flush=True)
    print("IoU of the kind's word:", rounded(by_kind, 2), flush=True)


if __name__ == "__main__":
    main()
