"""Reference numbers for src/plugin/preprocess.rs, from numpy and Pillow: writes preprocess.json.

    pip install numpy==2.4.6 pillow==13.0.0 && python preprocess.py

Each case has two boxes of integers that the test makes by the same formula. Sections are resized by Pillow in mode F
(32-bit float), sections along z by Pillow's BILINEAR or NEAREST on the image whose rows are sections; then each box is
normalised in float64. Of the result every n-th value is kept.
"""

import json
import pathlib

import numpy as np
from PIL import Image

FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "linear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}
N_SAMPLES = 20

CASES = [
    # box d, h, w; input_size; interpolation; normalization; percentiles; range; for "fixed" also mean and deviation
    ([4, 28, 28], [0, 128, 128], "bicubic", "min_max", [0.5, 99.5], [-1, 1]),
    ([4, 28, 28], [0, 128, 128], "linear", "min_max", [0.5, 99.5], [0, 1]),
    ([4, 28, 28], [0, 128, 128], "nearest", "min_max", [0.5, 99.5], [-1, 1]),
    ([3, 32, 32], [0, 20, 20], "bicubic", "min_max", [0.5, 99.5], [-1, 1]),
    ([3, 32, 32], [0, 20, 20], "linear", "z_score", [0.5, 99.5], [-1, 1]),
    ([3, 32, 32], [0, 20, 20], "nearest", "min_max", [0.5, 99.5], [-1, 1]),
    ([5, 13, 17], [0, 31, 0], "bicubic", "z_score", [0.5, 99.5], [-1, 1]),
    ([5, 13, 17], [0, 0, 9], "linear", "percentile", [2.0, 90.0], [-1, 1]),
    ([7, 11, 9], [16, 0, 0], "bicubic", "min_max", [0.5, 99.5], [-1, 1]),
    ([16, 11, 9], [7, 15, 4], "bicubic", "percentile", [0.5, 99.5], [0, 255]),
    ([16, 11, 9], [7, 15, 4], "nearest", "percentile", [10.0, 60.0], [-1, 1]),
    ([6, 10, 10], [0, 0, 0], "bicubic", "z_score", [0.5, 99.5], [-1, 1]),
    ([6, 10, 10], [0, 0, 0], "bicubic", "percentile", [0.0, 100.0], [-1, 1]),
    ([4, 28, 28], [0, 128, 128], "bicubic", "unit", [0.5, 99.5], [-115, 155]),
    ([6, 10, 10], [0, 14, 14], "linear", "fixed", [0.5, 99.5], [-1, 1], [130.0, 54.4]),
]


def voxels(box, size):
    """Integers that look like noise; the second box is dimmer by half and has an offset."""
    i = np.arange(np.prod(size), dtype=np.int64)
    values = (i * i * 31 + i * 7919 + 13) % 1009
    return (values if box == 0 else values[::-1] // 2 + 300).reshape(size).astype(np.float32)


def resize(volume, size, interpolation):
    depth, height, width = (new or old for new, old in zip(size, volume.shape))
    sections = [
        np.asarray(Image.fromarray(section).resize((width, height), FILTERS[interpolation]))
        for section in volume
    ]
    rows = np.stack(sections).reshape(len(sections), height * width)
    if depth != len(sections):
        kind = "nearest" if interpolation == "nearest" else "linear"
        rows = np.asarray(Image.fromarray(rows).resize((height * width, depth), FILTERS[kind]))
    return rows.reshape(depth, height, width).astype(np.float64)


def normalise(volume, normalization, percentiles, limits, fixed):
    if normalization == "fixed":
        return (volume - fixed[0]) / fixed[1]
    if normalization == "z_score":
        return (volume - volume.mean()) / volume.std()
    low, high = (
        (volume.min(), volume.max())
        if normalization in ("min_max", "unit")
        else np.percentile(volume, percentiles)
    )
    scaled = np.clip((volume - low) / (high - low), 0, 1)
    if normalization == "unit":
        return scaled
    return scaled * (limits[1] - limits[0]) + limits[0]


def main():
    cases = []
    for box_size, size, interpolation, normalization, percentiles, limits, *fixed in CASES:
        fixed = fixed[0] if fixed else [0.0, 1.0]
        boxes = [
            normalise(
                resize(voxels(box, box_size), size, interpolation),
                normalization,
                percentiles,
                limits,
                fixed,
            )
            for box in range(2)
        ]
        flat = np.stack(boxes).ravel()
        step = len(flat) // N_SAMPLES
        cases.append(
            {
                "box_size": box_size,
                "input_size": size,
                "interpolation": interpolation,
                "normalization": normalization,
                "percentile": percentiles,
                "range": limits,
                "fixed": {"mean": fixed[0], "deviation": fixed[1]},
                "output_size": list(boxes[0].shape),
                "step": step,
                "samples": [round(float(value), 7) for value in flat[::step]],
            }
        )
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
    pathlib.Path(__file__).with_suffix(".json").write_text(text)


if __name__ == "__main__":
    main()
