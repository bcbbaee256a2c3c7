"""Where the training computes."""

import contextlib

import torch


def best_device():
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def autocast(device):
    """Half precision on a GPU. A processor without instructions for bfloat16 only gets slower by it."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()
