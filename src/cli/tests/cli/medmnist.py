"""Data sets in the layout of MedMNIST3D (medmnist 3.0.2, dataset.py), by numpy: the arrays <part>_images, unsigned bytes
[n, edge, edge, edge], and <part>_labels, unsigned bytes [n, 1]; the edge is 28, or 64 in the files whose name says so.

    medmnist.py train.mrc organmnist3d.npz organmnist3d_64.npz
"""

import sys

import numpy as np

EDGE = 32
PARTS = {"train": range(18), "val": range(18, 24), "test": range(24, 36)}

boxes = np.fromfile(sys.argv[1], "<f4", offset=1024).reshape(-1, EDGE, EDGE, EDGE)
low, high = (extreme(axis=(1, 2, 3), keepdims=True) for extreme in (boxes.min, boxes.max))
grey = (255 * (boxes - low) / (high - low)).astype(np.uint8)


def data_set(images: np.ndarray) -> dict:
    arrays = {}
    for part, indices in PARTS.items():
        arrays[f"{part}_images"] = images[indices]
        arrays[f"{part}_labels"] = np.array([[index % 3] for index in indices], np.uint8)
    return arrays


np.savez(sys.argv[2], **data_set(grey[:, 2:30, 2:30, 2:30]))
np.savez_compressed(sys.argv[3], **data_set(grey.repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3)))
