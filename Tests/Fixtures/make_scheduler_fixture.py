"""Remakes scheduler.json: timesteps, cumulative alphas and steps of diffusers' DDIMScheduler and DDIMInverseScheduler, for every spacing, with
and without zero terminal SNR.

    pip install diffusers==0.42.1 torch==2.15.0 numpy
    python make_scheduler_fixture.py

A case has what its scheduler_config.json says, "steps", "timesteps" (noisiest first), "alphas" at those timesteps, and for a few steps
"denoised": [step, latent, output of the network, latent after it] and "inverted": [step, latent, output, latent after it].
"""
import itertools
import json
import random
import warnings
from pathlib import Path

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler

warnings.simplefilter("ignore")
rng = random.Random(1)
stable = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


def case(configuration, steps):
    scheduler = DDIMScheduler.from_config(configuration)
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.tolist()
    out = {"configuration": configuration, "steps": steps, "timesteps": timesteps, "alphas": scheduler.alphas_cumprod[scheduler.timesteps].tolist()}
    denoised, inverted = [], []
    # DDIMInverseScheduler has no linspace of its own, and its leading timesteps are those of DDIMScheduler: its step is given the timestep of
    # the level that it leaves, as its own `timestep - ratio`.
    inverse = DDIMInverseScheduler.from_config({**configuration, "timestep_spacing": "leading"})
    inverse.set_timesteps(steps)
    for step in sorted({0, min(1, steps - 1), steps // 2, steps - 1}):
        z, e = rng.gauss(0, 1), rng.gauss(0, 1)
        after = scheduler.step(torch.tensor([e]), timesteps[step], torch.tensor([z])).prev_sample.item()
        denoised.append([step, z, e, after])
        k = steps - 1 - step
        after = inverse.step(torch.tensor([e]), timesteps[step], torch.tensor([z])).prev_sample.item()
        inverted.append([k, z, e, after])
    return {**out, "denoised": denoised, "inverted": inverted}


cases = []
for spacing, zero, steps in itertools.product(["leading", "trailing", "linspace"], [False, True], [1, 2, 7, 30, 49, 50]):
    for prediction in ["epsilon", "v_prediction"]:
        if steps == 1 and spacing == "linspace":
            continue
        # Noise cannot be told from noise.
        if zero and prediction == "epsilon" and spacing != "leading":
            continue
        cases.append(case({**stable, "prediction_type": prediction, "timestep_spacing": spacing, "rescale_betas_zero_snr": zero}, steps))
cases.append(case({"clip_sample": False, "timestep_spacing": "trailing", "beta_schedule": "linear", "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, 13))
cases.append(case({"clip_sample": False, "timestep_spacing": "trailing", "beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 500}, 33))
(Path(__file__).parent / "scheduler.json").write_text(json.dumps(cases, separators=(",", ":")))
print(len(cases), "cases")
