"""The video networks of torchvision, without dropout and stochastic depth."""

from torch import nn
from torchvision.models import video
from torchvision.ops import StochasticDepth

NAMES = ["r3d_18", "mc3_18", "r2plus1d_18", "s3d", "swin3d_t", "swin3d_s", "swin3d_b", "mvit_v1_b", "mvit_v2_s"]


def build(name, choices):
    assert not choices, f"{name} has no choices, not {choices}"
    model = getattr(video, name)(weights=None)
    for module in model.modules():
        if isinstance(module, (nn.Dropout, StochasticDepth)):
            module.p = 0.0
    return model


def size(name, choices):
    return 2, 8, 33, 33


def logits(model, x):
    return model(x)
