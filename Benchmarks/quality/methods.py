"""The methods compared, as options of `fatezero edit`; and running them."""

import dataclasses
import json
import subprocess

from PIL import Image

KINDS = ("style", "attribute", "shape", "background")
"""The kinds of edits, as `toyworld.clips.edits` names them."""


SETTINGS = {"style": ("--preset", "style"), "background": ("--preset", "background")}
"""What every method is given for a kind of edit, guidance included; else the model's own defaults."""
GUIDANCE = {"background": 10}
"""The guidance of those presets, for SDEdit."""


@dataclasses.dataclass(frozen=True)
class Method:
    title: str
    options: tuple[str, ...] = ()
    names_source: bool = True
    """Whether the method is given the source prompt."""
    blends: bool = False
    """Whether a blending mask is made around the words that change; a style changes no word of the source."""

    def suits(self, kind):
        return not (self.blends and kind == "style")


METHODS = {
    "plain": Method("DDIM inversion + generation", ("--attention-source", "none")),
    "reconstruction": Method("reconstruction attention", ("--attention-source", "reconstruction",
                                                          "--blend-attention", "off")),
    "sdedit": Method("SDEdit"),
    "fused": Method("FateZero without blending", ("--blend-attention", "off")),
    "blended": Method("FateZero with blending", ("--blend-attention", "on"), blends=True),
    "unnamed": Method("FateZero without source prompt", names_source=False),
}


def described(clip):
    return json.loads((clip / "clip.json").read_text())


def changed_words(description, kind):
    """The word that an edit takes away and the one it brings, as --blend-words takes them."""
    scene, changes = description["scenes"][0], description["edits"][kind]["changes"]
    if kind == "attribute":
        return f"{scene['kind']}={scene['kind']}"
    name = {"shape": "kind", "background": "ground"}[kind]
    return f"{scene[name]}={changes[name]}"


def run(tool, model, clip, out, method, steps, extra=(), kinds=KINDS, description=None):
    """Edit a clip in one way. Leaves `out/KIND/*.png`; edits that are there are left alone."""
    description = description or described(clip)
    kinds = [kind for kind in kinds if method.suits(kind) and not (out / kind).exists()]
    for kind in kinds:
        unfinished = out / "unfinished"
        command = [tool, "edit", "-y", clip / "frame-%02d.png", f"{unfinished}/", "--model", model,
                   "--steps", str(steps), *SETTINGS.get(kind, ()), *method.options, *extra]
        if method.names_source:
            command += ["--source", description["caption"]]
        command += ["--edit", description["edits"][kind]["caption"]]
        if method.blends:
            command += ["--blend-words", changed_words(description, kind)]
        out.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}\nfailed:\n{done.stderr}")
        unfinished.rename(out / kind)


def pictures(folder, pattern="*.png"):
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob(pattern))]
