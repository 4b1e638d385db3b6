"""Reference numbers for src/plugin/backbone/precision.rs, from PyTorch's autocast to bfloat16: writes autocast.json.

    python autocast.py    # torch 2.13.0

Every tensor is made of sines by the same formula as in the test. Each case is the output of layers under
torch.autocast("cpu", dtype=torch.bfloat16), as float32.
"""

import json
import math
import pathlib

import torch
from torch.nn import functional as F


def waves(shape, offset):
    n = math.prod(shape)
    return torch.tensor([math.sin(0.7 * i + offset) for i in range(n)], dtype=torch.float32).reshape(shape)


def convolution():
    """Convolution, BatchNorm by running statistics, ReLU, mean over the voxels."""
    x = F.conv3d(waves((2, 2, 3, 5, 5), 0.0), waves((4, 2, 3, 3, 3), 1.0), None, stride=(1, 2, 2), padding=1)
    x = F.batch_norm(x, waves((4,), 2.0), 1.5 + waves((4,), 3.0), 1.5 + waves((4,), 4.0), waves((4,), 5.0), False, 0.0, 1e-5)
    return F.relu(x)


def transformer():
    """LayerNorm, linear layers to queries, keys and values, attention of two heads, a linear layer, and the input added."""
    tokens = waves((2, 5, 8), 0.5)
    normed = F.layer_norm(tokens, (8,), waves((8,), 1.5), waves((8,), 2.5), 1e-6)
    heads = [
        F.linear(normed, waves((8, 8), 3.5 + i), waves((8,), 6.5 + i)).unflatten(-1, (2, 4)).transpose(1, 2)
        for i in range(3)
    ]
    attended = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2, 3)
    return F.linear(attended, waves((8, 8), 9.5), waves((8,), 10.5)) + tokens


def main():
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = {"convolution": convolution(), "transformer": transformer()}
    cases = {name: {"dtype": str(x.dtype), "values": x.float().flatten().tolist()} for name, x in outputs.items()}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=0) + "\n")


if __name__ == "__main__":
    main()
