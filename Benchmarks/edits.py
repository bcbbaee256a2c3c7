"""Time whole edits of a model of Stable Diffusion 1.5's size, phase by phase, with their memory and what the plan said.

    python Benchmarks/edits.py FATEZERO WORK [--steps N] [--rounds N] [--only edits|memory|growth] [--full]

FATEZERO is the command of `swift build --product fatezero`. WORK keeps the model, clips and `edits.json`. Each run is a
process of its own. `--steps` are those of whole edits and of memory (by default 5 and 2). `--full` measures the memory of
every combination of precision, convolutions, record and coupling.
"""

import argparse
import itertools
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

import numpy as np

import random_model

PROMPT = "a [cat -> tiger] on the grass"
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def clip(work, frames, side):
    """Frames with something that moves, raw."""
    path = work / f"clip-{frames}x{side}.rgb"
    if not path.exists():
        rows, columns = np.mgrid[0:side, 0:side]
        with open(path, "wb") as file:
            for frame in range(frames):
                picture = np.stack([columns, rows, (rows + columns) // 2], -1) * 255.0 / side
                disk = (rows - side / 2) ** 2 + (columns - side / 4 - 4 * frame) ** 2 < (side / 6) ** 2
                picture[disk] = (230, 120, 40)
                file.write(picture.astype(np.uint8).tobytes())
    return path


class Edit:
    """One way of editing one clip."""

    def __init__(self, fatezero, work, frames=8, side=512, steps=1, options=()):
        self.fatezero, self.work, self.frames = fatezero, work, frames
        self.arguments = [clip(work, frames, side), "--input-format", "rawvideo", "--video-size", f"{side}x{side}"]
        self.arguments += ["--pixel-format", "rgb24", "--framerate", 8]
        self.arguments += ["--model", work / "model", "--size", f"{side}x{side}", "--steps", steps, "--edit", PROMPT]
        self.arguments += options

    def command(self, name, *more):
        return [str(part) for part in [self.fatezero, name, self.arguments[0], *more, *self.arguments[1:]]]

    def planned(self):
        text = subprocess.run(self.command("plan"), check=True, capture_output=True, text=True).stdout
        peak, kept = (
            float(number) * UNITS[unit]
            for number, unit in re.findall(r"([\d.]+) (bytes|KiB|MiB|GiB)", re.search("memory: .*", text)[0])[:2]
        )
        clock = re.search(r"time: about ([\d:]+)", text)[1]
        seconds = sum(int(part) * 60**power for power, part in enumerate(reversed(clock.split(":"))))
        return {"planned peak": peak, "record": kept, "planned seconds": seconds, "winograd": "Winograd" in text}

    def run(self, until=None):
        """- until: the phase whose first step ends the run; what follows needs less memory."""
        progress, result = self.work / "progress.txt", self.work / "result.rgb"
        for path in (progress, result):
            path.unlink(missing_ok=True)
        command = self.command("edit", result, "--output-format", "rawvideo", "--progress", progress)
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        began = time.monotonic()
        ended = (0, 0, None)
        while until and not ended[0]:
            if any(block["phase"] == until and block["step"] != "0" for block in self.blocks(progress)):
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.2)
            ended = os.wait4(process.pid, os.WNOHANG)
        errors = process.stderr.read()
        _, status, usage = ended if ended[0] else os.wait4(process.pid, 0)
        if status and not until:
            raise RuntimeError(errors)
        steps, last = {}, 0.0
        for block in self.blocks(progress):
            now = int(block["elapsed_us"]) / 1e6
            steps.setdefault(block["phase"] if block["step"] != "0" else "load", []).append(now - last)
            last = now
        return {
            "steps": steps,
            "phases": {phase: sum(seconds) for phase, seconds in steps.items()},
            "peak": usage.ru_maxrss * 1024,
            "seconds": time.monotonic() - began,
        }

    @staticmethod
    def blocks(progress):
        text = progress.read_text() if progress.exists() else ""
        blocks = [dict(re.findall("(.*)=(.*)", block)) for block in re.split("progress=.*", text)[:-1]]
        return [block for block in blocks if "phase" in block]


def table(title, columns):
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def row(*cells):
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def gigabytes(count):
    return f"{count / 1e9:.2f}"


def whole_edits(edit, steps, rounds):
    """Phases, and what the fusion costs beside inversion and generation alone."""
    table(
        f"Whole edits: 8 frames of 512x512, {steps} steps, bf16 where there is, frame-coupling self+middle",
        ["what", "load", "encode", "invert", "edit", "decode", "all, s", "planned, s"],
    )
    kinds = {
        "inversion and generation": ["--attention-source", "none"],
        "fused, blending on": ["--blend-attention", "on", "--cross-replace", "0.8", "--self-replace", "0.8"],
    }
    coupling = ["--frame-coupling", "self+middle"]
    runs = {name: edit(steps=steps, options=[*coupling, *options]) for name, options in kinds.items()}
    reports = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            reports[name].append(run.run() | run.planned())
    rows = []
    for name, all_of in reports.items():
        phases = {
            phase: statistics.median(report["phases"].get(phase, 0) for report in all_of)
            for phase in all_of[0]["phases"]
        }
        seconds = statistics.median(report["seconds"] for report in all_of)
        planned = statistics.median(report["planned seconds"] for report in all_of)
        # The inversion's first step also lays out the weights.
        inverted = [second for report in all_of for second in report["steps"]["invert"][1:]]
        edited = [second for report in all_of for second in report["steps"]["edit"]]
        passes = statistics.median(inverted) + statistics.median(edited)
        rows.append(
            {"what": name, "steps": steps, "phases": phases, "seconds": seconds, "planned": planned, "passes": passes}
        )
        times = [f"{phases.get(phase, 0):.1f}" for phase in ("load", "encode", "invert", "edit", "decode")]
        row(name, *times, f"{seconds:.1f}", f"{planned:.0f}")
    plain, fused = (entry["passes"] for entry in rows)
    print(
        f"\nA step of inversion and one of the edit take {plain:.2f} s together, {fused:.2f} s with the fusion (medians): "
        f"{100 * (fused / plain - 1):+.1f} %.",
        flush=True,
    )
    return rows


def fitting(edit, way, steps, options):
    """The options under which the plan takes a way: Winograd's convolutions, direct ones, or as little as it can."""
    if way == "Winograd":
        return []
    limit = "1" if way == "least" else "1000G"
    planned = edit(steps=steps, options=[*options, "--memory-limit", limit]).planned()
    # What is printed is rounded; a little less than Winograd's convolutions take is ample for direct ones.
    share = 0.95 if planned["winograd"] else 1.03
    return ["--memory-limit", str(int(planned["planned peak"] * share) + 2**20)]


def memory(edit, steps, combinations):
    table(
        f"Memory, of which the most is held at the first edit step: 8 frames of 512x512, {steps} steps, in GB (10^9 bytes)",
        ["precision", "way", "coupling", "record", "record bytes", "planned peak", "peak", "peak/planned",
         "of 50 steps: record bytes", "planned peak"],
    )
    rows = []
    for precision, way, coupling, (record, options) in combinations:
        options = ["--precision", precision, "--frame-coupling", coupling, *options]

        def prepared(steps, way=way, options=options):
            return edit(steps=steps, options=options + fitting(edit, way, steps=steps, options=options))

        run, of_50_steps = prepared(steps), prepared(50).planned()
        planned = run.planned()
        # Winograd's weights are made when they are first used, the decoder's last; with economies it may need the most.
        report = planned | run.run(until="edit" if way == "direct" else "decode")
        case = {"precision": precision, "way": way, "coupling": coupling, "record": record}
        rows.append(case | report | {"of 50 steps": of_50_steps})
        row(
            precision, way, coupling, record, gigabytes(report["record"]), gigabytes(report["planned peak"]),
            gigabytes(report["peak"]), f"{report['peak'] / report['planned peak']:.3f}",
            gigabytes(of_50_steps["record"]), gigabytes(of_50_steps["planned peak"]),
        )
    return rows


def growth(edit):
    table(
        "Growth: 2 steps, bf16 where there is, frame-coupling self+middle",
        ["frames", "window", "size", "edit, s a frame", "peak, GB", "planned, GB"],
    )
    cases = [(frames, 0, 512) for frames in (1, 2, 4, 8, 16)] + [(2, 0, side) for side in (256, 384, 640, 768)]
    # A long clip is edited window by window.
    cases += [(frames, 2, 512) for frames in (4, 8)]
    rows = []
    for frames, window, side in cases:
        options = ["--frame-coupling", "self+middle", "--clip-length", window]
        run = edit(frames=frames, side=side, steps=2, options=options)
        report = run.planned() | run.run(until=None if window else "decode")
        steps = report["steps"]["edit"]
        seconds = (sum(steps) / 2 if window else statistics.median(steps)) / frames
        rows.append({"frames": frames, "window": window, "side": side, "edit seconds": seconds} | report)
        row(
            frames, window or "all", f"{side}x{side}", f"{seconds:.2f}", gigabytes(report["peak"]),
            gigabytes(report["planned peak"]),
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fatezero", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rounds", type=int, default=2, help="of whole edits")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", choices=["edits", "memory", "growth"])
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "model").exists():
        random_model.write(work / "model")

    def edit(**given):
        return Edit(arguments.fatezero, work, **given)

    records = {
        "in memory": ["--record", "queries-keys"],
        "in files": ["--record-dir", work],
        "recomputed": ["--record", "recompute"],
    }
    fast = "bf16" if "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text() else "f32"
    precisions = sorted({"f32", fast}) if arguments.full else [fast]
    ways = ["direct", "least", "Winograd"] if arguments.full else ["direct", "least"]
    combinations = [
        (precision, way, coupling, record)
        for precision, way, coupling, record in itertools.product(
            precisions, ways, ["middle", "self+middle"], records.items()
        )
        # What takes the least keeps nothing.
        if way != "least" or record[0] == "recomputed"
    ]
    results = json.loads((work / "edits.json").read_text()) if (work / "edits.json").exists() else {}
    parts = {
        "edits": lambda: whole_edits(edit, arguments.steps or 5, arguments.rounds),
        "memory": lambda: memory(edit, arguments.steps or 2, combinations),
        "growth": lambda: growth(edit),
    }
    for name, part in parts.items():
        if arguments.only in (None, name):
            results[name] = part()
            (work / "edits.json").write_text(json.dumps(results, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
