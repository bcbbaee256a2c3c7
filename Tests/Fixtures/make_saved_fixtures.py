"""Remakes saved/: small models as `save_pretrained` of the newest and of the oldest releases writes them.

    pip install torch==2.15.0 diffusers==0.42.1 transformers==5.24.0
    python make_saved_fixtures.py newest
    pip install torch==2.15.0 diffusers==0.12.1 transformers==4.25.1 huggingface_hub==0.11.1 tokenizers==0.13.3 safetensors==0.2.8 "numpy<2"
    python make_saved_fixtures.py oldest

newest: modules/sd1 with another scheduler, without the weights, which are those of modules/sd1. oldest: a random model, with what these releases
compute: "text" (of "tokens"), "noise" (of "latents" at timestep 500 with "text") and "image" (of "latents").
"""
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

here = Path(__file__).parent
name = sys.argv[1]
target = here / "saved" / name

if name == "newest":
    pipeline = StableDiffusionPipeline.from_pretrained(here / "modules" / "sd1", safety_checker=None, feature_extractor=None)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.save_pretrained(target)
    for weights in target.glob("*/*.safetensors"):
        weights.unlink()
else:
    torch.manual_seed(1)
    tokenizer = CLIPTokenizer.from_pretrained(str(here / "modules" / "sd1" / "tokenizer"))
    text = CLIPTextModel(CLIPTextConfig(vocab_size=565, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2))
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4, cross_attention_dim=16, attention_head_dim=2
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
    for model in (text, unet, vae):
        model.eval()
        for parameter in model.parameters():
            parameter.data = (parameter.data + 0.05 * torch.randn(parameter.shape)).half().float()
    tokens = tokenizer("a cat on the grass", padding="max_length", max_length=77)["input_ids"]
    latents = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        states = text(torch.tensor([tokens])).last_hidden_state
        noise = unet(latents, 500, states).sample
        image = vae.decode(latents).sample
    pipeline = StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    for model in (text, unet, vae):
        model.half()
    pipeline.save_pretrained(target, safe_serialization=True)
    save_file(
        {"text": states.contiguous(), "tokens": torch.tensor(tokens), "latents": latents, "noise": noise, "image": image}, str(target / "expected.safetensors")
    )
