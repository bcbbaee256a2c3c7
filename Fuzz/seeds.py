#!/usr/bin/env python3
"""seeds.py [FOLDER]: writes what fuzzing begins with, a folder for each target: small inputs of every kind that a target reads.
Without FOLDER into Tests/Fixtures/fuzz.

Needs ffmpeg, and nothing of Python's but its own library.
"""

import glob
import json
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURES = os.path.join(ROOT, "Tests/Fixtures")
output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "fuzz")


def put(target, name, content):
    folder = os.path.join(output, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def files(ending, largest, *places):
    found = []
    for place in places or (FIXTURES,):
        found += glob.glob(f"{place}/**/*.{ending}", recursive=True)
    return [file for file in sorted(found) if os.path.getsize(file) <= largest and not file.startswith(FIXTURES + "/fuzz/")]


def read(file):
    with open(file, "rb") as stream:
        return stream.read()


def joined(*parts):
    return b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)


def header(tensors, metadata=None):
    """Tensors are (name, type, shape); their numbers are zeros."""
    sizes = {"F64": 8, "I64": 8, "F32": 4, "F16": 2, "BF16": 2}
    values, end = {}, 0
    if metadata:
        values["__metadata__"] = metadata
    for name, kind, shape in tensors:
        size = sizes[kind]
        for side in shape:
            size *= side
        values[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return json.dumps(values).encode() + b"\0" + b"\0" * end


# Weights

put("safetensors", "embedding", header([("emb_params", "F32", [2, 4])], {"format": "pt"}))
layer = "lora_unet_down_blocks_0_attentions_0_proj_in"
put("safetensors", "lora", header([
    (f"{layer}.lora_down.weight", "F16", [1, 4]), (f"{layer}.lora_up.weight", "F16", [4, 1]), (f"{layer}.alpha", "F32", [])]))
peft = {"lora_alpha": 4, "use_rslora": True, "alpha_pattern": {"a": 1}}
put("safetensors", "sealed", header(
    [("unet.a.lora_A.weight", "F32", [1, 1]), ("unet.a.lora_B.weight", "F32", [1, 1])],
    {"xxh3-128": "SEAL", "lora_adapter_metadata": json.dumps(peft)}))
put("safetensors", "empty", '{"x":{"dtype":"I64","shape":[0,4611686018427387904],"data_offsets":[0,0]}}\0')
for index, file in enumerate(files("safetensors", 4000)):
    put("safetensors", f"file-{index}", b"\0" + read(file))

rebuild = (
    b"ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\0\0\0storageq\x03ctorch\nFloatStorage\nq\x04X\x01\0\0\x000q\x05"
    b"X\x03\0\0\0cpuq\x06K\x10tq\x07QK\0K\x04K\x04\x86q\x08K\x04K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0d")
contiguous = b"\x80\x02}q\0(X\x01\0\0\0aq\x01" + rebuild + b"u."
put("pickle", "contiguous", contiguous)
put("pickle", "transposed", contiguous.replace(b"K\x04K\x01\x86", b"K\x01K\x04\x86"))
put("pickle", "embedding", b"\x80\x02}q\0X\x0f\0\0\0string_to_param}X\x01\0\0\0*" + rebuild + b"ss.")
put("pickle", "lightning", b"\x80\x02}q\0(X\x0a\0\0\0state_dict}q\x01(X\x01\0\0\0a" + rebuild + b"uX\x05\0\0\0epochJ\xff\xff\xff\xff"
    b"X\x01\0\0\0f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fX\x01\0\0\0gG\x3f\xf0\0\0\0\0\0\0X\x01\0\0\0hNX\x01\0\0\0i]q\x22(K\1eu.")
for index, file in enumerate(files("bin", 200_000) + files("ckpt", 200_000) + files("pt", 200_000)):
    with zipfile.ZipFile(file) as archive:
        for entry in archive.namelist():
            if entry.endswith("data.pkl") and len(archive.read(entry)) <= 4096:
                put("pickle", f"file-{index}", archive.read(entry))
    if os.path.getsize(file) <= 4096:
        put("zip", f"file-{index}", read(file))


def shapes(file):
    with open(file, "rb") as stream:
        values = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
    values.pop("__metadata__", None)
    lines = [f"{name}|F16|{','.join(map(str, value['shape']))}" for name, value in values.items()]
    while sum(len(line) + 1 for line in lines) > 8000:
        lines = lines[::2]
    return "\n".join(lines)


for index, file in enumerate(files("safetensors", 60_000_000, FIXTURES + "/adapters", os.path.join(ROOT, "Models"), FIXTURES + "/modules/sd1")):
    put("shapes", f"file-{index}", shapes(file))
put("shapes", "original", "\n".join([
    "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight|F32|6,2",
    "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_bias|F32|6",
    "model.diffusion_model.input_blocks.1.0.in_layers.0.weight|F32|4",
    "model.diffusion_model.input_blocks.3.0.op.weight|F32|4,4,3,3",
    "first_stage_model.decoder.up.1.block.0.conv1.weight|F32|4,4,3,3",
    "first_stage_model.encoder.down.0.block.0.conv1.weight|F32|4,4,3,3"]))
put("shapes", "embedding", "emb_params|F32|2,32")

# Configurations

for index, file in enumerate(files("json", 4096, os.path.join(ROOT, "Models"), FIXTURES + "/modules/sd2", FIXTURES + "/metrics")):
    put("configurations", f"file-{index}", read(file))
put("configurations", "betas", '{"trained_betas":[0.1,0.2],"num_train_timesteps":2,"clip_sample":false}')
put("configurations", "images", '{"size":{"shortest_edge":224},"crop_size":{"height":224,"width":224},"image_mean":[0,0,0]}')
put("configurations", "defaults", '{"guidance-scale":3.5,"cross-replace":"0.8,tiger=0.0:0.4","steps":20,"blend-latents":true}')
vocabulary = '{"a":0,"b":1,"a</w>":2,"b</w>":3,"ab</w>":4,"<|startoftext|>":5,"<|endoftext|>":6,"ab":7}'
put("tokenizer", "small", joined(
    vocabulary, "#version: 0.2\na b</w>\na b", '{"bos_token":"<|startoftext|>","pad_token":{"content":"<|endoftext|>","normalized":true}}',
    '{"model_max_length":77}', "abab b ab <x>"))

# Prompts and settings

put("prompts", "repairs", "a cat's &amp;lt; 12 \ufb01 \u201cx\u201d <|endoftext|>\0a tiger, on the grass")
put("prompts", "entities", "&#x41;&#65;&eacute; e\u0301 \uff21\uff76\uff9e<b>&amp;</b>\n&amp;\0{n}{edit}")
put("prompts", "inline", "a [cat -> tiger] on \\[the\\] [ -> wet] grass\0a [b")
settings = {
    "edit": ["a [cat -> tiger] on \\[the\\] grass", "a cat", "a \\\\[x"], "source": ["a cat"], "negative": ["bad"], "preset": ["style", "shape"],
    "size": ["512x320", "auto"], "steps": ["20"], "guidance-scale": ["7.5"], "cross-mode": ["refine"],
    "cross-replace": ["0.8,tiger=0.0:0.4"], "self-replace": ["0.2:0.8", "auto"], "blend-attention": ["on"],
    "blend-words": ["cat=tiger,\\,x", "cat"], "blend-threshold": ["0.3"], "blend-latents": ["true"],
    "word-weights": ["tiger=10,a\\=b=-2"], "attention-source": ["reconstruction"], "frame-coupling": ["self+middle+-2", "none"],
    "coupling-min-width": ["second"], "fusion-max-tokens": ["1024"], "clip-length": ["8"], "precision": ["f32"], "threads": ["2"],
    "record": ["maps"], "record-dir": ["work"], "memory-limit": ["8G"], "prediction-type": ["epsilon"], "unet": ["a/b"],
    "lora": ["style.safetensors:0.8,a=b:c"], "embedding": ["<toy>=toy.pt,x\\,y=z"],
}
for name, texts in settings.items():
    for index, text in enumerate(texts):
        put("settings", f"{name}-{index}", f"{name}={text}")
        put("plan", f"{name}-{index}", b"\x40\x01\x40\x01\x09\x00" + f"{name}={text}".encode())
put("settings", "all", joined(*[f"{name}={texts[0]}" for name, texts in settings.items()]))
put("plan", "long", b"\xff\x08\xff\x08\xff\x27" + joined("size=512x320", "steps=20", "record=maps", "guidance-scale=1", "clip-length=0"))
put("plan", "blending", b"\x40\x01\x40\x01\x09\x00" + joined("blend-latents=true", "word-weights=tiger=2", "attention-source=reconstruction"))
for index, prompt in enumerate(["a cat", "a \"cat\" <b>&</b>", "a/b ../c", "caf\u00e9 \u0d4e\u0301", ".hidden -rf"]):
    put("names", f"prompt-{index}", prompt)
    put("pages", f"prompt-{index}", joined(prompt, prompt, "a dog"))
put("arguments", "edit", joined(
    "../Examples/cat.mp4", "o-{edit}.mp4", "--edit=a [cat -> tiger]", "--steps=2", "--frames=3", "--mask-mode=intersect", "--mask=x.png", "-y"))
put("arguments", "raw", joined("-", "-", "--edit", "a", "--input-format", "rawvideo", "--video-size", "64x64", "--pixel-format", "rgb24", "--start", "1:02"))
put("frei0r", "texts", joined("a [cat -> tiger] %27s", "steps=20&source=a cat&clip-length=4", "8x8"))
put("frei0r", "files", joined("@edit=a cat\n# note\n\nsteps = 3\n", "@steps", "9x9"))

# YAML and JSON

put("yaml", "jobs", "clips: [cat.mp4, {path: dog.mp4, source: a dog, name: d}]\nedits: [a tiger, {edit: a cat, name: w, steps: 3}]\n"
    "settings: {steps: 20, self-replace: [0.5, 0.8], report: true}\noutput: out\nextension: mkv\n")
put("yaml", "aliases", "a: &a [1, 2]\nb: {<<: *a, c: *a}\nclips: [&c x.mp4, *c]\nedits: [\"${output}\"]\noutput: ${.extension}\nextension: mp4\n")
put("yaml", "names", 'clips: [{path: a.mp4, name: "a/\\u0301b"}]\nedits: [{edit: x, name: "..\\/y"}]\n')
for index, file in enumerate(files("yaml", 4096)):
    put("yaml", f"file-{index}", read(file))
edit = {"name": "a", "clip": "c.mp4", "clipName": "c", "edit": "x", "file": "a.mp4", "grid": [],
        "options": [{"argument": {"_0": "--steps=2"}}, {"file": {"_0": "report", "_1": True}}]}
put("jobs", "edits", json.dumps({"version": "VERSION", "directory": "..", "work": {"edits": {"_0": [edit]}}}))
put("jobs", "windows", json.dumps({"version": "VERSION", "directory": "work", "work": {
    "windows": {"arguments": ["a.mp4", "b.mp4", "--edit=x"], "ranges": [[0, 1], [1, 4]]}}}))
put("jobs", "done", json.dumps({"key": "a", "seconds": 1.5, "peakBytes": 10, "finished": "x", "results": ["a"]}))

# The cache: what toyworld leaves of a clip of one frame of 64x64 at two steps

entry = '{"version":"1","source":"a cat","frames":1,"size":"64x64","steps":2,"model":"x","holdsAttention":true}'
seal = {"xxh3-128": "SEAL"}
put("cache", "latents", joined(entry, header([("latents", "F32", [3, 1, 8, 8, 4])], seal)))
put("cache", "window", joined(entry, header([("edit.0.pictures", "F32", [1, 1, 8, 8, 3]), ("edit.0.mask", "F32", [4])], {**seal, "edit.0.mask": "2 2 3"})))
site = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
put("cache", "attention", joined(entry, header([(f"{site}.queries", "F16", [1, 8, 32]), (f"{site}.keys", "F16", [1, 8, 32])], {**seal, site: "0"})))

# Media

endings = ["mp4", "y4m", "nut", "mkv", "png", "gif", "webp", "avi", "ts", "bin", "jpg", "wav", "ppm", "webm", "bmp", "tiff"]
codecs = {"mp4": "-c:v mpeg4 -frames:v 3", "y4m": "-frames:v 2 -pix_fmt yuv420p", "nut": "-c:v rawvideo -pix_fmt gray -frames:v 3",
          "mkv": "-c:v mjpeg -frames:v 3", "gif": "-frames:v 3", "avi": "-c:v mjpeg -frames:v 3", "ts": "-c:v mpeg2video -frames:v 3",
          "webm": "-c:v libvpx -frames:v 2"}
with tempfile.TemporaryDirectory() as folder:
    for index, ending in enumerate(endings):
        if ending in ("bin", "wav"):
            continue
        file = f"{folder}/clip.{ending}"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", f"{ROOT}/Examples/cat.mp4", "-vf", "scale=16:16", "-an",
             *codecs.get(ending, "-frames:v 1").split(), file], check=True)
        for flags in (0, 0x40, 0x80):
            put("media", f"{ending}-{flags:x}", bytes([index | flags]) + read(file))
for flags in range(0, 32, 3):
    put("matroska", f"plain-{flags}", bytes([flags]) + bytes([4 | 13 << 3, 122]) + b"\0\0" + b"\0\0" + b"\0\x01\0\x02"
        + b"".join(bytes([kind, 0, time * 10, 0, 0]) + (b"\0\x05" if kind == 2 else b"") for time, kind in enumerate([0, 2, 3, 1, 0])))


def any_time(kind, small):
    """The kinds of numbers that MatroskaBuilder makes: small ones, and those about the ends of signed and unsigned ones."""
    return bytes([kind, small])


for kind in (1, 2, 3, 5 | 31 << 3):
    time = any_time(kind, 1)
    for flags in (0, 8, 16, 24):
        # Timestamp scale and duration of the file, default duration of a frame, begin and end of a chapter, then clusters.
        put("matroska", f"all-{kind}-{flags}", bytes([flags]) + time * 5
            + b"".join(bytes([block]) + time + b"\0\0" + (time if block == 2 else b"") for block in (0, 2, 3, 1)))
        put("matroska", f"clusters-{kind}-{flags}", bytes([flags, 4 | 13 << 3, 122]) + b"\0\0" * 4
            + b"".join(bytes([block]) + time + b"\x7f\xff" + (time if block == 2 else b"") for block in (0, 2, 3, 1)))
        put("matroska", f"apart-{kind}-{flags}", bytes([flags, 4 | 13 << 3, 122]) + b"\0\0" * 4
            + bytes([0, 0, 1, 0, 0, 0]) + time + b"\0\0" + bytes([2, 0, 1, 0, 0]) + time + bytes([3]) + time + b"\0\0")
for index, text in enumerate(['"\u0301 onload=x', "a/\u0d4e/../b", "<\ufe0fscript>", "\x1b[31m", "..\u200d/", "-\u0301rf"]):
    put("names", f"marks-{index}", text)
    put("pages", f"marks-{index}", joined(text, text, text))
for index, text in enumerate(["a \\\\[x", "blend-words", "=", ",\u0301", "\\"]):
    put("settings", f"marks-{index}", joined(f"edit={text}", f"blend-words={text}=b", f"word-weights={text}=2", f"lora=a{text}:1"))
