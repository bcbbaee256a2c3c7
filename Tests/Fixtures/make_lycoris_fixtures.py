#!/usr/bin/env python3
"""Makes Tests/Fixtures/lycoris: LoHa, LoKr, DoRA, LoCon, IA3 and whole differences, and what LyCORIS and PEFT make of them.

    pip install torch==2.15.0 diffusers==0.42.1 transformers==5.24.0 peft==0.21.2 lycoris-lora==4.1.3 safetensors==0.8.0
    python3 Tests/Fixtures/make_lycoris_fixtures.py [FOLDER]

They belong to the small model modules/sd1 and hold random numbers. Names are those of kohya's sd-scripts
(`lora_unet_...`), written from the modules' own state; folders are PEFT's. `expected.safetensors` and `cases.json` are as
those of `make_adapter_fixtures.py`: the embeddings of a prompt and the UNet's prediction with LyCORIS' modules in place
(`apply_to`: their `forward` is what was trained, while `get_merged_weight` of 4.1.3 scales LoHa and LoKr twice), or of the
`PeftModel`.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from lycoris.modules.full import FullModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

ROOT = Path(__file__).parent
MODEL = ROOT / "modules/sd1"
PROMPT = "a cat on the grass"
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
LINEAR, WIDE = f"{BLOCK}.attn1.to_q", f"{BLOCK}.ff.net.0.proj"
CROSS, ANOTHER = f"{BLOCK}.attn2.to_k", "mid_block.attentions.0.transformer_blocks.0.attn1.to_v"
CONVOLUTION, SECOND = "down_blocks.0.resnets.0.conv1", "up_blocks.1.resnets.0.conv2"
POINT = "down_blocks.1.attentions.0.proj_in"
TEXT = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"]


def pipeline():
    pipe = StableDiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def text_model(pipe):
    return getattr(pipe.text_encoder, "text_model", pipe.text_encoder)


def randomise(module, generator, scale):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            base = parameter if "dora_scale" in name or "magnitude" in name else 0
            size = 0.1 if "dora_scale" in name or "magnitude" in name else scale
            parameter.copy_(base + torch.randn(parameter.shape, generator=generator) * size)


class Writer:
    """One file: modules of LyCORIS in a pipeline, and their tensors."""

    def __init__(self, generator):
        self.generator, self.pipe, self.tensors, self.modules = generator, pipeline(), {}, []

    def add(self, kind, name, component="unet", scale=0.3, dtype=torch.float32, **options):
        root = self.pipe.unet if component == "unet" else text_model(self.pipe)
        original = root.get_submodule(name)
        module = kind("x", original, 1.0, **options)
        randomise(module, self.generator, scale)
        for parameter in module.parameters():
            parameter.data = parameter.data.to(dtype).float()
        module.eval().apply_to()
        self.modules.append(module)
        prefix = "lora_unet_" if component == "unet" else "lora_te_text_model_"
        # Some modules write what they fold their scalar into, others their state as it is.
        state = module.custom_state_dict() if hasattr(module, "custom_state_dict") else None
        state = state or module.state_dict()
        for key, value in state.items():
            value = value.detach().clone().contiguous()
            self.tensors[f"{prefix}{name.replace('.', '_')}.{key}"] = value.to(dtype) if value.is_floating_point() else value


def write_peft(folder, configuration, generator, scale=0.3):
    model = get_peft_model(pipeline().unet, configuration)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ia3_" in name or "magnitude" in name:
                parameter.copy_(parameter * (1 + 0.2 * torch.randn(parameter.shape, generator=generator)))
            elif any(part in name for part in ("hada_", "lokr_", "lora_")):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def numbers(pipe, latents):
    ids = pipe.tokenizer(PROMPT, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        text = pipe.text_encoder(ids)[0]
        noise = pipe.unet(latents.permute(0, 3, 1, 2), 500, encoder_hidden_states=text).sample
    return text.contiguous(), noise.permute(0, 2, 3, 1).contiguous()


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "lycoris")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    generator = torch.Generator().manual_seed(12)
    latents = torch.randn((1, 8, 8, 4), generator=generator)
    expected, cases = {"latents": latents}, []

    def record(name, pipe, **options):
        expected[f"{name}.text"], expected[f"{name}.noise"] = numbers(pipe, latents)
        cases.append({"name": name, "prompt": PROMPT, **options})

    record("none", pipeline())

    def lycoris(name, fill):
        writer = Writer(generator)
        fill(writer)
        save_file(writer.tensors, root / f"{name}.safetensors")
        record(name, writer.pipe, lora=[[f"{name}.safetensors", 1.0]])

    def locon(writer):
        writer.add(LoConModule, LINEAR, lora_dim=3, alpha=2)
        writer.add(LoConModule, CONVOLUTION, lora_dim=4, alpha=1, use_tucker=True)
        writer.add(LoConModule, SECOND, lora_dim=2, alpha=4)
        writer.add(LoConModule, TEXT[0], "text_encoder", lora_dim=2, alpha=1)

    def loha(writer):
        writer.add(LohaModule, LINEAR, lora_dim=3, alpha=2, scale=0.6)
        writer.add(LohaModule, CONVOLUTION, lora_dim=3, alpha=1, use_tucker=True, scale=0.6)
        writer.add(LohaModule, SECOND, lora_dim=2, alpha=4, scale=0.6)
        writer.add(LohaModule, POINT, lora_dim=2, alpha=2, scale=0.6, dtype=torch.bfloat16)
        writer.add(LohaModule, TEXT[1], "text_encoder", lora_dim=2, alpha=1, scale=0.6)

    def lokr(writer):
        writer.add(LokrModule, LINEAR, lora_dim=100, alpha=3, factor=2)  # both whole
        writer.add(LokrModule, WIDE, lora_dim=1, alpha=3, factor=4)  # the second in factors
        writer.add(LokrModule, CROSS, lora_dim=1, alpha=2, factor=4, decompose_both=True)  # both in factors
        writer.add(LokrModule, CONVOLUTION, lora_dim=1, alpha=2, factor=2, use_tucker=True)
        writer.add(LokrModule, SECOND, lora_dim=1, alpha=2, factor=2)
        writer.add(LokrModule, "up_blocks.1.resnets.1.conv1", lora_dim=100, alpha=2, factor=2)
        writer.add(LokrModule, TEXT[0], "text_encoder", lora_dim=2, alpha=1, factor=4)

    def dora(writer):
        writer.add(LoConModule, LINEAR, lora_dim=2, alpha=1, weight_decompose=True)
        writer.add(LoConModule, CONVOLUTION, lora_dim=2, alpha=1, weight_decompose=True, wd_on_out=False)
        writer.add(LoConModule, ANOTHER, lora_dim=2, alpha=1, weight_decompose=True, wd_on_out=False)
        writer.add(LohaModule, SECOND, lora_dim=2, alpha=1, weight_decompose=True)
        writer.add(LokrModule, WIDE, lora_dim=1, alpha=1, factor=4, weight_decompose=True)
        writer.add(LoConModule, TEXT[1], "text_encoder", lora_dim=2, alpha=1, weight_decompose=True)

    def full(writer):
        writer.add(FullModule, LINEAR, scale=0.05)
        writer.add(FullModule, CONVOLUTION, scale=0.05)
        writer.add(FullModule, TEXT[1], "text_encoder", scale=0.05)
        writer.add(NormModule, "down_blocks.0.resnets.0.norm1", scale=0.2)
        writer.add(NormModule, f"{BLOCK}.norm2", scale=0.2, dtype=torch.float16)
        writer.add(NormModule, "conv_norm_out", scale=0.2)
        writer.add(NormModule, "encoder.layers.0.layer_norm1", "text_encoder", scale=0.2)
        writer.add(NormModule, "final_layer_norm", "text_encoder", scale=0.2)

    def ia3(writer):
        writer.add(IA3Module, LINEAR)
        writer.add(IA3Module, WIDE, train_on_input=True)
        writer.add(IA3Module, CONVOLUTION)
        writer.add(IA3Module, SECOND, train_on_input=True)
        writer.add(IA3Module, TEXT[1], "text_encoder")

    for fill in (locon, loha, lokr, dora, full, ia3):
        lycoris(fill.__name__, fill)

    for name, configuration in {
        "peft_loha": LoHaConfig(
            r=2, alpha=3, target_modules=["attn1.to_q", "conv1"], use_effective_conv2d=True,
            alpha_pattern={"mid_block.resnets.0.conv1": 1}, init_weights=False,
        ),
        "peft_lokr": LoKrConfig(
            r=2, alpha=5, target_modules=["attn1.to_k", "attn2.to_q", "conv2", "proj_in"], decompose_both=True,
            use_effective_conv2d=True, init_weights=False,
        ),
        "peft_dora": LoraConfig(
            r=2, lora_alpha=3, target_modules=["attn2.to_v", "conv1", "to_out.0"], use_dora=True, init_lora_weights=False
        ),
        "peft_ia3": IA3Config(
            target_modules=["to_k", "to_out.0", "ff.net.0.proj", "conv1", "conv2"],
            feedforward_modules=["ff.net.0.proj", "conv1"],
        ),
        "peft_bias": LoraConfig(r=2, lora_alpha=3, target_modules=["to_out.0"], lora_bias=True, init_lora_weights=False),
    }.items():
        write_peft(root / name, configuration, generator, scale=0.5 if name == "peft_loha" else 0.3)
        pipe = pipeline()
        pipe.unet = PeftModel.from_pretrained(pipe.unet, root / name)
        record(name, pipe, lora=[[name, 1.0]])

    save_file(expected, root / "expected.safetensors")
    (root / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    base = expected["none.text"], expected["none.noise"]
    for case in cases[1:]:
        changed = [(expected[f"{case['name']}.{k}"] - b).abs().max().item() for k, b in zip(("text", "noise"), base)]
        print(f"{case['name']}: text differs from the model's by {changed[0]:.3g}, noise by {changed[1]:.3g}")
        assert changed[1] > 1e-3, case


if __name__ == "__main__":
    main()
