"""Time the passes of a model of Stable Diffusion 1.5's size, ours, diffusers' and OpenVINO's, on the same weights and
numbers.

    python Benchmarks/speed.py PASSES WORK [--peers] [--rounds N] [--quick]

PASSES is the program of `swift build --product Passes`. WORK keeps the model, inputs and `speed.json`. Every case is a
process of its own; the rounds are interleaved, medians are printed as a table. `--peers` needs
Benchmarks/requirements-peers.txt.
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
PEERS = {
    "diffusers, f32": ["diffusers", "float32"],
    "diffusers, bf16": ["diffusers", "bfloat16"],
    "OpenVINO, f32": ["openvino", "f32"],
    "OpenVINO, bf16": ["openvino", "bf16"],
}
SCALING = 0.18215


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
    return run([sys.executable, __file__, "--peer", *kind, json.dumps(case), work], work)


def run(command, work):
    printed = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
    report = json.loads(printed.splitlines()[-1])
    return report | {"result": np.fromfile(work / "result.f32", np.float32)}


def network(case, work, kind="float32"):
    """The part that is timed, as a function of its sample and the text."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    class Part(torch.nn.Module):
        def __init__(self):
            super().__init__()
            part = UNet2DConditionModel if case["part"] == "unet" else AutoencoderKL
            folder = "unet" if case["part"] == "unet" else "vae"
            self.model = part.from_pretrained(work / "model", subfolder=folder, torch_dtype=getattr(torch, kind))

        def forward(self, sample, text):
            if case["part"] == "unet":
                return self.model(sample, TIMESTEP, text, return_dict=False)[0]
            if case["part"] == "encode":
                return self.model.encode(sample, return_dict=False)[0].mean * SCALING
            return self.model.decode(sample / SCALING, return_dict=False)[0]

    return Part().eval()


def operands(case, work):
    """Sample (frames, channels, rows, columns) and text, float32."""
    sample = np.fromfile(input_file(work, case), np.float32).reshape(shape(case)).transpose(0, 3, 1, 2)
    text = np.fromfile(work / "text.f32", np.float32).reshape(1, *TEXT)
    return np.ascontiguousarray(sample), np.repeat(text, len(sample), 0)


def diffusers_pass(kind, case, work):
    import torch

    model = network(case, work, kind).to(memory_format=torch.channels_last)
    sample, text = (torch.from_numpy(array).to(getattr(torch, kind)) for array in operands(case, work))
    sample = sample.contiguous(memory_format=torch.channels_last)

    def forward():
        with torch.inference_mode():
            return model(sample, text).float().numpy()

    return forward


def openvino_pass(kind, case, work):
    import openvino

    path = work / "openvino" / f"{case['part']}.xml"
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": kind, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    sample, text = operands(case, work)
    inputs = [sample, text] if case["part"] == "unet" else [sample]
    request = compiled.create_infer_request()

    def forward():
        return request.infer(inputs)[0]

    return forward


def convert(case, work):
    """In a process of its own, once: diffusers' model in OpenVINO's form, for any number of frames."""
    import openvino
    import torch

    sample, text = (torch.from_numpy(array[:1]) for array in operands(case, work))
    with torch.inference_mode():
        converted = openvino.convert_model(network(case, work), example_input=(sample, text))
    (work / "openvino").mkdir(exist_ok=True)
    openvino.save_model(converted, work / "openvino" / f"{case['part']}.xml", compress_to_fp16=False)


def peer(library, kind, case, work):
    """In a process of its own: one pass of another library."""
    began = time.monotonic()
    forward = {"diffusers": diffusers_pass, "openvino": openvino_pass}[library](kind, case, work)
    load = time.monotonic() - began
    seconds = []
    for round in range(2):
        began = time.monotonic()
        result = forward()
        if round:
            seconds.append(time.monotonic() - began)
    np.ascontiguousarray(result.transpose(0, 2, 3, 1), np.float32).tofile(work / "result.f32")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"load": load, "seconds": seconds, "peak": peak}))


def print_ratios(rows):
    """How many times as fast ours is, by the faster of its two kinds of convolutions."""
    print("\n| pass | frames | ours | against | times as fast |\n|---|---|---|---|---|")
    for name, frames in dict.fromkeys((row["pass"], row["frames"]) for row in rows):
        seconds = {row["by"]: row["seconds"] for row in rows if (row["pass"], row["frames"]) == (name, frames)}
        for precision in ("f32", "bf16"):
            ours, own = min((seconds[by], by) for by in OWN if by.startswith(precision))
            for by in PEERS:
                if by in seconds and (precision == "bf16" or by.endswith("f32")):
                    print(f"| {name} | {frames} | {own} | {by} | {seconds[by] / ours:.2f} |", flush=True)


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
    if arguments.peers:
        for _, case in cases(True):
            if not (work / "openvino" / f"{case['part']}.xml").exists():
                subprocess.run([sys.executable, __file__, "--convert", json.dumps(case), work], check=True)

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
        for by, all_of in reports.items():
            # Ours normalises over all frames of a clip, as FateZero does; the others over each by itself.
            is_alike = case["frames"] == 1 or by in OWN
            exact = reports["f32, direct" if is_alike else "diffusers, f32"][0]["result"]
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
    if arguments.peers:
        print_ratios(rows)
    (work / "speed.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), pathlib.Path(sys.argv[5]))
    elif sys.argv[1:2] == ["--convert"]:
        convert(json.loads(sys.argv[2]), pathlib.Path(sys.argv[3]))
    else:
        main()
