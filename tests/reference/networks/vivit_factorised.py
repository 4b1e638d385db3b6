"""ViViT with a factorised encoder, model 2 of Arnab et al. 2021, written from section 3.3 of the paper for these tests.

Nobody published it for PyTorch, so the names of its tensors are cinetomo's.
"""

import torch
from torch import nn
from torch.nn import functional

NAMES = ["vivit_b_16x2_factorised"]


def size(name):
    # 5 x 3 x 4 tubelets and what fills none.
    return 2, 11, 50, 64


def build(name, choices):
    assert not choices, f"{name} has no choices, not {choices}"
    return FactorisedEncoder(400)


def logits(model, x):
    return model(x)


def explained(name, model):
    """The output of the last spatial block but one, once for each time."""

    def to_map(outputs, size):
        grid = [n // 16 for n in size[1:]]
        return torch.stack([tokens[:, 1:].transpose(1, 2).unflatten(2, grid) for tokens in outputs], 2)

    return model.vivit["spatial_encoder"].layer[10], to_map


class Attention(nn.Module):
    def __init__(self, width, n_heads):
        super().__init__()
        self.attention = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})
        self.n_heads = n_heads

    def forward(self, x):
        q, k, v = (self.attention[name](x).unflatten(-1, (self.n_heads, -1)) for name in ("query", "key", "value"))
        products = torch.einsum("bihc,bjhc->bhij", q, k) / q.shape[-1] ** 0.5
        return self.output["dense"](torch.einsum("bhij,bjhc->bihc", products.softmax(-1), v).flatten(-2))


class Block(nn.Module):
    def __init__(self, width, n_heads, hidden):
        super().__init__()
        self.layernorm_before = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, n_heads)
        self.layernorm_after = nn.LayerNorm(width, eps=1e-6)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, hidden)})
        self.output = nn.ModuleDict({"dense": nn.Linear(hidden, width)})

    def forward(self, x):
        x = x + self.attention(self.layernorm_before(x))
        hidden = functional.gelu(self.intermediate["dense"](self.layernorm_after(x)), approximate="tanh")
        return x + self.output["dense"](hidden)


class Encoder(nn.Module):
    """A transformer over the places of a grid; returns its classification token."""

    def __init__(self, width, n_heads, hidden, depth, grid):
        super().__init__()
        self.grid = grid
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.position_embeddings = nn.Parameter(torch.empty(1, 1 + torch.Size(grid).numel(), width))
        self.layer = nn.ModuleList(Block(width, n_heads, hidden) for _ in range(depth))
        self.layernorm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        """x: [b, width, ...], as many axes as the grid has."""
        places = self.position_embeddings[:, 1:].transpose(1, 2).unflatten(2, self.grid)
        mode = {1: "linear", 2: "bilinear"}[len(self.grid)]
        x = x + functional.interpolate(places, x.shape[2:], mode=mode, align_corners=False)
        first = (self.cls_token + self.position_embeddings[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first, x.flatten(2).transpose(1, 2)], 1)
        for block in self.layer:
            x = block(x)
        return self.layernorm(x)[:, 0]


class FactorisedEncoder(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        tubelets = nn.Conv3d(3, 768, (2, 16, 16), (2, 16, 16))
        self.vivit = nn.ModuleDict({
            "embeddings": nn.ModuleDict({"patch_embeddings": nn.ModuleDict({"projection": tubelets})}),
            "spatial_encoder": Encoder(768, 12, 3072, 12, (14, 14)),
            "temporal_encoder": Encoder(768, 12, 3072, 4, (16,)),
        })
        self.classifier = nn.Linear(768, n_classes)

    def forward(self, x):
        tokens = self.vivit["embeddings"]["patch_embeddings"]["projection"](x)
        frames = [self.vivit["spatial_encoder"](frame) for frame in tokens.unbind(2)]
        return self.classifier(self.vivit["temporal_encoder"](torch.stack(frames, 2)))
