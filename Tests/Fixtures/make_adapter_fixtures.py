#!/usr/bin/env python3
"""Makes Tests/Fixtures/adapters: LoRA files and textual inversions of every layout, and what diffusers computes with them.

    pip install torch==2.15.0 diffusers==0.36.0 transformers==4.57.6 peft==0.21.2 safetensors==0.8.0
    python3 Tests/Fixtures/make_adapter_fixtures.py [FOLDER]

They belong to the small model modules/sd1 and hold random numbers. `expected.safetensors` has, for each of them and for
the model alone, `NAME.text` (1, 77, 32), the embeddings of a prompt, and `NAME.noise` (1, 8, 8, 4), the prediction of the
UNet for `latents` at time step 500; `cases.json` the options of each. diffusers loads the files itself
(`load_lora_weights`, `load_textual_inversion`, PEFT's `PeftModel`).
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

ROOT = Path(__file__).parent
MODEL = ROOT / "modules/sd1"
PROMPT = "a cat on the grass"
WIDTH = 32


def pipeline():
    # The model was written by transformers 5, without the prefix; LoRA of text encoders still comes with it.
    text = CLIPTextModel(CLIPTextConfig.from_pretrained(MODEL / "text_encoder"))
    stored = {f"text_model.{name}": value.float() for name, value in load_file(MODEL / "text_encoder/model.safetensors").items()}
    text.load_state_dict(stored, strict=True)
    pipe = StableDiffusionPipeline.from_pretrained(
        MODEL, text_encoder=text.eval(), torch_dtype=torch.float32, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def random(generator, *shape, scale=0.15, dtype=torch.float16):
    return (torch.randn(shape, generator=generator) * scale).to(dtype)


def layers(pipe):
    """Some layers of either network: name -> shape of the weight."""
    unet = [
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
        "down_blocks.1.attentions.1.transformer_blocks.0.attn1.to_out.0",
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_v",
        "up_blocks.1.attentions.2.transformer_blocks.0.attn1.to_v",
    ]
    text = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.self_attn.out_proj"]
    return {"unet": unet, "text_encoder": text}


def shape_of(pipe, component, name):
    module = pipe.unet if component == "unet" else pipe.text_encoder.text_model
    return module.get_submodule(name).weight.shape


def kohya(pipe, generator):
    """Linear layers, convolutions, and alphas that are not the rank."""
    extra = [
        "down_blocks.0.resnets.0.conv1",
        "down_blocks.0.downsamplers.0.conv",
        "down_blocks.0.attentions.0.proj_in",
        "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj",
    ]
    names = layers(pipe)
    tensors = {}
    for component, prefix in (("unet", "lora_unet_"), ("text_encoder", "lora_te_text_model_")):
        for index, name in enumerate(names[component] + (extra if component == "unet" else ["encoder.layers.0.mlp.fc1"])):
            # diffusers loses the alpha of a text encoder's output projection unless all have one rank and alpha.
            rank = 2 + index % 3 if component == "unet" else 2
            outputs, inputs, *kernel = shape_of(pipe, component, name)
            key = prefix + name.replace(".", "_")
            tensors[f"{key}.lora_down.weight"] = random(generator, rank, inputs, *kernel)
            tensors[f"{key}.lora_up.weight"] = random(generator, outputs, rank, *[1 for _ in kernel])
            tensors[f"{key}.alpha"] = torch.tensor(rank / 2 if component == "unet" and index % 2 else 3.0).half()
    return tensors


def diffusers_old(pipe, generator):
    """The attention processors of diffusers before 0.20."""
    tensors = {}
    for name in layers(pipe)["unet"]:
        outputs, inputs = shape_of(pipe, "unet", name)
        block, attention = name.split(".to_")
        key = f"unet.{block}.processor.to_{attention.removesuffix('.0')}_lora"
        tensors[f"{key}.down.weight"] = random(generator, 4, inputs, dtype=torch.float32)
        tensors[f"{key}.up.weight"] = random(generator, outputs, 4, dtype=torch.float32)
    for name in layers(pipe)["text_encoder"]:
        key = f"text_encoder.text_model.{name}.lora_linear_layer"
        tensors[f"{key}.down.weight"] = random(generator, 4, WIDTH, dtype=torch.float32)
        tensors[f"{key}.up.weight"] = random(generator, WIDTH, 4, dtype=torch.float32)
    return tensors


def randomise(module, generator):
    """PEFT begins with products of zero."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_" in name:
                parameter.copy_(random(generator, *parameter.shape).float())


def mend_scales(pipe, tensors, adapter, weight):
    """diffusers 0.36 loses the alpha of cross-attention layers: it looks for their names with `processor` in them."""
    lost = []
    for name, module in pipe.unet.named_modules():
        if adapter in getattr(module, "scaling", {}):
            key = f"lora_unet_{name.replace('.', '_')}"
            scale = weight * tensors[f"{key}.alpha"].item() / tensors[f"{key}.lora_down.weight"].shape[0]
            if abs(module.scaling[adapter] - scale) > 1e-6:
                lost.append(name)
                module.scaling[adapter] = scale
    assert all("attn2" in name for name in lost), lost


def write_diffusers(folder, generator):
    """What diffusers writes today: PEFT's names, alphas in the file's metadata."""
    from peft.utils import get_peft_model_state_dict

    pipe = pipeline()
    configuration = LoraConfig(
        r=2, lora_alpha=5, target_modules=["to_q", "to_v", "conv2"], init_lora_weights=False, use_rslora=False
    )
    pipe.unet.add_adapter(configuration)
    randomise(pipe.unet, generator)
    text = LoraConfig(r=3, lora_alpha=3, target_modules=["q_proj", "out_proj"], init_lora_weights=False)
    pipe.text_encoder.add_adapter(text)
    randomise(pipe.text_encoder, generator)
    from diffusers.training_utils import _collate_lora_metadata

    state = get_peft_model_state_dict(pipe.unet)
    text_state = get_peft_model_state_dict(pipe.text_encoder)
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers={k: v.half() for k, v in state.items()},
        text_encoder_lora_layers={k: v.half() for k, v in text_state.items()},
        **_collate_lora_metadata({"unet": pipe.unet, "text_encoder": pipe.text_encoder}),
    )
    return folder / "pytorch_lora_weights.safetensors"


def write_peft(folder, generator):
    """`PeftModel.save_pretrained`: a folder, the scale by the root of the rank."""
    configuration = LoraConfig(
        r=4, lora_alpha=6, target_modules=["to_k", "to_out.0"], use_rslora=True, init_lora_weights=False,
        alpha_pattern={"mid_block.attentions.0.transformer_blocks.0.attn2.to_k": 2},
    )
    model = get_peft_model(pipeline().unet, configuration)
    randomise(model, generator)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def numbers(pipe, prompt, latents):
    prompt = pipe.maybe_convert_prompt(prompt, pipe.tokenizer)
    ids = pipe.tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        text = pipe.text_encoder(ids)[0]
        noise = pipe.unet(latents.permute(0, 3, 1, 2), 500, encoder_hidden_states=text).sample
    return text.contiguous(), noise.permute(0, 2, 3, 1).contiguous()


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "adapters")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    generator = torch.Generator().manual_seed(9)
    latents = torch.randn((1, 8, 8, 4), generator=generator)
    expected = {"latents": latents}
    cases = []

    def record(name, pipe, prompt=PROMPT, **options):
        expected[f"{name}.text"], expected[f"{name}.noise"] = numbers(pipe, prompt, latents)
        cases.append({"name": name, "prompt": prompt, **options})

    record("none", pipeline())

    base = pipeline()
    save_file(kohya(base, generator), root / "kohya.safetensors")
    save_file(diffusers_old(base, generator), root / "diffusers_old.safetensors")
    written = write_diffusers(root, generator)
    written.rename(root / "diffusers.safetensors")
    write_peft(root / "peft", generator)

    def lora(name, **weights):
        pipe = pipeline()
        for file in weights:
            pipe.load_lora_weights(root / f"{file}.safetensors", adapter_name=file)
        pipe.set_adapters(list(weights), list(weights.values()))
        if "kohya" in weights:
            mend_scales(pipe, load_file(root / "kohya.safetensors"), "kohya", weights["kohya"])
        record(name, pipe, lora=[[f"{file}.safetensors", weight] for file, weight in weights.items()])

    lora("kohya", kohya=1.0)
    lora("kohya_weak", kohya=0.5)
    lora("diffusers_old", diffusers_old=0.75)
    lora("diffusers", diffusers=1.0)
    lora("two", diffusers=-0.5, kohya=0.25)
    pipe = pipeline()
    pipe.unet = PeftModel.from_pretrained(pipe.unet, root / "peft")
    record("peft", pipe, lora=[["peft", 1.0]])

    vectors = torch.randn((3, WIDTH), generator=generator) * 0.1
    save_file({"<toy>": vectors}, root / "learned_embeds.safetensors")
    torch.save({"<toy>": vectors[0].half()}, root / "learned_embeds.bin")
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors[:2]}, "name": "toy", "step": 500,
         "sd_checkpoint": None, "sd_checkpoint_name": None},
        root / "webui.pt",
    )
    save_file({"emb_params": vectors[1:]}, root / "webui.safetensors")
    for name, file in {
        "words": "learned_embeds.safetensors", "word": "learned_embeds.bin", "webui": "webui.pt",
        "webui_safetensors": "webui.safetensors",
    }.items():
        pipe = pipeline()
        pipe.load_textual_inversion(str(root / file), token="<toy>", local_files_only=True)
        record(name, pipe, prompt="a <toy> on the grass", embedding=[["<toy>", file]])

    save_file(expected, root / "expected.safetensors")
    (root / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    base = expected["none.text"], expected["none.noise"]
    for case in cases[1:]:
        changed = [(expected[f"{case['name']}.{k}"] - b).abs().max().item() for k, b in zip(("text", "noise"), base)]
        print(f"{case['name']}: text differs from the model's by {changed[0]:.3g}, noise by {changed[1]:.3g}")
        assert changed[1] > 1e-3, case


if __name__ == "__main__":
    main()
