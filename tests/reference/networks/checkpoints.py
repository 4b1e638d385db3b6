"""The files that PyTorch's libraries write weights to. Each function returns the path that a user would name."""

import safetensors.torch
import torch
import transformers

transformers.logging.disable_progress_bar()


def state_of(model, name_of):
    return {name_of(name): tensor for name, tensor in model.state_dict().items()}


def zip_archive(model, name_of, directory):
    """torch.save of today."""
    torch.save(state_of(model, name_of), directory / "weights.pth")
    return directory / "weights.pth"


def legacy(model, name_of, directory):
    """torch.save before PyTorch 1.6: pickles and raw numbers, one after the other."""
    torch.save(state_of(model, name_of), directory / "weights.pth", _use_new_zipfile_serialization=False)
    return directory / "weights.pth"


def data_parallel(model, name_of, directory):
    """As training scripts keep it: the weights of a DataParallel network beside epoch and optimiser, in the format of before 1.6 and
    without counts of batches, which are younger."""
    state = {f"module.{name}": tensor for name, tensor in state_of(model, name_of).items() if "num_batches" not in name}
    momenta = {0: {"momentum_buffer": torch.zeros(3)}}
    optimizer = {"state": momenta, "param_groups": [{"lr": 0.1, "nesterov": False, "params": [0]}]}
    training = {"epoch": 200, "arch": "resnet-34", "state_dict": state, "optimizer": optimizer}
    torch.save(training, directory / "weights.pth", _use_new_zipfile_serialization=False)
    return directory / "weights.pth"


def safetensors_file(model, name_of, directory):
    save_tensors(state_of(model, name_of), directory / "weights.safetensors")
    return directory / "weights.safetensors"


def pretrained(model, name_of, directory):
    """transformers; the names are its own business."""
    model.save_pretrained(directory)
    return directory / "model.safetensors"


def pretrained_parts(model, name_of, directory):
    """The same in parts, as it does with large networks."""
    model.save_pretrained(directory, max_shard_size="150MB")
    return directory / "model.safetensors.index.json"


CONTAINERS = {
    "zip": zip_archive,
    "legacy": legacy,
    "data_parallel": data_parallel,
    "safetensors": safetensors_file,
    "pretrained": pretrained,
    "pretrained_parts": pretrained_parts,
}


def save_tensors(tensors, path):
    def stored(tensor):
        return (tensor.float() if tensor.is_floating_point() else tensor).contiguous()

    safetensors.torch.save_file({name: stored(tensor) for name, tensor in tensors.items()}, path)
