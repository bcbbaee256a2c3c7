"""The Muon optimizer for the matrices of a network.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, with the step size matched to AdamW's
of J. Liu et al., "Muon is Scalable for LLM Training", 2025, section 2.2. Convolutions count as matrices of one row
per output channel.
"""

import collections

import torch


def orthogonalized(matrices, steps=5):
    """For each matrix (n, rows, columns) one near it with all singular values near 1, by quintic Newton-Schulz steps."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.float()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    # Every step multiplies by a polynomial of x x^T. Where x is long, the polynomials are multiplied first.
    gram = x @ x.mT
    product = None
    for step in range(steps):
        polynomial = b * gram + c * (gram @ gram)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        product = polynomial if product is None else polynomial @ product
        if step + 1 < steps:
            gram = polynomial @ gram @ polynomial
    x = product @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalized; `lr` is on AdamW's scale. Matrices of one shape are computed together."""

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.01):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            parameters = group["params"]
            gradients = [parameter.grad for parameter in parameters]
            moments = [self.state[parameter]["momentum"] for parameter in parameters]
            torch._foreach_mul_(moments, group["momentum"])
            torch._foreach_add_(moments, gradients)
            directions = torch._foreach_add(gradients, moments, alpha=group["momentum"])
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            alike = collections.defaultdict(list)
            for parameter, direction in zip(parameters, directions):
                matrix = direction.reshape(len(direction), -1)
                alike[matrix.shape].append((parameter, matrix))
            for shape, members in alike.items():
                found = orthogonalized(torch.stack([matrix for _, matrix in members]))
                changed = [parameter for parameter, _ in members]
                steps = [part.reshape(parameter.shape) for part, parameter in zip(found, changed)]
                torch._foreach_add_(changed, steps, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)
