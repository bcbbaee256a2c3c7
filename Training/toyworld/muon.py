"""The Muon optimizer for the matrices of a network.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, with the step size matched to AdamW's
of J. Liu et al., "Muon is Scalable for LLM Training", 2025, section 2.2. Convolutions count as matrices of one row
per output channel.
"""

import torch


def orthogonalized(matrix, steps=5):
    """The nearest matrix with all singular values near 1, by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.float()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    # Every step multiplies by a polynomial of x x^T. Where x is long, the polynomials are multiplied first.
    gram = x @ x.T
    product = None
    for step in range(steps):
        square = gram @ gram
        polynomial = b * gram + c * square
        polynomial.diagonal().add_(a)
        product = polynomial if product is None else polynomial @ product
        if step + 1 < steps:
            gram = polynomial @ gram @ polynomial
    x = product @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalized; `lr` is on AdamW's scale."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                direction = parameter.grad + group["momentum"] * state["momentum"]
                matrix = direction.reshape(len(direction), -1)
                scale = 0.2 * max(matrix.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(orthogonalized(matrix).view_as(parameter), alpha=-group["lr"] * scale)
