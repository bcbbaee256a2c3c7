"""Averaged weights and interruptible training: what every trainer here shares."""

import math
import os

import torch


class AveragedWeights:
    """Weights averaged over the last tenth or so of the training, however long it gets.

    The decay follows Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", 2024,
    section 3: beta(t) = (1 - 1/t)^(gamma + 1), gamma = 6.94 for a relative width of 0.1.
    """

    GAMMA = 6.94

    def __init__(self, module):
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module, step):
        """Take in the weights after `step` (from 1) steps."""
        decay = (1 - 1 / step) ** (self.GAMMA + 1)
        state = {name: value for name, value in module.state_dict().items() if value.dtype.is_floating_point}
        torch._foreach_lerp_([self.values[name] for name in state], list(state.values()), 1 - decay)


class swapped:
    """Within the block, `module` has the averaged weights."""

    def __init__(self, module, averages):
        self.module, self.averages = module, averages

    def __enter__(self):
        self.own = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.averages.values)
        self.module.eval()

    def __exit__(self, *exception):
        self.module.load_state_dict(self.own)
        self.module.train()


def save_atomically(state, path):
    """Write a checkpoint so that an interruption leaves the old one or the new one."""
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def peak_signal_to_noise(result, reference):
    """PSNR in dB of pictures in -1...1."""
    return 10 * math.log10(4 / (result - reference).square().mean().item())
