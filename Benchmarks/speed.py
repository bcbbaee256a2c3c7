"""Time the passes of a model of Stable Diffusion 1.5's size, ours and diffusers', on the same weights and numbers.

    python Benchmarks/speed.py PASSES WORK [--peers] [--rounds N] [--quick]

PASSES is the program of `swift build --product Passes`. WORK keeps the model, inputs and `speed.json`. Every case is a
process of its own; the rounds are interleaved, medians are printed as a table. `--peers` needs torch and diffusers.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

import random_model

TEXT = (77, 768)
TIMESTEP = 500


def cases(quick):
    frames = [1] if quick else [1, 8]
    for count in frames:
        yield "UNet", {"part": "unet", "frames": count, "coupling": "self"}
    if not quick:
        yield "UNet, self+middle", {"part": "unet", "frames": 8, "coupling": "self+middle"}
    yield "encode", {"part": "encode", "frames": 1}
    yield "decode", {"part": "decode", "frames": 1}


OWN = {
    "f32, direct": ["--precision", "f32"],
    "f32, Winograd": ["--precision", "f32", "--winograd"],
    "bf16, direct": ["--precision", "bf16"],
    "bf16, Winograd": ["--precision", "bf16", "--winograd"],
}
PEERS = {"diffusers, f32": "float32", "diffusers, bf16": "bfloat16"}


def shape(case):
    return (case["frames"], 512, 512, 3) if case["part"] == "encode" else (case["frames"], 64, 64, 4)


def make_inputs(work):
    rng = np.random.default_rng(1)
    rng.standard_normal(TEXT, np.float32).tofile(work / "text.f32")
    for frames in (1, 8):
        rng.standard_normal((frames, 64, 64, 4), np.float32).tofile(work / f"latents-{frames}.f32")
    rng.uniform(-1, 1, (1, 512, 512, 3)).astype(np.float32).tofile(work / "frame-1.f32")


def input_file(work, case):
    return work / f"{'frame' if case['part'] == 'encode' else 'latents'}-{case['frames']}.f32"


def run_own(passes, work, case, options):
    command = [passes, work / "model", "--part", case["part"], "--input", input_file(work, case)]
    command += ["--shape", "x".join(map(str, shape(case)[:3])), "--output", work / "result.f32"]
    if case["part"] == "unet":
        command += ["--text", work / "text.f32", "--timestep", str(TIMESTEP), "--coupling", case["coupling"]]
    return run([*command, *options], work)


def run_peer(work, case, kind):
    return run([sys.executable, __file__, "--peer", kind, json.dumps(case), work], work)


def run(command, work):
    printed = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
    report = json.loads(printed.splitlines()[-1])
    return report | {"result": np.fromfile(work / "result.f32", np.float32)}


def peer(kind, case, work):
    """In a process of its own: one pass of diffusers' model, in channels-last memory."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    began = time.monotonic()
    part = UNet2DConditionModel if case["part"] == "unet" else AutoencoderKL
    folder = "unet" if case["part"] == "unet" else "vae"
    model = part.from_pretrained(work / "model", subfolder=folder, torch_dtype=getattr(torch, kind))
    model = model.to(memory_format=torch.channels_last).eval()
    load = time.monotonic() - began
    numbers = np.fromfile(input_file(work, case), np.float32).reshape(shape(case))
    sample = torch.from_numpy(numbers).permute(0, 3, 1, 2).to(model.dtype).contiguous(memory_format=torch.channels_last)
    text = torch.from_numpy(np.fromfile(work / "text.f32", np.float32).reshape(1, *TEXT)).to(model.dtype)
    scaling = 0.18215

    def forward():
        if case["part"] == "unet":
            return model(sample, TIMESTEP, text.expand(len(sample), -1, -1)).sample
        if case["part"] == "encode":
            return model.encode(sample).latent_dist.mean * scaling
        return model.decode(sample / scaling).sample

    seconds = []
    with torch.inference_mode():
        for round in range(2):
            began = time.monotonic()
            result = forward()
            if round:
                seconds.append(time.monotonic() - began)
    result.permute(0, 2, 3, 1).float().contiguous().numpy().tofile(work / "result.f32")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"load": load, "seconds": seconds, "peak": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("passes", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one frame only")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "text.f32").exists():
        random_model.write(work / "model")
        make_inputs(work)

    rows = []
    print("| pass | frames | by | seconds | peak MiB | error |\n|---|---|---|---|---|---|", flush=True)
    for name, case in cases(arguments.quick):
        runs = {by: lambda options=options: run_own(arguments.passes, work, case, options) for by, options in OWN.items()}
        if arguments.peers and case.get("coupling") != "self+middle":
            runs |= {by: lambda kind=kind: run_peer(work, case, kind) for by, kind in PEERS.items()}
        reports = {by: [] for by in runs}
        for _ in range(arguments.rounds):
            for by, call in runs.items():
                reports[by].append(call())
        exact = reports["f32, direct"][0]["result"]
        for by, all_of in reports.items():
            row = {
                "pass": name,
                "frames": case["frames"],
                "by": by,
                "seconds": statistics.median(second for report in all_of for second in report["seconds"]),
                "peak": max(report["peak"] for report in all_of),
                "error": float(np.abs(all_of[-1]["result"] - exact).max() / np.abs(exact).max()),
            }
            rows.append(row)
            print(
                f"| {name} | {row['frames']} | {by} | {row['seconds']:.2f} | {row['peak'] / 2**20:.0f} | {row['error']:.1e} |",
                flush=True,
            )
    (work / "speed.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], json.loads(sys.argv[3]), pathlib.Path(sys.argv[4]))
    else:
        main()
