"""The files that PyTorch's libraries write weights to."""

import safetensors.torch
import torch


def zip_archive(model, directory):
    """torch.save of today: a zip archive."""
    torch.save(model.state_dict(), directory / "weights.pth")
    return directory / "weights.pth"


def legacy(model, directory):
    """torch.save before PyTorch 1.6: pickles and raw numbers, one after the other."""
    torch.save(model.state_dict(), directory / "weights.pth", _use_new_zipfile_serialization=False)
    return directory / "weights.pth"


def data_parallel(model, directory):
    """As training scripts keep it: the weights of a DataParallel network beside epoch and optimiser; the format of before 1.6, without
    counts of batches, which are younger."""
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    momenta = {0: {"momentum_buffer": torch.zeros(3)}}
    optimizer = {"state": momenta, "param_groups": [{"lr": 0.1, "nesterov": False, "params": [0]}]}
    training = {"epoch": 200, "arch": "resnet-34", "state_dict": state, "optimizer": optimizer}
    torch.save(training, directory / "weights.pth", _use_new_zipfile_serialization=False)
    return directory / "weights.pth"


def safetensors_file(model, directory):
    """safetensors, as timm and others publish."""
    save_tensors(model.state_dict(), directory / "weights.safetensors")
    return directory / "weights.safetensors"


def pretrained(model, directory):
    """The directory that transformers writes."""
    model.save_pretrained(directory / "pretrained")
    return directory / "pretrained"


CONTAINERS = {
    "zip": zip_archive,
    "legacy": legacy,
    "data_parallel": data_parallel,
    "safetensors": safetensors_file,
    "pretrained": pretrained,
}


def write(container, model, directory):
    """The path of the checkpoint."""
    return CONTAINERS[container](model, directory)


def save_tensors(tensors, path):
    def stored(tensor):
        return (tensor.float() if tensor.is_floating_point() else tensor).contiguous()

    safetensors.torch.save_file({name: stored(tensor) for name, tensor in tensors.items()}, path)
