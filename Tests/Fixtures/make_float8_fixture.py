"""Remakes float8.pt: types of numbers that torch.save stores without a storage type of their own.

    pip install torch==2.15.0
    python make_float8_fixture.py
"""
from pathlib import Path

import torch

torch.save(
    {
        "e4m3": torch.tensor([448, -0.001953125, 1.5]).to(torch.float8_e4m3fn),
        "e5m2": torch.tensor([57344, -1.52587890625e-05, torch.inf]).to(torch.float8_e5m2),
        "transposed": torch.arange(6.0).reshape(3, 2).to(torch.float8_e5m2).t(),
        "u16": torch.tensor([65535], dtype=torch.uint16),
    },
    Path(__file__).parent / "float8.pt",
)
