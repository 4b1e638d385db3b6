# -*- coding: utf-8 -*-
"""Checkpoints as the reference libraries write them, and what must be read from them: tests/reference/checkpoints/.

    python checkpoints.py       PyTorch 2.13.0, safetensors, transformers, numpy
    python2.7 checkpoints.py    PyTorch 1.0.0 and numpy 1.16.6 on Python 2: the files whose names begin with python2
"""

import argparse
import collections
import json
import os
import sys

import numpy as np
import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checkpoints")


def path(name):
    return os.path.join(FOLDER, name)


def of_a_network():
    """Tensors of every kind that a network's state has."""
    whole = torch.arange(24.0).reshape(4, 6) / 8 - 1
    half = torch.tensor([1.0, -2.5, 65504.0, 6e-8, 0.0])
    tensors = [
        ("conv.weight", (torch.arange(24.0) / 4 - 1).reshape(2, 1, 3, 2, 2)),
        ("half", half.half()),
        ("double", torch.tensor([0.1, -1e30, 3.0]).double() / 3),
        ("transposed", torch.arange(12.0).reshape(3, 4).t()),
        ("whole", whole),
        ("slice", whole[1::2, 1:5:2]),
        ("expanded", torch.tensor([1.5]).expand(3, 2)),
        ("int8", torch.tensor([-128, 127]).to(torch.int8)),
        ("uint8", torch.tensor([0, 255]).to(torch.uint8)),
        ("int16", torch.tensor([-32768, 32767]).to(torch.int16)),
        ("int32", torch.tensor([-(2**31), 2**31 - 1]).to(torch.int32)),
        ("int64", torch.tensor([2**40, -5])),
        ("parameter", torch.nn.Parameter(torch.tensor([1.0, 2.0]))),
        ("norm.num_batches_tracked", torch.tensor(7)),
    ]
    return collections.OrderedDict(tensors)


def of_today():
    """What PyTorch 1.0 does not have."""
    tensors = of_a_network()
    tensors["bfloat"] = torch.tensor([1.0, -3.1415926, 1e38, 1e-40]).bfloat16()
    tensors["bool"] = torch.tensor([True, False])
    tensors["uint16"] = torch.tensor([0, 65535], dtype=torch.uint16)
    tensors["permuted"] = torch.arange(120.0).reshape(2, 3, 4, 5).permute(3, 1, 0, 2)
    return tensors


def of_a_training(tensors):
    """What training scripts save."""
    model = torch.nn.Linear(2, 1)
    model.weight.data.fill_(0.5)
    model.bias.data.fill_(-0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "arch": "resnet3d-34",
        "state_dict": collections.OrderedDict(("module." + name, t) for name, t in tensors.items()),
        "optimizer": optimizer.state_dict(),
        "best_accuracy": np.float64(0.75),
        "args": argparse.Namespace(lr=0.1, sizes=[16, 112], note=u"na\u00efve", empty=None),
        "classes": {1, 2},
        "big": 2**70,
    }


def expected(tensors, dtype=lambda t: str(t.dtype).split(".")[-1]):
    described = {}
    for name, tensor in tensors.items():
        values = tensor.detach().to(torch.float64).to(torch.float32).contiguous().reshape(-1)
        # float32 as the shortest text would do; as float64 it is exact.
        described[name] = {
            "dtype": dtype(tensor),
            "shape": list(tensor.shape),
            "values": [float(value) for value in values.tolist()],
        }
    return described


def write_json(name, content):
    with open(path(name), "w") as file:
        json.dump(content, file, sort_keys=True)
        file.write("\n")


def python2():
    tensors = of_a_network()
    torch.save(tensors, path("python2.pth"))
    torch.save(of_a_training(tensors), path("python2_training.pth"))

    # PyTorch before 0.4 rebuilt tensors by a function of four arguments (torch/tensor.py of v0.3.1).
    def reduced(tensor, protocol):
        parts = (tensor.storage(), tensor.storage_offset(), tuple(tensor.size()), tensor.stride())
        return torch._utils._rebuild_tensor, parts

    torch.Tensor.__reduce_ex__ = reduced
    tensors["parameter"] = tensors["parameter"].data
    torch.save({"epoch": 200, "state_dict": tensors}, path("python2_2018.pth"))


def repack(source, target, change, compression):
    """The zip archive again, its members changed."""
    import zipfile

    with zipfile.ZipFile(path(source)) as old, zipfile.ZipFile(path(target), "w", compression) as new:
        for info in old.infolist():
            new.writestr(zipfile.ZipInfo(info.filename), change(info.filename, old.read(info)), compression)


def python3():
    import zipfile

    import safetensors.torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from transformers import VivitConfig, VivitForVideoClassification

    tensors = of_today()
    torch.save(tensors, path("zip.pth"))
    torch.save(of_a_network(), path("legacy.pth"), _use_new_zipfile_serialization=False)
    torch.save(of_a_training(tensors), path("zip_training.pth"))
    torch.save(of_a_training(of_a_network()), path("legacy_training.pth"), _use_new_zipfile_serialization=False)
    torch.save(of_a_network(), path("legacy_protocol4.pth"), _use_new_zipfile_serialization=False, pickle_protocol=4)
    torch.save(of_a_training(tensors)["optimizer"], path("optimizer.pth"))

    repack("zip.pth", "zip_deflated.pth", lambda name, data: data, zipfile.ZIP_DEFLATED)
    sizes = {}
    for tensor in tensors.values():
        sizes[tensor.untyped_storage().data_ptr()] = tensor.dtype.itemsize
    keys = iter(sizes.values())

    def big_endian(name, data):
        if name.endswith("byteorder"):
            return b"big"
        if "/data/" in name:
            size = next(keys)
            return b"".join(data[start : start + size][::-1] for start in range(0, len(data), size))
        return data

    repack("zip.pth", "zip_big_endian.pth", big_endian, zipfile.ZIP_STORED)
    # As if every number were too large for 32 and 16 bits.
    limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    zipfile.ZIP64_LIMIT = zipfile.ZIP_FILECOUNT_LIMIT = 0
    repack("zip.pth", "zip64.pth", lambda name, data: data, zipfile.ZIP_STORED)
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits
    for name in ["zip_deflated.pth", "zip_big_endian.pth", "zip64.pth"]:
        again = torch.load(path(name))
        assert all(torch.equal(again[key], tensors[key]) for key in tensors), name

    whole = {name: tensor.detach().clone(memory_format=torch.contiguous_format).contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(whole, path("one.safetensors"), metadata={"format": "pt", "epoch": "3"})
    names = split_torch_state_dict_into_shards(
        whole, max_shard_size=256, filename_pattern="pytorch_model{suffix}.bin"
    )
    for file, held in names.filename_to_tensors.items():
        torch.save({name: whole[name] for name in held}, path(file))
    with open(path("pytorch_model.bin.index.json"), "w") as file:
        index = {"metadata": names.metadata, "weight_map": names.tensor_to_filename}
        file.write(json.dumps(index, indent=2, sort_keys=True) + "\n")

    torch.manual_seed(0)
    config = VivitConfig(
        image_size=4, num_frames=2, tubelet_size=[2, 2, 2], hidden_size=4, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=4, num_labels=3,
    )
    vivit = VivitForVideoClassification(config)
    vivit.save_pretrained(path("vivit"), max_shard_size=1000)
    os.remove(path("vivit/config.json"))
    # Not vivit.state_dict(): files keep the names of the first release.
    saved = {}
    for part in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]:
        saved.update(safetensors.torch.load_file(path(os.path.join("vivit", part))))

    arrays = {
        "conv.weight": whole["conv.weight"].numpy(),
        "half": whole["half"].numpy(),
        "double": whole["double"].numpy(),
        "big_endian": np.arange(4, dtype=">f4") / 4,
        "fortran": np.asfortranarray(np.arange(24, dtype="f4").reshape(2, 3, 4)),
        "bytes": np.array([-1, 2], "i1"),
        "counts": np.array([3, 2**40], "i8"),
        "scalar": np.float32(2.5),
        u"name of {'shape': (1,)}, ".strip(): np.ones((1, 1), "f4"),
    }
    np.savez(path("stored.npz"), **arrays)
    np.savez_compressed(path("deflated.npz"), **arrays)
    of_flax = {
        "params/conv/kernel": np.arange(24, dtype="f4").reshape(2, 1, 3, 2, 2),
        "batch_stats/norm/mean": np.arange(3, dtype="f4").reshape(1, 1, 3),
        "opt_state/0/mu/conv/kernel": np.zeros(1, "f4"),
    }
    np.savez(path("flax.npz"), **of_flax)

    write_json(
        "expected.json",
        {
            "network": expected(of_a_network()),
            "today": expected(tensors),
            "vivit": expected(saved),
            "npz": {
                name: {
                    "dtype": array.dtype.newbyteorder("=").name,
                    "shape": list(array.shape),
                    "values": [float(value) for value in array.astype("f4").reshape(-1)],
                }
                for name, array in arrays.items()
            },
        },
    )


if __name__ == "__main__":
    if not os.path.isdir(FOLDER):
        os.makedirs(FOLDER)
    python2() if sys.version_info[0] == 2 else python3()
