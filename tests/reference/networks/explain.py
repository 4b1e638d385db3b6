"""Grad-CAM (Selvaraju et al. 2017) and Respond-CAM (Zhao et al. 2018) by PyTorch's autograd."""

import torch
from torch.nn import functional


def explain(family, name, model, video, labels):
    """Of the stage that cinetomo explains by default: `map` [n, c, z, y, x], and for the logits of `labels`, enlarged to `box`,
    `grad_cam` and `respond_cam` [n, z, y, x], not rectified."""
    module, to_map = family.explained(name, model)
    outputs = []

    def keep(_, __, output):
        # MViT's blocks hand on the size of their map too.
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handle = module.register_forward_hook(keep)
    try:
        logits = family.logits(model, video)
    finally:
        handle.remove()
    score = logits.gather(1, labels[:, None]).sum()
    gradients = torch.autograd.grad(score, outputs)
    size = video.shape[2:]
    activation, gradient = (to_map(tensors, size).detach() for tensors in (outputs, gradients))

    positions = (2, 3, 4)
    grad_cam = (gradient.mean(positions, keepdim=True) * activation).sum(1)
    response = (activation * gradient).sum(positions, keepdim=True) / (activation.sum(positions, keepdim=True) + 1e-10)
    respond_cam = (response * activation).sum(1)
    # Larger along one axis than the input, smaller along another.
    box = [size[0] + 3, size[1] - 5, size[2]]
    maps = {"grad_cam": grad_cam, "respond_cam": respond_cam}
    maps = {
        name: functional.interpolate(found[:, None], box, mode="trilinear", align_corners=False).squeeze(1)
        for name, found in maps.items()
    }
    return {"map": activation, "labels": labels, **maps}
