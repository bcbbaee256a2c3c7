"""Write the trained model as a Stable Diffusion folder in float16: `python -m toyworld.assemble WORK/model OUT`."""

import argparse
import json
import pathlib
import shutil

import diffusers
import torch
from safetensors.torch import load_file, save_file

PARTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": diffusers.__version__,
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def published(part, name, value):
    """A tensor as it is stored, or None for one that is left out; names as in Stable Diffusion's own files."""
    if part == "text_encoder":
        if "position_ids" in name:
            return None
        if not name.startswith("text_model."):
            name = "text_model." + name
    return name, value.to(torch.float16).contiguous() if value.is_floating_point() else value


def assemble(model, out):
    """Copy a float32 model folder to `out` in float16, without paths of this machine in its configurations."""
    for part, stem in PARTS.items():
        (out / part).mkdir(parents=True, exist_ok=True)
        config = json.loads((model / part / "config.json").read_text())
        config.pop("_name_or_path", None)
        if "dtype" in config:
            config["dtype"] = "float16"
        (out / part / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        tensors = load_file(model / part / f"{stem}.safetensors")
        stored = filter(None, (published(part, name, value) for name, value in tensors.items()))
        save_file(dict(stored), out / part / f"{stem}.safetensors", {"format": "pt"})
    for part in ("tokenizer", "scheduler"):
        shutil.copytree(model / part, out / part, dirs_exist_ok=True)
    (out / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    assemble(arguments.model, arguments.out)
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(f"{arguments.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
