"""Write Stable Diffusion 1.5 with random weights, for everything that depends on sizes alone.

    python Benchmarks/random_model.py FOLDER

The configurations and the names are the published ones (Tests/Fixtures/layouts), in float16: 2.1 GB. The weights are
drawn with the deviation 1/sqrt(inputs), so that activations keep their size through the network.
"""

import math
import pathlib
import shutil
import sys

import numpy as np
from safetensors.numpy import save_file

FIXTURES = pathlib.Path(__file__).parent.parent / "Tests" / "Fixtures"
LAYOUT = FIXTURES / "layouts" / "sd15"
TOKENIZER = FIXTURES / "oracle" / "models" / "tinyA" / "tokenizer"
FILES = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


def tensor(name, shape, rng):
    if name.endswith("position_ids"):
        return np.arange(shape[-1], dtype=np.int64).reshape(shape)
    if name.endswith(".bias"):
        return np.zeros(shape, np.float16)
    if len(shape) == 1:
        return np.ones(shape, np.float16)
    deviation = 1 / math.sqrt(math.prod(shape[1:]))
    return (rng.standard_normal(shape, np.float32) * deviation).astype(np.float16)


def write(folder):
    rng = np.random.default_rng(0)
    shutil.copytree(LAYOUT, folder, dirs_exist_ok=True)
    shutil.copytree(TOKENIZER, folder / "tokenizer", dirs_exist_ok=True)
    for part, file in FILES.items():
        lines = (LAYOUT / part / "weights.txt").read_text().splitlines()
        fields = [line.split() for line in lines]
        save_file({name: tensor(name, [int(side) for side in shape], rng) for name, *shape in fields}, folder / part / file)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(pathlib.Path(sys.argv[1]))
