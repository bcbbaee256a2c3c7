"""Write the sample clip, a cat walking on grass with birdsong: `python make_sample_clip.py ../Examples/cat.mp4`.

128x128 pixels, 16 frames at 12 frames a second, H.264 with AAC sound. Needs `ffmpeg` with libx264.
"""

import argparse
import pathlib
import subprocess
import tempfile
import wave

import numpy as np
from PIL import Image

from toyworld.clips import moving
from toyworld.world import Scene, render, to_bytes

FRAMES, RATE, SOUND_RATE = 16, 12, 44100
SCENE = Scene(kind="cat", ground="grass", x=0.3, y=0.6, size=0.36, phase=0.4, facing=1, seed=3)


def sound(seconds):
    """Soft wind under a few falling chirps, 16-bit mono."""
    rng = np.random.default_rng(0)
    time = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    noise = rng.standard_normal(len(time))
    samples = 0.05 * np.convolve(noise, np.ones(64) / 8, mode="same")
    for start in (0.15, 0.35, 0.85):
        local = time - start
        envelope = np.where(local > 0, np.exp(-local * 25) * np.minimum(local * 200, 1), 0)
        samples += 0.3 * envelope * np.sin(2 * np.pi * (3200 * local - 2500 * local ** 2))
    return (np.clip(samples, -1, 1) * 32767).astype("<i2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for index, scene in enumerate(moving(SCENE, FRAMES, step=0.025, pace=0.8)):
            Image.fromarray(to_bytes(render(scene).image)).save(folder / f"{index:02}.png")
        with wave.open(str(folder / "sound.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SOUND_RATE)
            file.writeframes(sound(FRAMES / RATE).tobytes())
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-framerate", str(RATE), "-i", folder / "%02d.png",
             "-i", folder / "sound.wav", "-c:v", "libx264", "-preset", "veryslow", "-crf", "12", "-pix_fmt", "yuv420p",
             "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
             "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:a", "aac", "-b:a", "96k",
             "-movflags", "+faststart", "-shortest", out], check=True)


if __name__ == "__main__":
    main()
