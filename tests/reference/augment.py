"""Crops and affine maps of torchvision, and missing wedges by numpy: tests/reference/augment.json.

Needs torch, torchvision and numpy."""

import json
from pathlib import Path

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

SIZE = (2, 1, 4, 8, 10)
CROPS = [(0, 0, 8, 10), (1, 2, 6, 7), (0, 5, 8, 5), (3, 4, 4, 6)]
AFFINES = [
    (0.0, 0, 0, 1.0, "nearest", 0.0),
    (17.3, 0, 0, 1.0, "nearest", 0.0),
    (-41.2, 1, -1, 0.93, "nearest", 0.0),
    (29.9, -1, 1, 1.08, "nearest", -1.0),
    (8.7, 0, 0, 1.0, "bilinear", 0.0),
    (-33.1, 1, 1, 1.07, "bilinear", -1.0),
]
WEDGES = [(55.0, 0.0), (43.7, 71.3)]


def packed(array) -> dict:
    array = np.asarray(array, dtype=np.float64)
    return {"shape": list(array.shape), "values": [float(f"{value:.7g}") for value in array.ravel()]}


def affine(sections, angle, dx, dy, scale, interpolation, fill):
    mode = InterpolationMode(interpolation)
    # torchvision blends `fill` in by a mask that it interpolates, too: the same as moving the lowest value to 0.
    return F.affine(sections - fill, angle, [dx, dy], scale, [0.0, 0.0], mode) + fill


def wedge(box, tilt, axis):
    depth, height, width = box.shape
    frequencies = np.fft.fftfreq(depth), np.fft.fftfreq(height), np.fft.rfftfreq(width)
    d, h, w = np.meshgrid(*frequencies, indexing="ij")
    direction = np.array([-np.sin(np.radians(axis)), np.cos(np.radians(axis))])
    across = np.abs(h * direction[0] + w * direction[1])
    # The angle between a frequency and the plane of the sections, seen along the tilt axis.
    inclination = np.degrees(np.arctan2(np.abs(d), across))
    seen = (inclination <= tilt + 1e-9) | (d == 0)
    return np.fft.irfftn(np.fft.rfftn(box) * seen, box.shape, axes=(0, 1, 2))


def main() -> None:
    boxes = torch.rand(SIZE, generator=torch.Generator().manual_seed(1))
    sections = boxes[:, 0]
    result = {"boxes": packed(boxes), "crops": [], "affines": []}
    for top, left, height, width in CROPS:
        output = F.resized_crop(sections, top, left, height, width, SIZE[3:], antialias=False)
        result["crops"].append(
            {"top": top, "left": left, "height": height, "width": width, "output": packed(output[:, None])}
        )
    for angle, dx, dy, scale, interpolation, fill in AFFINES:
        output = affine(sections, angle, dx, dy, scale, interpolation, fill)
        case = {"angle": angle, "dx": dx, "dy": dy, "scale": scale, "interpolation": interpolation, "fill": fill}
        result["affines"].append({**case, "output": packed(output[:, None])})
    filtered = [wedge(box.numpy().astype(np.float64), *parameters) for box, parameters in zip(sections, WEDGES)]
    result["wedge"] = {"wedges": WEDGES, "output": packed(np.stack(filtered)[:, None])}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
