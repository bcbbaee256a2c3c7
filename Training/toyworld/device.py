"""Where the training computes."""

import contextlib
import pathlib

import torch


def best_device():
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def autocast(device):
    """bfloat16 where the device computes with it; another processor would only get slower by it."""
    fast = device.type == "cuda" or "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
    return torch.autocast(device.type, torch.bfloat16) if fast else contextlib.nullcontext()
