"""Weights that make a network's numbers worth comparing: every tensor matters, and nothing explodes or dies in deep networks."""

import contextlib
import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def uninitialised():
    """PyTorch's initialisers do nothing meanwhile: they would take longer than all else."""
    names = [name for name in vars(nn.init) if name.endswith("_") and not name.startswith("_")]
    saved = {name: getattr(nn.init, name) for name in names}
    for name in names:
        setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    try:
        yield
    finally:
        for name, function in saved.items():
            setattr(nn.init, name, function)


@torch.no_grad()
def fill(model, forward, generator):
    """Random weights; running statistics near those that `forward` sees."""

    def uniform(tensor, low, high):
        tensor.copy_(torch.empty(tensor.shape).uniform_(low, high, generator=generator))

    for name, weight in model.named_parameters():
        leaf = name.rsplit(".", 1)[-1]
        if leaf == "bias":
            uniform(weight, -0.2, 0.2)
        elif leaf == "weight" and weight.dim() == 1:
            uniform(weight, 0.5, 1.5)
        elif leaf == "weight":
            bound = math.sqrt(3 / weight[0].numel())
            uniform(weight, -bound, bound)
        else:
            # Tokens, positions, tables of relative positions.
            uniform(weight, -1.0, 1.0)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()
    forward()
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
        factor = torch.empty_like(norm.running_var)
        uniform(factor, -0.2, 0.2)
        norm.running_mean += factor * norm.running_var.sqrt()
        uniform(factor, 0.7, 1.4)
        norm.running_var *= factor
