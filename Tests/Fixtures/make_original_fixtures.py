#!/usr/bin/env python3
"""Makes Tests/Fixtures/original: the layout of checkpoints in one file, name by name.

    pip install torch==2.15.0 diffusers==0.42.1 transformers==5.24.0 safetensors==0.8.0
    python3 Tests/Fixtures/make_original_fixtures.py [FOLDER]

original/NAME.txt lists a complete file in the original layout of Stable Diffusion 1.x or 2.x, one tensor a line:

    name SHAPE = component/name [component/name component/name]

SHAPE is like 320,4,3,3; behind = stand the tensors of the diffusers folder that it holds (three are joined by rows), or
nothing: it is of no use to a diffusion model and may hold anything. Tests write files from these lists. Each list of a
small model is checked here: the file is written, diffusers loads it with `from_single_file`, and every weight of the
pipeline must equal the folder's. `lightning.ckpt` is a file as training programs leave it.
"""

import json
import sys
import tempfile
import types
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).parent
REPOSITORY = ROOT.parent.parent

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OPENCLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
SCHEDULE = ["betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
            "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "posterior_variance"]


def replaced(name, table):
    for new, old in table.items():
        name = name.replace(new, old)
    return name


def unet_name(name, config):
    per_block = config["layers_per_block"] + 1
    attention = [kind.startswith("CrossAttn") for kind in config["up_block_types"]]
    parts = name.split(".")
    rest = ".".join(parts[4:])
    match parts:
        case ["time_embedding", layer, kind]:
            return f"time_embed.{0 if layer == 'linear_1' else 2}.{kind}"
        case ["conv_in", kind]:
            return f"input_blocks.0.0.{kind}"
        case ["conv_norm_out", kind]:
            return f"out.0.{kind}"
        case ["conv_out", kind]:
            return f"out.2.{kind}"
        case ["down_blocks", block, "resnets", layer, *_]:
            return f"input_blocks.{1 + int(block) * per_block + int(layer)}.0.{replaced(rest, RESNET)}"
        case ["down_blocks", block, "attentions", layer, *_]:
            return f"input_blocks.{1 + int(block) * per_block + int(layer)}.1.{rest}"
        case ["down_blocks", block, "downsamplers", *_, kind]:
            return f"input_blocks.{(1 + int(block)) * per_block}.0.op.{kind}"
        case ["mid_block", "resnets", layer, *_]:
            return f"middle_block.{2 * int(layer)}.{replaced('.'.join(parts[3:]), RESNET)}"
        case ["mid_block", "attentions", *_]:
            return f"middle_block.1.{'.'.join(parts[3:])}"
        case ["up_blocks", block, "resnets", layer, *_]:
            return f"output_blocks.{int(block) * per_block + int(layer)}.0.{replaced(rest, RESNET)}"
        case ["up_blocks", block, "attentions", layer, *_]:
            return f"output_blocks.{int(block) * per_block + int(layer)}.1.{rest}"
        case ["up_blocks", block, "upsamplers", *_, kind]:
            place = 2 if attention[int(block)] else 1
            return f"output_blocks.{(int(block) + 1) * per_block - 1}.{place}.conv.{kind}"
    raise ValueError(name)


def vae_name(name, config):
    top = len(config["block_out_channels"]) - 1
    for old, new in {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}.items():
        name = name.replace(f".{old}.", f".{new}.")
    parts = name.split(".")
    match parts:
        case [side, "down_blocks" | "up_blocks", block, *_]:
            level = int(block) if side == "encoder" else top - int(block)
            way = "down" if side == "encoder" else "up"
            if parts[3] == "resnets":
                rest = ".".join(parts[5:]).replace("conv_shortcut", "nin_shortcut")
                return f"{side}.{way}.{level}.block.{parts[4]}.{rest}"
            return f"{side}.{way}.{level}.{way}sample.conv.{parts[-1]}"
        case [side, "mid_block", "resnets", layer, *rest]:
            return f"{side}.mid.block_{int(layer) + 1}.{'.'.join(rest)}"
        case [side, "mid_block", "attentions", _, *rest]:
            table = {"group_norm": "norm", "to_out.0": "proj_out", "to_q": "q", "to_k": "k", "to_v": "v"}
            return f"{side}.mid.attn_1.{replaced('.'.join(rest), table)}"
    return name.replace("conv_norm_out", "norm_out")


def listing(folder, version, shapes):
    """Lines of (name, shape, sources) for a diffusers folder whose weights have these shapes."""
    unet = json.loads((folder / "unet/config.json").read_text())
    vae = json.loads((folder / "vae/config.json").read_text())
    lines = []
    for name, shape in shapes["unet"].items():
        lines.append((f"model.diffusion_model.{unet_name(name, unet)}", shape, [f"unet/{name}"]))
    for name, shape in shapes["vae"].items():
        # The original attends with 1x1 convolutions.
        is_projection = ".attentions." in name and len(shape) == 2
        lines.append(
            (f"first_stage_model.{vae_name(name, vae)}", shape + [1, 1] if is_projection else shape, [f"vae/{name}"])
        )
    text = {n.removeprefix("text_model."): (n, s) for n, s in shapes["text_encoder"].items() if "position_ids" not in n}
    if version == 1:
        for name, (source, shape) in text.items():
            lines.append((f"cond_stage_model.transformer.text_model.{name}", shape, [f"text_encoder/{source}"]))
        lines.append(("cond_stage_model.transformer.text_model.embeddings.position_ids", [1, 77], []))
    else:
        lines += openclip(text)
    width = shapes["unet"]["conv_in.weight"]
    lines += [(name, [1000], []) for name in SCHEDULE]
    lines += [("model_ema.decay", [1], []), ("model_ema.diffusion_modelinput_blocks00weight", width, [])]
    return sorted(lines)


def openclip(text):
    lines = []
    prefix = "cond_stage_model.model."
    table = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    layers = []
    for name, (source, shape) in text.items():
        if name in table:
            lines.append((prefix + table[name], shape, [f"text_encoder/{source}"]))
            continue
        layer, rest = name.removeprefix("encoder.layers.").split(".", 1)
        layers.append(int(layer))
        if "q_proj" in rest:
            kind = rest.rsplit(".", 1)[1]
            sources = [f"text_encoder/{source.replace('q_proj', p)}" for p in ("q_proj", "k_proj", "v_proj")]
            place = f"{prefix}transformer.resblocks.{layer}.attn.in_proj_{kind}"
            lines.append((place, [3 * shape[0], *shape[1:]], sources))
        elif "k_proj" not in rest and "v_proj" not in rest:
            place = f"{prefix}transformer.resblocks.{layer}.{replaced(rest, OPENCLIP)}"
            lines.append((place, shape, [f"text_encoder/{source}"]))
    # One more layer, which Stable Diffusion does not run.
    last = f"{prefix}transformer.resblocks.{max(layers)}."
    unused = [(n.replace(last, f"{prefix}transformer.resblocks.{max(layers) + 1}."), s, []) for n, s, _ in lines if n.startswith(last)]
    width = text["final_layer_norm.weight"][1][0]
    return lines + unused + [(prefix + "text_projection", [width, width], []), (prefix + "logit_scale", [], [])]


def weights(folder):
    """component -> name -> tensor."""
    found = {}
    for component in ("unet", "vae", "text_encoder"):
        found[component] = {}
        for path in sorted((folder / component).glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                found[component] |= {name: file.get_tensor(name) for name in file.keys()}
    return found


def check(folder, lines, tensors):
    """The file of these lines, loaded by diffusers, is the folder's model."""
    generator = torch.Generator().manual_seed(0)
    written = {}
    for name, shape, sources in lines:
        if sources:
            parts = [tensors[s.split("/", 1)[0]][s.split("/", 1)[1]] for s in sources]
            written[name] = torch.cat(parts).reshape(shape).contiguous()
        else:
            written[name] = torch.rand(shape, generator=generator)
    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/model.safetensors"
        save_file(written, path)
        loaded = StableDiffusionPipeline.from_single_file(path, config=str(folder), local_files_only=True)
    for component in ("unet", "vae", "text_encoder"):
        state = {n.removeprefix("text_model."): t for n, t in getattr(loaded, component).state_dict().items()}
        for name, tensor in tensors[component].items():
            other = state[name.removeprefix("text_model.")]
            assert torch.equal(other.float(), tensor.float()), (component, name)


def published_shapes(folder):
    return {
        component: {
            fields[0]: [int(d) for d in fields[1:]]
            for fields in map(str.split, (folder / component / "weights.txt").read_text().splitlines())
        }
        for component in ("unet", "vae", "text_encoder")
    }


def lightning(path):
    """A checkpoint as PyTorch Lightning left those of Stable Diffusion 1.x: a class, NumPy's numbers and counters around
    the weights."""
    modules = ["pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"]
    for name in modules:
        sys.modules[name] = types.ModuleType(name)
    ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": modules[-1]})
    sys.modules[modules[-1]].ModelCheckpoint = ModelCheckpoint
    weights = OrderedDict({"model.diffusion_model.out.2.bias": torch.arange(4.0), "betas": torch.zeros(2)})
    best = {"best_model_score": numpy.float64(0.25), "best_model_path": "last.ckpt", "current": None}
    torch.save({"epoch": 3, "global_step": 470000, "pytorch-lightning_version": "1.4.2", "state_dict": weights,
                "callbacks": {ModelCheckpoint: best}, "optimizer_states": [], "lr_schedulers": []}, path)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "original")
    root.mkdir(exist_ok=True)
    lightning(root / "lightning.ckpt")
    models = {
        "sd1": (ROOT / "modules/sd1", 1),
        "sd2": (ROOT / "modules/sd2", 2),
        "toyworld": (REPOSITORY / "Models/toyworld", 1),
        "sd15": (ROOT / "layouts/sd15", 1),
        "sd21": (ROOT / "layouts/sd21", 2),
    }
    for name, (folder, version) in models.items():
        if (folder / "unet/weights.txt").exists():
            lines = listing(folder, version, published_shapes(folder))
        else:
            tensors = weights(folder)
            shapes = {c: {n: list(t.shape) for n, t in ts.items()} for c, ts in tensors.items()}
            lines = listing(folder, version, shapes)
            check(folder, lines, tensors)
            print(f"{name}: diffusers loads the same weights")
        text = "".join(f"{n} {','.join(map(str, s))} = {' '.join(sources)}".rstrip() + "\n" for n, s, sources in lines)
        (root / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    main()
