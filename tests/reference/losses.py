"""PyTorch's cross-entropy with class weights and label smoothing: tests/reference/losses.json. Needs torch."""

import json
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

CASES = [(0.0, [1.0, 1.0, 1.0, 1.0]), (0.1, [1.0, 1.0, 1.0, 1.0]), (0.0, [0.5, 2.0, 1.0, 0.0]), (0.2, [0.5, 2.0, 1.5, 3.0])]


def main() -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(6, 4, generator=generator, dtype=torch.float64) * 3
    logits = logits.float().double()
    targets = torch.tensor([0, 1, 2, 1, 0, 2])
    result = []
    for smoothing, weights in CASES:
        options = {"weight": torch.tensor(weights, dtype=torch.float64), "label_smoothing": smoothing}
        losses = cross_entropy(logits, targets, reduction="none", **options)
        result.append(
            {
                "label_smoothing": smoothing,
                "class_weights": weights,
                "logits": logits.flatten().tolist(),
                "targets": targets.tolist(),
                "losses": losses.tolist(),
                "mean": cross_entropy(logits, targets, **options).item(),
            }
        )
    Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
