"""Train the UNet and the text encoder: `python -m toyworld.diffusion WORK --minutes 240`.

Needs the latents of `toyworld.autoencoder`. Resumes from `WORK/diffusion.pt`. The learning rate is constant until the
last `--cooldown` minutes of a run, then falls to nothing. The state before the fall stays in `WORK/diffusion.pt`, for a
later run to go on from; the result goes to `WORK/model`.
"""

import argparse
import pathlib
import time

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from . import dataset, tokenizer
from .attention_maps import intersection_over_union, localization_loss, record, word_maps
from .averages import AveragedWeights, save_atomically, swapped
from .device import autocast, best_device
from .muon import Muon
from .samples import save_sheet
from .schedule import Schedule
from .shapes import SIDE

EMPTY_CAPTIONS = 0.1
"""Share of empty captions, for guidance."""
SNR_LIMIT = 5.0
"""Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2023."""
LAYOUT = 3.0
"""How much more the noisiest steps count: kind and place are decided there, where the error is small."""
WORD_LOSS = 0.1
COARSE_NOISE = 0.3
"""Highest standard deviation of the noise that is added in squares of 16, 8, 4 and 2 cells.

At the noisiest step an inverted latent still has 0.07 of the picture. In one cell that is nothing, in the mean of a
hundred cells of 16 channels it tells the ground for certain: trained on white noise alone the model believes it rather than
the prompt, and few edits change the ground. Offset noise in several sizes hides it.
"""
REPORT_EVERY = 100
CHECKPOINT_SECONDS, SHEET_SECONDS = 300, 1200


def new_text_encoder(tokens):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=tokens, hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=tokenizer.LENGTH, hidden_act="quick_gelu", projection_dim=128, bos_token_id=tokens - 2,
        eos_token_id=tokens - 1, pad_token_id=tokens - 1))


def new_unet():
    """Three levels, 16x16, 8x8 and 4x4. Attention is at 16x16, where blending masks are cut, and in the middle."""
    return UNet2DConditionModel(
        sample_size=SIDE // 8, in_channels=16, out_channels=16, layers_per_block=1, block_out_channels=(96, 160, 224),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4, cross_attention_dim=128, norm_num_groups=16)


def new_scheduler():
    """Stable Diffusion's noise schedule for DDIM."""
    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                         set_alpha_to_one=False, steps_offset=1)


def noise_like(latents):
    """White noise, and over it for each latent another amount of coarse noise."""
    noise = torch.randn_like(latents)
    count, channels, side, _ = latents.shape
    amount = COARSE_NOISE * torch.rand(count, 1, 1, 1, device=latents.device)
    for cells in (2, 4, 8, 16):
        coarse = torch.randn(count, channels, side // cells, side // cells, device=latents.device)
        noise += amount * coarse.repeat_interleave(cells, 2).repeat_interleave(cells, 3)
    return noise


class Examples:
    """Draws batches of scaled latents with captions and the places of their words, all on the device."""

    def __init__(self, work, scale, device):
        shards = dataset.numbers(work, "latents")
        self.latents = torch.from_numpy(dataset.training(work, "latents", shards)).to(device).float() * scale
        self.truth = torch.from_numpy(dataset.training(work, "truth", shards)).to(device).float()
        self.captions = torch.from_numpy(dataset.training(work, "captions", shards)).to(device)
        words = tokenizer.Words()
        self.words = torch.tensor([
            [words.word(scene.kind), words.word(scene.colour) if scene.colour else -1, words.word(scene.ground)]
            for scene in dataset.training_scenes(work, shards)], device=device)
        self.empty = torch.tensor(words.ids(""), device=device)
        self.device = device

    def __len__(self):
        return len(self.latents)

    def batch(self, size):
        """Latents, token ids, and of each kind's, colour's and ground's word its token, true mask and whether it is there."""
        chosen = torch.randint(len(self), (size,), device=self.device)
        wording = torch.randint(self.captions.shape[1], (size,), device=self.device)
        ids = self.captions[chosen, wording].long()
        ids = torch.where(torch.rand(size, 1, device=self.device) < EMPTY_CAPTIONS, self.empty, ids)
        found = ids[:, None, :] == self.words[chosen][..., None]
        masks = self.truth[chosen][:, [0, 0, 1]]
        return self.latents[chosen], ids, found.int().argmax(-1), masks, found.any(-1).float()


class Trainer:
    def __init__(self, work, rate, batch, initial=None):
        self.work, self.rate, self.batch, self.device = work, rate, batch, best_device()
        tokenizer.write(work / "model" / "tokenizer")
        self.words = CLIPTokenizer.from_pretrained(work / "model" / "tokenizer")
        self.autoencoder = AutoencoderKL.from_pretrained(work / "model" / "vae").eval().to(self.device)
        self.scheduler = new_scheduler()
        torch.manual_seed(0)
        self.modules = torch.nn.ModuleDict({"unet": new_unet(), "text": new_text_encoder(len(tokenizer.Words()))})
        if initial:
            unet = UNet2DConditionModel.from_pretrained(initial / "unet", torch_dtype=torch.float32)
            text = CLIPTextModel.from_pretrained(initial / "text_encoder", torch_dtype=torch.float32)
            self.modules["unet"].load_state_dict(unet.state_dict())
            self.modules["text"].load_state_dict(text.state_dict())
        self.modules.to(self.device).train()
        self.maps = record(self.modules["unet"])
        self.optimizers = self._optimizers()
        self.averages, self.step = AveragedWeights(self.modules), 0
        if self.checkpoint.exists():
            self._load()
        self.signal = signal = self.scheduler.alphas_cumprod.to(self.device)
        ratio = signal / (1 - signal)
        self.weights = ratio.clamp_max(SNR_LIMIT) / ratio * (1 + LAYOUT * (1 - signal))

    @property
    def checkpoint(self):
        return self.work / "diffusion.pt"

    def _optimizers(self):
        unet = self.modules["unet"]
        ends = {id(p) for part in (unet.conv_in, unet.conv_out, unet.time_embedding) for p in part.parameters()}
        matrices = [p for p in unet.parameters() if p.ndim > 1 and id(p) not in ends]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.modules.parameters() if id(p) not in chosen]
        return [Muon(matrices, self.rate), torch.optim.AdamW(others, self.rate / 4, (0.9, 0.98), weight_decay=1e-3)]

    def _load(self):
        state = torch.load(self.checkpoint, map_location=self.device)
        self.modules.load_state_dict(state["modules"])
        self.averages.values, self.step = state["averages"], state["step"]
        for optimizer, values in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(values)

    def save(self):
        save_atomically({"modules": self.modules.state_dict(), "averages": self.averages.values, "step": self.step,
                         "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}, self.checkpoint)

    def export(self):
        """Write the averaged weights in the layout of diffusers, float32."""
        with swapped(self.modules, self.averages):
            self.modules["unet"].save_pretrained(self.work / "model" / "unet")
            self.modules["text"].save_pretrained(self.work / "model" / "text_encoder")
        self.scheduler.save_pretrained(self.work / "model" / "scheduler")

    def losses(self, examples):
        """The weighted noise error and the localization loss of a batch, and the mean IoU of the words' maps."""
        latents, ids, positions, masks, present = examples.batch(self.batch)
        noise = noise_like(latents)
        times = torch.randint(0, len(self.weights), (len(latents),), device=self.device)
        signal = self.signal[times][:, None, None, None]
        noisy = signal.sqrt() * latents + (1 - signal).sqrt() * noise
        self.maps.clear()
        with autocast(self.device):
            embeddings = self.modules["text"](ids)[0]
            guess = self.modules["unet"](noisy, times, encoder_hidden_states=embeddings).sample
        error = (guess.float() - noise).square().mean((1, 2, 3))
        maps = word_maps(self.maps, positions)
        clearness = self.signal[times].sqrt()[:, None]
        total = present.sum().clamp_min(1)
        places = (localization_loss(maps, masks) * clearness * present).sum() / total
        overlap = (intersection_over_union(maps.detach(), masks) * present).sum() / total
        return (error * self.weights[times]).mean(), places, overlap

    def train(self, minutes, cooldown):
        examples = Examples(self.work, self.autoencoder.config.scaling_factor, self.device)
        millions = sum(p.numel() for p in self.modules.parameters()) / 1e6
        print(f"{len(examples)} frames, {millions:.1f} M parameters, from step {self.step}", flush=True)
        torch.manual_seed(self.step)
        schedule, recent = Schedule(minutes, cooldown, self.step), []
        saved = drawn = time.time()
        cooling = False
        for self.step, factor in schedule:
            for optimizer, rate in zip(self.optimizers, (self.rate, self.rate / 4)):
                for group in optimizer.param_groups:
                    group["lr"] = rate * factor
            noise_error, places, overlap = self.losses(examples)
            self.modules.zero_grad()
            (noise_error + WORD_LOSS * places).backward()
            torch.nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
            self.averages.update(self.modules, self.step)
            recent.append(torch.stack([noise_error.detach(), places.detach(), overlap]))
            if self.step % REPORT_EVERY == 0:
                values = torch.stack(recent).mean(0).tolist()
                recent = []
                print(f"{self.step} noise {values[0]:.4f} words {values[1]:.4f} IoU {values[2]:.2f} "
                      f"{schedule.seconds_per_step():.3f} s/step", flush=True)
            if not cooling and (schedule.cooling() or time.time() - saved > CHECKPOINT_SECONDS):
                self.save()
                saved, cooling = time.time(), schedule.cooling()
            if time.time() - drawn > SHEET_SECONDS:
                self.sheet()
                drawn = time.time()
        self.export()
        self.sheet()

    def sheet(self):
        with swapped(self.modules, self.averages):
            save_sheet(self.work / f"samples-{self.step:06}.png", self.words, self.modules["text"],
                       self.modules["unet"], self.autoencoder, self.scheduler)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=240, help="wall time of this run")
    parser.add_argument("--cooldown", type=float, default=60, help="minutes at the end in which the rate falls")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate of Muon; AdamW has a quarter")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--initial", type=pathlib.Path, help="model folder whose weights to start from")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    Trainer(arguments.work, arguments.rate, arguments.batch, arguments.initial).train(arguments.minutes, arguments.cooldown)


if __name__ == "__main__":
    main()
