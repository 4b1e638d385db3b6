"""Computes what cinetomo's networks must reproduce, in PyTorch.

    python tests/reference/networks

reads one JSON request a line:

    {"network": "resnet3d_34", "choices": {"shortcut": "b"}, "container": "zip", "size": [2, 8, 33, 33], "double": true, "seed": 1,
     "directory": "/tmp/somewhere"}

builds the reference network with random weights, and writes into the directory

    what `checkpoints.CONTAINERS` says: the weights, f32, as the network's own library writes them
    eval.safetensors, train.safetensors: `input` [n, 1, z, y, x], `labels` [n], `logits` [n, classes], for every weight
        `gradient/<name>` of the cross-entropy, and (train) for every running statistic `statistic/<name>` after the pass

for BatchNorms that work with their running statistics, and with those of the batch. The network sees the grey input in three equal
channels. It answers with one line: {"checkpoint": path} or {"error": text}. Computed in double precision if so asked; stored in f32.
"""

import json
import pathlib
import sys
import traceback

import torch
from torch.nn import functional

import checkpoints
import hara
import random_weights
import torchvision_video
import vivit

FAMILIES = {name: family for family in (hara, torchvision_video, vivit) for name in family.NAMES}


def answer(request):
    directory = pathlib.Path(request["directory"])
    family = FAMILIES.get(request["network"])
    if family is None:
        raise LookupError(f"there is no reference for {request['network']}; tests/reference/networks has {', '.join(FAMILIES)}")
    with random_weights.uninitialised():
        model = family.build(request["network"], request["choices"])
    generator = torch.Generator().manual_seed(request["seed"])
    grey = torch.randn(request["size"][0], 1, *request["size"][1:], generator=generator)
    video = grey.expand(-1, 3, -1, -1, -1)
    random_weights.fill(model, lambda: family.logits(model, video), generator)
    checkpoint = checkpoints.write(request["container"], model, directory)

    if request["double"]:
        model.double()
        video = video.double()
    for mode in ("eval", "train"):
        model.train(mode == "train")
        model.zero_grad()
        logits = family.logits(model, video)
        labels = torch.randint(logits.shape[1], logits.shape[:1], generator=generator)
        functional.cross_entropy(logits, labels).backward()
        found = {"input": grey, "labels": labels, "logits": logits.detach()}
        found |= {f"gradient/{name}": weight.grad for name, weight in model.named_parameters()}
        if mode == "train":
            found |= {f"statistic/{name}": buffer for name, buffer in model.named_buffers() if ".running_" in f".{name}"}
        checkpoints.save_tensors(found, directory / f"{mode}.safetensors")
    return {"checkpoint": str(checkpoint)}


def main():
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


main()
