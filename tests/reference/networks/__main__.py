"""Computes what cinetomo's networks must reproduce, in PyTorch.

    python tests/reference/networks

reads one JSON request a line:

    {"network": "resnet3d_34", "choices": {"shortcut": "b"}, "container": "zip", "modes": ["eval", "train"], "seed": 1,
     "directory": "/tmp/somewhere"}

builds the reference network with random weights, and writes into the directory

    what `checkpoints.CONTAINERS` says: the weights, f32, as the network's own library writes them
    for the modes eval and train <mode>.safetensors: `input` [n, 1, z, y, x], `labels` [n], `logits` [n, classes], for every weight `gradient/<name>` of the
        cross-entropy, and for every running statistic `statistic/<name>` after the pass

    for the mode explain explain.safetensors: `input` and what `explain.explain` says

eval and explain: BatchNorms work with their running statistics; train: with those of the batch. The network sees the grey input in three equal
channels. Everything is computed in double precision and stored in f32. The answer is one line, {"checkpoint": path} or
{"error": text}.

A family is a module with

    NAMES                     of its networks
    size(name)                [n, z, y, x] of a small input
    build(name, choices)      a torch.nn.Module without dropout
    logits(model, video)      [n, classes] of a video [n, 3, z, y, x]
    explained(name, model)    the module of the stage that cinetomo explains by default, and a function of its outputs (one a call)
                              and the input's [z, y, x] that gives its map [n, c, z, y, x]
    checkpoint_name(name)     of a weight, in files; only where that is not the module's own
"""

import json
import pathlib
import sys
import traceback

import torch
from torch.nn import functional

import checkpoints
import explain
import hara
import random_weights
import torchvision_video
import vivit
import vivit_factorised

FAMILIES = {
    name: family for family in (hara, torchvision_video, vivit, vivit_factorised) for name in family.NAMES
}


def answer(request):
    directory = pathlib.Path(request["directory"])
    family = FAMILIES.get(request["network"])
    if family is None:
        raise LookupError(f"there is no reference for {request['network']}; tests/reference/networks has {', '.join(FAMILIES)}")
    with random_weights.uninitialised():
        model = family.build(request["network"], request["choices"])
    generator = torch.Generator().manual_seed(request["seed"])
    n, *size = family.size(request["network"])
    grey = torch.randn(n, 1, *size, generator=generator)
    video = grey.expand(-1, 3, -1, -1, -1)
    random_weights.fill(model, lambda: family.logits(model, video), generator)
    name_of = getattr(family, "checkpoint_name", str)
    checkpoint = checkpoints.CONTAINERS[request["container"]](model, name_of, directory)

    model.double()
    video = video.double()
    for mode in request["modes"]:
        model.train(mode == "train")
        model.zero_grad()
        if mode == "explain":
            labels = torch.randint(400, [n], generator=generator)
            found = {"input": grey, **explain.explain(family, request["network"], model, video, labels)}
            checkpoints.save_tensors(found, directory / "explain.safetensors")
            continue
        logits = family.logits(model, video)
        labels = torch.randint(logits.shape[1], logits.shape[:1], generator=generator)
        functional.cross_entropy(logits, labels).backward()
        found = {"input": grey, "labels": labels, "logits": logits.detach()}
        found |= {f"gradient/{name_of(name)}": weight.grad for name, weight in model.named_parameters()}
        found |= {f"statistic/{name_of(name)}": buffer for name, buffer in model.named_buffers() if ".running_" in name}
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
