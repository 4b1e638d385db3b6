"""ViViT with joint attention over space and time, as in transformers: model 1 of Arnab et al. 2021."""

import re

import torch
from torch.nn import functional
from transformers import VivitConfig, VivitForVideoClassification

NAMES = ["vivit_b_16x2"]
TUBELET = (2, 16, 16)
GRID = (16, 14, 14)
# transformers 5 renamed the modules; its save_pretrained still writes the names of the files that Google released.
RELEASED = {
    r"\.layers\.": ".encoder.layer.",
    r"attention\.q_proj": "attention.attention.query",
    r"attention\.k_proj": "attention.attention.key",
    r"attention\.v_proj": "attention.attention.value",
    r"attention\.o_proj": "attention.output.dense",
    r"mlp\.fc1": "intermediate.dense",
    r"mlp\.fc2": "output.dense",
}


def size(name):
    # 5 x 3 x 4 tubelets and what fills none.
    return 2, 11, 50, 64


def build(name, choices):
    assert not choices, f"{name} has no choices, not {choices}"
    config = VivitConfig(
        num_labels=400, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="sdpa"
    )
    return VivitForVideoClassification(config)


def logits(model, x):
    """transformers has no embeddings for other positions than those of the videos: it is handed ours, interpolated linearly."""
    grid = tuple(size // edge for size, edge in zip(x.shape[2:], TUBELET))
    if grid == GRID and x.shape[2:] == (32, 224, 224):
        return model(x.transpose(1, 2)).logits
    embeddings = model.vivit.embeddings

    def interpolated(*_):
        learned = embeddings.position_embeddings
        volume = learned[:, 1:].transpose(1, 2).unflatten(2, GRID)
        volume = functional.interpolate(volume, grid, mode="trilinear", align_corners=False)
        return torch.cat([learned[:, :1], volume.flatten(2).transpose(1, 2)], 1)

    embeddings.interpolate_pos_encoding = interpolated
    return model(x.transpose(1, 2), interpolate_pos_encoding=True).logits


def explained(name, model):
    """The output of the last block but one: the last hands on its classification token alone."""

    def to_map(outputs, size):
        grid = [n // edge for n, edge in zip(size, TUBELET)]
        return outputs[0][:, 1:].transpose(1, 2).unflatten(2, grid)

    return model.vivit.layers[10], to_map


def checkpoint_name(name):
    """The name in files of a parameter of the model."""
    for ours, released in RELEASED.items():
        name = re.sub(ours, released, name)
    return name
