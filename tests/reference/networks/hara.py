"""The 3D ResNets of Hara, Kataoka & Satoh 2018 (figure 3, table 1), written from the paper for these tests."""

import torch
from torch import nn
from torch.nn import functional

# Blocks of layer1 to layer4; width of layer1; channels out over channels inside; groups. No expansion: basic blocks.
PLANS = {
    "resnet3d_10": ((1, 1, 1, 1), 64, None, 1),
    "resnet3d_18": ((2, 2, 2, 2), 64, None, 1),
    "resnet3d_34": ((3, 4, 6, 3), 64, None, 1),
    "resnet3d_50": ((3, 4, 6, 3), 64, 4, 1),
    "resnet3d_101": ((3, 4, 23, 3), 64, 4, 1),
    "resnet3d_152": ((3, 8, 36, 3), 64, 4, 1),
    "resnet3d_200": ((3, 24, 36, 3), 64, 4, 1),
    "wide_resnet3d_50": ((3, 4, 6, 3), 128, 2, 1),
    "resnext3d_101": ((3, 4, 23, 3), 128, 2, 32),
}
NAMES = list(PLANS)
# The weights of 2018 are of type A up to 34 layers and of type B from 50 on.
DEFAULTS = {"shortcut_gradient": "flow", "conv1_t_size": "7", "conv1_t_stride": "1", "no_max_pool": "false", "release": "2018"}


def size(name):
    # Odd sizes, so that windows hang over; 2 x 2 positions are left at the end, so that a batch has a variance.
    return 2, 8, 33, 33


def build(name, choices):
    blocks, width, expansion, groups = PLANS[name]
    choices = {**DEFAULTS, "shortcut": "a" if expansion is None else "b", **choices}
    return ResNet3d(blocks, width, expansion, groups, {"2018": 400, "2020": 700}[choices["release"]], choices)


def logits(model, x):
    return model(x)


def explained(name, model):
    """The paper's figure 5."""
    return model.layer3, lambda outputs, size: outputs[0]


class Subsample(nn.Module):
    """Shortcut A: voxels are left out, channels of zeros are added."""

    def __init__(self, n_out, stride, stop):
        super().__init__()
        self.n_out, self.stride, self.stop = n_out, stride, stop

    def forward(self, x):
        small = functional.avg_pool3d(x, 1, self.stride)
        zeros = small.new_zeros(small.shape[0], self.n_out - small.shape[1], *small.shape[2:])
        both = torch.cat([small, zeros], 1)
        return both.detach() if self.stop else both


class Block(nn.Module):
    def __init__(self, n_in, width, expansion, groups, stride, choices):
        super().__init__()
        self.bottleneck = expansion is not None
        n_out = width * (expansion or 1)
        if self.bottleneck:
            self.conv1 = nn.Conv3d(n_in, width, 1, bias=False)
            self.conv2 = nn.Conv3d(width, width, 3, stride, 1, groups=groups, bias=False)
            self.conv3 = nn.Conv3d(width, n_out, 1, bias=False)
            self.bn3 = nn.BatchNorm3d(n_out)
        else:
            self.conv1 = nn.Conv3d(n_in, width, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv3d(width, n_out, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.bn2 = nn.BatchNorm3d(self.conv2.out_channels)
        self.downsample = nn.Identity()
        if stride != 1 or n_in != n_out:
            if choices["shortcut"] == "a":
                self.downsample = Subsample(n_out, stride, choices["shortcut_gradient"] == "stop")
            else:
                self.downsample = nn.Sequential(nn.Conv3d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm3d(n_out))
        self.n_out = n_out

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + self.downsample(x))


class ResNet3d(nn.Module):
    def __init__(self, blocks, width, expansion, groups, n_classes, choices):
        super().__init__()
        size = int(choices["conv1_t_size"])
        stride = (int(choices["conv1_t_stride"]), 2, 2)
        self.conv1 = nn.Conv3d(3, 64, (size, 7, 7), stride, (size // 2, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.pool = nn.Identity() if choices["no_max_pool"] == "true" else nn.MaxPool3d(3, 2, 1)
        n = 64
        for layer, n_blocks in enumerate(blocks):
            members = []
            for block in range(n_blocks):
                stride = 2 if layer > 0 and block == 0 else 1
                members.append(Block(n, width * 2**layer, expansion, groups, stride, choices))
                n = members[-1].n_out
            setattr(self, f"layer{layer + 1}", nn.Sequential(*members))
        self.fc = nn.Linear(n, n_classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3, 4)))
