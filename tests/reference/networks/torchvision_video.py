"""The video networks of torchvision, without dropout and stochastic depth, at sizes that its own code does not all allow."""

import types

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import video
from torchvision.models.video.mvit import MViT
from torchvision.ops import StochasticDepth

CONVOLUTIONS = ["r3d_18", "mc3_18", "r2plus1d_18", "s3d"]
TRANSFORMERS = ["swin3d_t", "swin3d_s", "swin3d_b", "mvit_v1_b", "mvit_v2_s"]
NAMES = CONVOLUTIONS + TRANSFORMERS


def size(name):
    # Several positions are left at the end, so that a batch has a variance.
    if name == "s3d":
        return 2, 17, 34, 65
    if name in CONVOLUTIONS:
        return 2, 9, 34, 35
    # 9 x 10 x 9 tokens for Swin: more than a window along every axis, and no multiple of it.
    return 2, 17, 39, 33


def build(name, choices):
    assert not choices, f"{name} has no choices, not {choices}"
    model = getattr(video, name)(weights=None)
    for module in model.modules():
        if isinstance(module, (nn.Dropout, StochasticDepth)):
            module.p = 0.0
    if name == "s3d":
        model.avgpool.register_forward_pre_hook(smaller_windows)
    if name == "mvit_v1_b":
        model.pos_encoding.forward = types.MethodType(resampled_positions, model.pos_encoding)
    return model


def logits(model, x):
    if isinstance(model, MViT):
        # What it calls its size is that of its tokens; the tables of version 2 it resamples itself.
        z, *plane = (-(-n // stride) for n, stride in zip(x.shape[2:], model.conv_proj.stride))
        model.pos_encoding.temporal_size, model.pos_encoding.spatial_size = z, tuple(plane)
    return model(x)


def explained(name, model):
    if name == "s3d":
        return model.features[12], lambda outputs, size: outputs[0]
    if name in CONVOLUTIONS:
        return model.layer3, lambda outputs, size: outputs[0]
    if name.startswith("swin"):
        # The third stage: tokens [n, z, y, x, c].
        return model.features[4], lambda outputs, size: outputs[0].permute(0, 4, 1, 2, 3)

    def to_map(outputs, size):
        # Tokens of 2 x 4 x 4 voxels, halved twice along y and x, rounded up.
        grid = [-(-n // edge) for n, edge in zip(size, (2, 16, 16))]
        return outputs[0][:, 1:].transpose(1, 2).unflatten(2, grid)

    # The last block with 384 channels inside.
    return model.blocks[13], to_map


def smaller_windows(pool, inputs):
    """S3D's windows of 2 x 7 x 7 become as small as what they are to average."""
    pool.kernel_size = [min(edge, n) for edge, n in zip((2, 7, 7), inputs[0].shape[2:])]


def resampled_positions(self, x):
    """PositionalEncoding.forward for other sizes than the learned one: tables linear along z and bilinear in the plane."""
    edge = int(len(self.spatial_pos) ** 0.5)
    plane = self.spatial_pos.T.unflatten(1, (edge, edge)).unsqueeze(0)
    plane = functional.interpolate(plane, self.spatial_size, mode="bilinear").squeeze(0).flatten(1).T
    line = functional.interpolate(self.temporal_pos.T.unsqueeze(0), self.temporal_size, mode="linear").squeeze(0).T
    map_positions = (line[:, None] + plane[None]).flatten(0, 1)
    class_token = (self.class_token + self.class_pos).expand(len(x), 1, -1)
    return torch.cat([class_token, x + map_positions], 1)
