"""Where the training computes."""

import contextlib

import torch


def best_device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device):
    """Half precision on a GPU. A processor without instructions for bfloat16 only gets slower by it."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()
