#!/usr/bin/env python3
"""Makes Tests/Fixtures/metrics: a small random CLIP, and what transformers, Pillow and scikit-image compute.

    pip install torch==2.15.0 transformers==4.57.6 scikit-image==0.26.0 pillow==13.0.0 numpy==2.4.6 safetensors==0.8.0
    python3 Tests/Fixtures/make_metrics_fixtures.py [FOLDER]

clip/ is a folder as `save_pretrained` writes it, with the vocabulary of modules/sd1. `expected.safetensors`:

- `frames` [n,h,w,3] 8-bit; `image_features` [n,p], `text_features` [2,p] of the prompts in `expected.json`
- `picture.WxH` [h,w,3] 8-bit and `processed.WxH` [side,side,3], what CLIPImageProcessor (Pillow) makes of it
- `first`, `second` [h,w,3] 8-bit: `expected.json` has their PSNR and SSIM by scikit-image
"""

import json
import shutil
import sys
from pathlib import Path

import numpy
import PIL
import skimage
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

PROMPTS = ["a tiger on the grass", "a silver jeep driving down the road"]
SIDE = 32


def picture(random, width, height):
    """A smooth picture with an edge and some noise."""
    coarse = random.integers(0, 256, (5, 6, 3), dtype=numpy.uint8)
    image = numpy.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    inside = image[height // 3 : height // 2, width // 4 : width // 2]
    inside[:] = 255 - inside
    return (image + random.integers(-12, 13, image.shape)).clip(0, 255).astype(numpy.uint8)


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    clip = folder / "clip"
    shutil.copytree(Path(__file__).parent / "modules/sd1/tokenizer", clip)
    tokenizer = CLIPTokenizer.from_pretrained(clip)
    random = numpy.random.default_rng(7)
    torch.manual_seed(7)

    tower = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    model = CLIPModel(
        CLIPConfig(
            text_config=dict(
                tower,
                vocab_size=len(tokenizer),
                projection_dim=24,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            ),
            vision_config=dict(tower, image_size=SIDE, patch_size=8, projection_dim=24),
            projection_dim=24,
        )
    ).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or "class_embedding" in name:
                parameter.normal_(0, 0.25)
            elif name.endswith("norm.weight") or "norm1.weight" in name or "norm2.weight" in name:
                parameter.uniform_(0.5, 1.5)
            elif parameter.ndim == 1:
                parameter.normal_(0, 0.1)
    model.save_pretrained(clip)
    processor = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, resample=Image.Resampling.BICUBIC
    )
    processor.save_pretrained(clip)

    def processed(image):
        return processor(Image.fromarray(image), return_tensors="pt").pixel_values

    first = picture(random, 53, 40)
    frames = [picture(random, 48, 36)]
    for _ in range(3):
        step = frames[-1].astype(int) + random.integers(-60, 61, 3)
        frames.append(numpy.roll(step.clip(0, 255).astype(numpy.uint8), 3, axis=1))
    with torch.no_grad():
        images = model.get_image_features(pixel_values=torch.cat([processed(frame) for frame in frames]))
        texts = model.get_text_features(**tokenizer(PROMPTS, padding="max_length", max_length=77, return_tensors="pt"))
    unit = torch.nn.functional.normalize
    images_unit, texts_unit = unit(images, dim=1), unit(texts, dim=1)
    similarity = images_unit @ texts_unit.T

    second = (first.astype(int) + random.integers(-25, 26, first.shape)).clip(0, 255).astype(numpy.uint8)
    luma = [image @ numpy.array([0.299, 0.587, 0.114]) for image in (first, second)]
    expected = dict(
        prompts=PROMPTS,
        tem_con=(images_unit[1:] * images_unit[:-1]).sum(1).mean().item(),
        fram_acc=(similarity[:, 0] > similarity[:, 1]).float().mean().item(),
        clip_t=100 * similarity[:, 0].mean().item(),
        psnr=float(peak_signal_noise_ratio(first, second, data_range=255)),
        ssim=float(
            structural_similarity(
                *luma, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
            )
        ),
        versions=dict(
            torch=torch.__version__.split("+")[0],
            transformers=transformers.__version__,
            pillow=PIL.__version__,
            scikit_image=skimage.__version__,
            numpy=numpy.__version__,
        ),
    )
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    tensors = {
        "frames": torch.from_numpy(numpy.stack(frames)),
        "image_features": images,
        "text_features": texts,
        "first": torch.from_numpy(first),
        "second": torch.from_numpy(second),
    }
    for width, height in [(101, 67), (67, 101), (21, 27)]:
        image = picture(random, width, height)
        tensors[f"picture.{width}x{height}"] = torch.from_numpy(image)
        tensors[f"processed.{width}x{height}"] = processed(image)[0].permute(1, 2, 0).contiguous()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "expected.safetensors")


if __name__ == "__main__":
    main()
