"""ViViT with joint attention over space and time, as in transformers: model 1 of Arnab et al. 2021."""

from transformers import VivitConfig, VivitForVideoClassification

NAMES = ["vivit_b"]


def build(name, choices):
    config = VivitConfig(
        num_labels=400, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager"
    )
    return VivitForVideoClassification(config)


def size(name, choices):
    return 1, 32, 224, 224


def logits(model, x):
    return model(x.transpose(1, 2)).logits
