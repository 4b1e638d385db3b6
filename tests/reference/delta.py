"""DELTA (Li et al. 2019) of a network of two convolutions, by PyTorch's autograd: tests/reference/delta.json. Needs torch.

The start and the network that is tuned have a stage "one" of 3 channels and a stage "two" of 4, each a convolution and a
ReLU; features are averages, the head is linear. Weights of channels: softmax of the increase of the mean cross-entropy
when a channel of the start is set to 0, times the number of channels. Differences are averaged over positions.
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import conv3d, cross_entropy, linear

STRENGTH = 0.3
SIZE = (3, 1, 4, 5, 6)


def stages(x, weights):
    one = conv3d(x, weights[0], padding=1).relu()
    return one, conv3d(one, weights[1], padding=1).relu()


def main() -> None:
    generator = torch.Generator().manual_seed(7)

    def random(*shape, scale=1.0):
        return (torch.randn(*shape, generator=generator) * scale).double()

    x, targets = random(*SIZE), torch.tensor([0, 1, 1])
    start = [random(3, 1, 3, 3, 3, scale=0.4), random(4, 3, 3, 3, 3, scale=0.3)]
    tuned = [(weight + random(*weight.shape, scale=0.1)).float().double().requires_grad_() for weight in start]
    head, bias = random(2, 4, scale=2.0), random(2)

    def loss(two):
        return cross_entropy(linear(two.mean((2, 3, 4)), head, bias), targets)

    one, two = stages(x, start)
    whole = loss(two)
    weights = []
    for stage, output in enumerate((one, two)):
        increases = []
        for channel in range(output.shape[1]):
            without = output.clone()
            without[:, channel] = 0
            after = conv3d(without, start[1], padding=1).relu() if stage == 0 else without
            increases.append(loss(after) - whole)
        weights.append(torch.stack(increases).softmax(0) * output.shape[1])

    penalty = torch.zeros((), dtype=torch.float64)
    for mine, other, weight in zip(stages(x, tuned), (one, two), weights):
        for sample in range(SIZE[0]):
            for channel in range(mine.shape[1]):
                difference = mine[sample, channel] - other[sample, channel]
                penalty = penalty + STRENGTH / 2 * weight[channel] * difference.pow(2).mean()
    penalty.backward()
    shape = {"size": SIZE, "strength": STRENGTH, "targets": targets.tolist(), "penalty": penalty.item()}
    tensors = {
        "input": x,
        "start one": start[0],
        "start two": start[1],
        "tuned one": tuned[0],
        "tuned two": tuned[1],
        "head": head,
        "bias": bias,
        "channels one": weights[0],
        "channels two": weights[1],
        "gradient one": tuned[0].grad,
        "gradient two": tuned[1].grad,
    }
    rounded = {name: [float(f"{value:.9g}") for value in tensor.flatten().tolist()] for name, tensor in tensors.items()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(shape | rounded) + "\n")


if __name__ == "__main__":
    main()
