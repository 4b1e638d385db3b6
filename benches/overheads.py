"""Writes a checkpoint of a 3D-ResNet-34 as Hara et al. publish theirs, with random weights: overheads.py FILE.pth. 254 MB."""

import sys

import torch

N_BLOCKS = [3, 4, 6, 3]


def main() -> None:
    torch.manual_seed(0)
    state = {"conv1.weight": torch.randn(64, 3, 7, 7, 7) * 0.02, **batch_norm("bn1", 64)}
    n_in = 64
    for layer, n_blocks in enumerate(N_BLOCKS, 1):
        n_out = 32 << layer
        for block in range(n_blocks):
            for place, channels in enumerate([n_in, n_out], 1):
                prefix = f"layer{layer}.{block}"
                scale = (2 / (27 * channels)) ** 0.5
                state[f"{prefix}.conv{place}.weight"] = torch.randn(n_out, channels, 3, 3, 3) * scale
                state |= batch_norm(f"{prefix}.bn{place}", n_out)
            n_in = n_out
    state |= {"fc.weight": torch.randn(400, 512) * 0.04, "fc.bias": torch.zeros(400)}
    torch.save({"epoch": 200, "arch": "resnet-34", "state_dict": {f"module.{name}": value for name, value in state.items()}}, sys.argv[1])


def batch_norm(prefix: str, n: int) -> dict:
    values = {"weight": torch.ones(n), "bias": torch.zeros(n), "running_mean": torch.zeros(n), "running_var": torch.ones(n)}
    values["num_batches_tracked"] = torch.tensor(0)
    return {f"{prefix}.{name}": value for name, value in values.items()}


if __name__ == "__main__":
    main()
