"""Remake the table of docs/QUALITY.md: `python -m quality --work DIR`, or run.sh.

Renders held-out clips, edits them with every method through the `fatezero` tool, and measures the results against the
ideal edits. Goes on where it was interrupted.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from toyworld import clips
from toyworld.autoencoder import to_frames, to_tensor
from toyworld.shapes import SIDE
from toyworld.world import Scene

from . import methods, metrics, report, sdedit

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
REPORTED, TUNING = 101, 102
"""Seeds of the clips that are reported and of those on which defaults are chosen."""


def drawn(folder, seed, number, frames):
    """A clip with its ground truth on disk."""
    clip = folder / f"clip-{number:02}"
    if not (clip / "clip.json").exists():
        rng = np.random.default_rng([seed, number])
        scenes = clips.random_clip(rng, frames)
        clips.write(clip, scenes, clips.edits(scenes[0], rng))
    return clip


def stacked(folder, pattern):
    return np.stack([np.asarray(picture) for picture in methods.pictures(folder, pattern)])


@torch.no_grad()
def compressed(pipeline, frames):
    """What the autoencoder alone makes of frames."""
    return to_frames(pipeline.vae.decode(pipeline.vae.encode(to_tensor(frames)).latent_dist.mode()).sample)


def measured(judge, clip, description, edited, kind, unedited):
    """All metrics of one edited clip; `unedited` are the source's frames after the autoencoder alone."""
    frames = stacked(edited, "*.png")
    source, ideal = stacked(clip, "frame-*.png"), stacked(clip, f"ideal-{kind}-*.png")
    objects = stacked(clip, "object-*.png")[..., 0] > 0
    scenes = [Scene(**entry) for entry in description["scenes"]]
    target = Scene(**(description["scenes"][0] | description["edits"][kind]["changes"]))
    head = metrics.HEADS[kind]
    logits, features = judge(frames)
    scroll = scenes[1].scroll - scenes[0].scroll
    result = {
        "frame accuracy": metrics.frame_accuracy(
            logits, head, metrics.label(head, scenes[0]), metrics.label(head, target)),
        "temporal consistency": metrics.temporal_consistency(features),
        "ideal PSNR": metrics.psnr(frames, ideal),
        "warp error": metrics.warp_error(frames, objects, (scenes[1].x - scenes[0].x) * SIDE, -scroll * SIDE),
    }
    if kind in metrics.KEEPS_BACKGROUND:
        # The object may have another outline now: what either object covers is no background.
        changed = np.abs(ideal.astype(int) - source).max(-1) > 8
        result["background error"] = metrics.background_error(frames, unedited, objects | changed)
    return result


def ceilings(tool, model, clip, out, description, steps, unedited):
    """PSNR of the source after inversion and generation with its own prompt and guidance 1, and after the VAE alone."""
    source = stacked(clip, "frame-*.png")
    itself = json.loads(json.dumps(description))
    itself["edits"] = {"source": {"caption": description["caption"], "changes": {}}}
    plain = methods.METHODS["plain"]
    methods.run(tool, model, clip, out, plain, steps, ("--guidance-scale", "1"), ("source",), itself)
    return metrics.psnr(stacked(out / "source", "*.png"), source), metrics.psnr(unedited, source)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for clips and edits")
    parser.add_argument("--judge", type=pathlib.Path, default=pathlib.Path(__file__).with_name("judge.safetensors"),
                        help="weights of toyworld.classifier")
    parser.add_argument("--tool", type=pathlib.Path, default=REPOSITORY / ".build/release/fatezero")
    parser.add_argument("--model", type=pathlib.Path, default=REPOSITORY / "Models/toyworld")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=list(methods.METHODS), choices=list(methods.METHODS))
    parser.add_argument("--kinds", nargs="+", default=list(methods.KINDS), choices=list(methods.KINDS))
    parser.add_argument("--tune", metavar="NAME", help="edit the tuning clips, and print the table under this name; "
                        "options of fatezero may follow after --")
    arguments, extra = parser.parse_known_args()
    extra = [text for text in extra if text != "--"]
    if extra and not arguments.tune:
        parser.error(f"unknown: {' '.join(extra)}")
    torch.set_num_threads(arguments.threads)
    model, steps = arguments.model, arguments.steps
    guidance = json.loads((model / "fatezero.json").read_text())["guidance-scale"]
    pipeline = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32)
    judge = metrics.Judge(arguments.judge)
    seed = TUNING if arguments.tune else REPORTED
    out = arguments.work / (f"tune-{arguments.tune}" if arguments.tune else "edits")
    extra += ["--threads", str(arguments.threads)]
    results = {"clips": arguments.clips, "frames": arguments.frames, "steps": steps, "guidance": guidance,
               "edits": [], "source": {"inverted": [], "autoencoder": []}}
    for number in range(arguments.clips):
        clip = drawn(arguments.work / f"clips-{seed}", seed, number, arguments.frames)
        description = methods.described(clip)
        unedited = compressed(pipeline, stacked(clip, "frame-*.png"))
        for key in arguments.methods:
            place = out / clip.name / key
            if key == "sdedit":
                frames = [np.asarray(picture) for picture in methods.pictures(clip, "frame-*.png")]
                sdedit.run(pipeline, clip, place, description, frames, steps, guidance, arguments.kinds)
            else:
                methods.run(arguments.tool, model, clip, place, methods.METHODS[key], steps, extra, arguments.kinds)
            for kind in arguments.kinds:
                if (place / kind).exists():
                    entry = {"clip": number, "kind": kind, "method": key}
                    results["edits"].append(entry | measured(judge, clip, description, place / kind, kind, unedited))
        if not arguments.tune:
            inverted, autoencoder = ceilings(arguments.tool, model, clip, out / clip.name / "itself", description, steps,
                                             unedited)
            results["source"]["inverted"].append(inverted)
            results["source"]["autoencoder"].append(autoencoder)
        print(f"clip {number + 1} of {arguments.clips}", flush=True)
    if arguments.tune:
        for kind in (None, *arguments.kinds):
            print(kind or "all", report.table(results, kind), sep="\n")
    else:
        (arguments.work / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        report.write(results, REPOSITORY / "docs/QUALITY.md", REPOSITORY / "docs/images")


if __name__ == "__main__":
    main()
