#!/usr/bin/env python3
"""Makes Tests/Fixtures/modules: small random Stable Diffusion models and what diffusers and transformers compute.

    pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
    python3 Tests/Fixtures/make_module_fixtures.py [FOLDER]

modules/NAME is a complete diffusers folder as `save_pretrained` writes it today; `expected.safetensors` holds inputs
and float32 outputs, `tiled.safetensors` what the autoencoder makes of parts of these inputs in tiles, `expected.json`
the prompts, the time steps and the package versions. Every weight is representable in the type that it is stored in, so
there is nothing to round on either side. README.md there says what each tensor is.
"""

import json
import math
import shutil
import sys
from pathlib import Path

import diffusers
import numpy
import safetensors
import torch
import transformers
from diffusers import AutoencoderKL, DDIMInverseScheduler, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

PROMPTS = [
    "",
    "a cat on the grass",
    "A silver jeep, driving down a curvy road; it's 10:45 (caf\u00e9 \u00fcber \u732b \U0001f431)",
]
SIZES = [(72, 104), (64, 96)]  # height, width in pixels
LATENTS = [(9, 13), (8, 12)]  # height, width; with a VAE factor of 8 those of SIZES
# Height and width in pixels of the upper left part of the first image, and a tile's side in latents. The last tiles have
# sides of 3 and 1 latents, of 2, of 2 (in one direction only; in the other the image is smaller than a tile), of 2 and 5
# with pixels over; at a VAE factor of 4 of 6 and 2, of 6.
TILED = {"sd1": [(72, 104, 8), (64, 64, 4), (16, 64, 4), (70, 92, 8)], "three": [(72, 104, 16), (48, 48, 8)]}

SD_UNET = dict(sample_size=8, in_channels=4, out_channels=4, norm_num_groups=4, layers_per_block=2)
SD_VAE = dict(sample_size=64, latent_channels=4, norm_num_groups=4, layers_per_block=2)
SD_BETAS = dict(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
)

MODELS = {
    # Stable Diffusion 1: convolutional projections, one number of heads, quick GELU, epsilon.
    "sd1": dict(
        unet=dict(SD_UNET, block_out_channels=(8, 16, 16, 24), cross_attention_dim=32, attention_head_dim=4),
        vae=dict(
            SD_VAE,
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        text=dict(
            hidden_size=32, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, hidden_act="quick_gelu"
        ),
        # clip_sample is not PNDM's, but in the published configuration; without it DDIM would clip.
        scheduler=PNDMScheduler.from_config(
            dict(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                skip_prk_steps=True,
                set_alpha_to_one=False,
                steps_offset=1,
                clip_sample=False,
            )
        ),
        pad="<|endoftext|>",
        types=dict(unet=torch.float16, vae=torch.float16, text_encoder=torch.float16),
        shard=None,
    ),
    # Stable Diffusion 2: linear projections, heads per level, GELU, v-prediction; the UNet in several files.
    "sd2": dict(
        unet=dict(
            SD_UNET,
            block_out_channels=(8, 16, 24, 24),
            cross_attention_dim=24,
            attention_head_dim=[2, 4, 3, 4],
            use_linear_projection=True,
        ),
        vae=dict(
            SD_VAE,
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        text=dict(hidden_size=24, intermediate_size=80, num_hidden_layers=3, num_attention_heads=3, hidden_act="gelu"),
        scheduler=DDIMScheduler(prediction_type="v_prediction", **SD_BETAS),
        pad="!",
        types=dict(unet=torch.float16, vae=torch.float16, text_encoder=torch.float16),
        shard="500KB",
    ),
    # Three levels in both networks, no attention in the first; another schedule and scaling factor; bf16 and f32 files.
    "three": dict(
        unet=dict(
            SD_UNET,
            block_out_channels=(8, 16, 24),
            cross_attention_dim=16,
            attention_head_dim=2,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        vae=dict(
            SD_VAE,
            block_out_channels=(8, 8, 16),
            layers_per_block=1,
            scaling_factor=0.25,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
        ),
        text=dict(
            hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, hidden_act="quick_gelu"
        ),
        scheduler=DDIMScheduler(
            beta_schedule="squaredcos_cap_v2", clip_sample=False, set_alpha_to_one=True, steps_offset=0
        ),
        pad="<|endoftext|>",
        types=dict(unet=torch.bfloat16, vae=torch.float32, text_encoder=torch.float16),
        shard=None,
    ),
}


# MARK: tokenizer


def byte_characters():
    """The printable character that stands for each byte in CLIP's vocabulary, in the vocabulary's order."""
    kept = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [b for b in range(256) if b not in kept]
    return [chr(b) for b in kept] + [chr(256 + i) for i in range(len(moved))]


def merges_for(words, count):
    """Byte-pair merges by frequency, ties by order of appearance."""
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = []
    while len(merges) < count:
        frequency = {}
        for piece in pieces:
            for pair in zip(piece, piece[1:]):
                frequency[pair] = frequency.get(pair, 0) + 1
        if not frequency:
            break
        best = max(frequency, key=frequency.get)
        merges.append(best)
        for piece in pieces:
            i = 0
            while i + 1 < len(piece):
                if (piece[i], piece[i + 1]) == best:
                    piece[i : i + 2] = ["".join(best)]
                i += 1
    return merges


def save_tokenizer(folder, pad):
    folder.mkdir(parents=True)
    words = (
        "a cat on the grass tiger the silver jeep driving down a curvy road in watercolor painting of the cat".split()
    )
    merges = merges_for(words, 60)
    characters = byte_characters()
    pieces = characters + [c + "</w>" for c in characters] + ["".join(pair) for pair in merges]
    vocabulary = {piece: i for i, piece in enumerate(pieces + ["<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token=pad)
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            dict(
                special,
                add_prefix_space=False,
                do_lower_case=True,
                errors="replace",
                model_max_length=77,
                tokenizer_class="CLIPTokenizer",
            ),
            indent=2,
        )
    )
    return len(vocabulary), vocabulary


# MARK: weights


def randomise(model, generator, dtype):
    """Weights that keep activations near 1 and let every parameter count: no norm is the identity, no softmax flat."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name or "group_norm" in name:
            value = 0.2 * noise + (1 if name.endswith("weight") else 0)
        elif "embedding" in name and parameter.ndim == 2 and "time_embedding" not in name:
            value = 0.5 * noise
        elif parameter.ndim == 1:
            value = 0.1 * noise
        else:
            sharp = any(part in name for part in ("to_q", "to_k", "q_proj", "k_proj"))
            value = noise * (2.0 if sharp else 0.8) / math.sqrt(parameter[0].numel())
        parameter.data = value.to(dtype).to(torch.float32)


def save_component(model, folder, dtype, shard):
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    model.to(torch.float32)


# MARK: expected values


def hooked(modules, run):
    """Outputs of the named modules during `run`."""
    seen = {}
    handles = []
    for name, module in modules.items():

        def hook(_, __, output, name=name):
            seen[name] = (output[0] if isinstance(output, tuple) else output).detach().clone()

        handles.append(module.register_forward_hook(hook))
    run()
    for handle in handles:
        handle.remove()
    return seen


def exact(shape, generator):
    """Random input that is representable in half precision."""
    return torch.randn(shape, generator=generator).half().float()


@torch.no_grad()
def expected(name, unet, vae, text, tokenizer, scheduler_config, generator):
    """Inputs are kept in float16, which holds them exactly, outputs in float32."""
    tensors = {}
    tokens = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
    states = text(tokens, output_hidden_states=True)
    tensors["text.tokens"] = tokens.to(torch.int32)
    tensors["text.last_hidden_state"] = states.last_hidden_state
    for i, hidden in enumerate(states.hidden_states[:-1]):
        tensors[f"text.hidden.{i}"] = hidden[1:2]

    timesteps = [981, 1, 500]
    context = states.last_hidden_state[[1, 2]]
    for height, width in LATENTS:
        sample = exact((2, 4, height, width), generator)
        tensors[f"unet.{height}x{width}.sample"] = sample
        for t in timesteps:
            tensors[f"unet.{height}x{width}.t{t}.noise"] = unet(sample, t, context).sample
        if (height, width) == LATENTS[0]:
            modules = {
                "time_embedding": unet.time_embedding,
                "conv_in": unet.conv_in,
                "mid_block": unet.mid_block,
                "conv_norm_out": unet.conv_norm_out,
            }
            modules |= {f"down_blocks.{i}": block for i, block in enumerate(unet.down_blocks)}
            modules |= {f"up_blocks.{i}": block for i, block in enumerate(unet.up_blocks)}
            modules |= {
                f"{place}.transformer": block.attentions[0]
                for place, block in [("mid_block", unet.mid_block), ("down_blocks.1", unet.down_blocks[1])]
            }
            modules |= {"down_blocks.0.resnet": unet.down_blocks[0].resnets[0]}
            for module, output in hooked(modules, lambda: unet(sample, timesteps[0], context)).items():
                tensors[f"unet.{height}x{width}.t{timesteps[0]}.module.{module}"] = output

    for height, width in SIZES:
        image = (torch.rand((1, 3, height, width), generator=generator) * 2 - 1).half().float()
        tensors[f"vae.{height}x{width}.image"] = image
        mean = vae.encode(image).latent_dist.mean
        tensors[f"vae.{height}x{width}.mean"] = mean
        latents = exact(mean.shape, generator)
        tensors[f"vae.{height}x{width}.latents"] = latents
        tensors[f"vae.{height}x{width}.decoded"] = vae.decode(latents).sample
        if (height, width) == SIZES[0]:
            seen = hooked(
                {
                    "encoder.mid_block": vae.encoder.mid_block,
                    "encoder.down_blocks.0": vae.encoder.down_blocks[0],
                    "decoder.mid_block": vae.decoder.mid_block,
                    "decoder.up_blocks.0": vae.decoder.up_blocks[0],
                },
                lambda: (vae.encode(image), vae.decode(latents)),
            )
            for module, output in seen.items():
                tensors[f"vae.{height}x{width}.module.{module}"] = output

    scheduler = DDIMScheduler.from_config(scheduler_config, clip_sample=False)
    inverse = DDIMInverseScheduler.from_config(scheduler_config, clip_sample=False)
    tensors["scheduler.alphas_cumprod"] = scheduler.alphas_cumprod
    sample, output = exact((4, 9, 13), generator), exact((4, 9, 13), generator)
    tensors["scheduler.sample"], tensors["scheduler.output"] = sample, output
    for steps in (1, 5, 7, 50):
        scheduler.set_timesteps(steps)
        inverse.set_timesteps(steps)
        tensors[f"scheduler.{steps}.timesteps"] = scheduler.timesteps.to(torch.int32)
        for i in sorted({0, steps // 2, steps - 1}):
            t = scheduler.timesteps[i]
            tensors[f"scheduler.{steps}.step.{i}"] = scheduler.step(output, t, sample).prev_sample
            # The inverse reaches level t; `inverse.timesteps` ascends.
            tensors[f"scheduler.{steps}.inverse.{i}"] = inverse.step(output, t, sample).prev_sample

    for key, tensor in tensors.items():
        assert tensor.dtype == torch.int32 or torch.isfinite(tensor).all(), key
    first, second = (tensors[f"unet.9x13.t{t}.noise"] for t in timesteps[:2])
    print(
        f"{name}: noise {first.abs().max():.3f}, between time steps {(first - second).abs().max():.3f}, "
        f"decoded {tensors['vae.72x104.decoded'].abs().max():.3f}"
    )
    inputs = ("sample", "image", "latents", "output")
    return {k: (v.half() if k.endswith(inputs) else v).contiguous() for k, v in tensors.items()}, timesteps


@torch.no_grad()
def tiled(folder):
    """Of a folder that is complete, for its autoencoder. Of sizes that are not whole latents only the mean."""
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    vae.enable_tiling()
    inputs = load_file(folder / "expected.safetensors")
    height, width = SIZES[0]
    image, latents = (inputs[f"vae.{height}x{width}.{name}"].float() for name in ("image", "latents"))
    factor = image.shape[-1] // latents.shape[-1]
    tensors = {}
    for height, width, side in TILED[folder.name]:
        vae.tile_latent_min_size, vae.tile_sample_min_size = side, side * factor
        key = f"{height}x{width}.{side}"
        tensors[f"{key}.mean"] = vae.encode(image[:, :, :height, :width]).latent_dist.mean.contiguous()
        if height % factor == 0 and width % factor == 0:
            part = latents[:, :, : height // factor, : width // factor]
            tensors[f"{key}.decoded"] = vae.decode(part).sample.contiguous()
            assert tensors[f"{key}.decoded"].shape[2:] == (height, width)
    save_file(tensors, folder / "tiled.safetensors")


def make(root, name, specification, seed):
    folder = root / name
    generator = torch.Generator().manual_seed(seed)
    vocabulary_size, vocabulary = save_tokenizer(folder / "tokenizer", specification["pad"])
    unet = UNet2DConditionModel(**specification["unet"])
    vae = AutoencoderKL(**specification["vae"])
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary_size,
            max_position_embeddings=77,
            projection_dim=specification["text"]["hidden_size"],
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=vocabulary["<|endoftext|>"],
            pad_token_id=vocabulary[specification["pad"]],
            **specification["text"],
        )
    )
    components = dict(unet=unet, vae=vae, text_encoder=text)
    for component, model in components.items():
        model.eval()
        randomise(model, generator, specification["types"][component])
        save_component(
            model,
            folder / component,
            specification["types"][component],
            specification["shard"] if component == "unet" else None,
        )
    scheduler = specification["scheduler"]
    scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", type(scheduler).__name__],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tensors, timesteps = expected(name, unet, vae, text, tokenizer, scheduler.config, generator)
    versions = {m.__name__: m.__version__ for m in (torch, diffusers, transformers, safetensors, numpy)}
    save_file(tensors, folder / "expected.safetensors")
    (folder / "expected.json").write_text(
        json.dumps(
            dict(
                versions=versions,
                prompts=PROMPTS,
                context_prompts=[1, 2],
                timesteps=timesteps,
                sizes=SIZES,
                latents=LATENTS,
            ),
            indent=2,
        )
        + "\n"
    )
    return components


def save_as_bin(source, folder, components):
    """The same model with PyTorch's own files, as older checkpoints and Tune-A-Video's come."""
    shutil.copytree(
        source, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.safetensors.index.json", "expected.json")
    )
    names = dict(
        unet="diffusion_pytorch_model.bin", vae="diffusion_pytorch_model.bin", text_encoder="pytorch_model.bin"
    )
    for component, model in components.items():
        torch.save(
            model.to(MODELS[source.name]["types"][component]).state_dict(), folder / component / names[component]
        )
        model.to(torch.float32)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "modules")
    torch.manual_seed(0)
    for seed, (name, specification) in enumerate(MODELS.items()):
        for folder in (root / name, root / f"{name}_bin"):
            shutil.rmtree(folder, ignore_errors=True)
        components = make(root, name, specification, seed)
        if name in TILED:
            tiled(root / name)
        if name == "three":
            save_as_bin(root / name, root / "three_bin", components)


if __name__ == "__main__":
    main()
