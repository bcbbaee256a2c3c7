#!/usr/bin/env python3
"""Makes Tests/Fixtures/layouts: names and shapes of every weight of Stable Diffusion 1.5 and 2.1, without the weights.

    pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0
    python3 Tests/Fixtures/make_layout_fixtures.py [FOLDER]

layouts/NAME is a diffusers folder whose weight files are replaced by `weights.txt`, one "key d0 d1 ..." a line. A test
writes a sparse file from it. sd15 has the key names of the published files (VAE attention as query, key, value,
proj_attn; text tower below text_model. with position_ids), sd21 those that the libraries write today.
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

UNET = dict(
    _class_name="UNet2DConditionModel",
    act_fn="silu",
    block_out_channels=[320, 640, 1280, 1280],
    center_input_sample=False,
    down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    downsample_padding=1,
    flip_sin_to_cos=True,
    freq_shift=0,
    in_channels=4,
    layers_per_block=2,
    mid_block_scale_factor=1,
    norm_eps=1e-05,
    norm_num_groups=32,
    out_channels=4,
    up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
)
VAE = dict(
    _class_name="AutoencoderKL",
    act_fn="silu",
    block_out_channels=[128, 256, 512, 512],
    down_block_types=["DownEncoderBlock2D"] * 4,
    in_channels=3,
    latent_channels=4,
    layers_per_block=2,
    norm_num_groups=32,
    out_channels=3,
    up_block_types=["UpDecoderBlock2D"] * 4,
)
TEXT = dict(
    architectures=["CLIPTextModel"],
    bos_token_id=0,
    eos_token_id=2,
    layer_norm_eps=1e-05,
    max_position_embeddings=77,
    model_type="clip_text_model",
    pad_token_id=1,
    vocab_size=49408,
)
SCHEDULER = dict(
    beta_end=0.012,
    beta_schedule="scaled_linear",
    beta_start=0.00085,
    clip_sample=False,
    num_train_timesteps=1000,
    set_alpha_to_one=False,
    steps_offset=1,
    trained_betas=None,
)

MODELS = {
    "sd15": dict(
        unet=dict(UNET, _diffusers_version="0.6.0", attention_head_dim=8, cross_attention_dim=768, sample_size=64),
        vae=dict(VAE, _diffusers_version="0.6.0", sample_size=512),
        text_encoder=dict(
            TEXT,
            hidden_act="quick_gelu",
            hidden_size=768,
            intermediate_size=3072,
            num_attention_heads=12,
            num_hidden_layers=12,
            projection_dim=768,
        ),
        scheduler=dict(SCHEDULER, _class_name="PNDMScheduler", _diffusers_version="0.6.0", skip_prk_steps=True),
    ),
    "sd21": dict(
        unet=dict(
            UNET,
            _diffusers_version="0.8.0",
            attention_head_dim=[5, 10, 20, 20],
            cross_attention_dim=1024,
            dual_cross_attention=False,
            num_class_embeds=None,
            only_cross_attention=False,
            sample_size=96,
            upcast_attention=True,
            use_linear_projection=True,
        ),
        vae=dict(VAE, _diffusers_version="0.8.0", sample_size=768),
        text_encoder=dict(
            TEXT,
            hidden_act="gelu",
            hidden_size=1024,
            intermediate_size=4096,
            num_attention_heads=16,
            num_hidden_layers=23,
            projection_dim=512,
        ),
        scheduler=dict(
            SCHEDULER, _class_name="DDIMScheduler", _diffusers_version="0.8.0", prediction_type="v_prediction"
        ),
    ),
}

VAE_ATTENTION = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def published(component, shapes):
    """The key names of the files that were released with Stable Diffusion 1.5."""
    if component == "vae":
        for new, old in VAE_ATTENTION.items():
            shapes = {key.replace(new, old): shape for key, shape in shapes.items()}
    if component == "text_encoder":
        shapes = {f"text_model.{key}": shape for key, shape in shapes.items()}
        shapes["text_model.embeddings.position_ids"] = (1, 77)
    return shapes


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "layouts")
    for name, configurations in MODELS.items():
        with torch.device("meta"):
            models = dict(
                unet=UNet2DConditionModel.from_config(configurations["unet"]),
                vae=AutoencoderKL.from_config(configurations["vae"]),
                text_encoder=CLIPTextModel(CLIPTextConfig(**configurations["text_encoder"])),
            )
        for component, configuration in configurations.items():
            folder = root / name / component
            folder.mkdir(parents=True, exist_ok=True)
            file = "scheduler_config.json" if component == "scheduler" else "config.json"
            (folder / file).write_text(json.dumps(configuration, indent=2) + "\n")
        for component, model in models.items():
            shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
            if name == "sd15":
                shapes = published(component, shapes)
            lines = [" ".join([key, *map(str, shape)]) for key, shape in sorted(shapes.items())]
            (root / name / component / "weights.txt").write_text("\n".join(lines) + "\n")
            print(name, component, len(lines), sum(torch.Size(s).numel() for s in shapes.values()))
        scheduler = configurations["scheduler"]["_class_name"]
        index = {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": configurations["unet"]["_diffusers_version"],
            "scheduler": ["diffusers", scheduler],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        }
        (root / name / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
