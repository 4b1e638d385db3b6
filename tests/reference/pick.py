"""Writes pick.json: what src/plugin/pick must agree with, by numpy and scipy alone.

Run: pip install numpy scipy; python pick.py (made with numpy 2.4.6, scipy 1.17.1)
"""

import itertools
import json
from pathlib import Path

import numpy as np
from scipy import ndimage

MARGIN = 16  # voxels around a box that is sampled in Fourier space: documented in the header


def noise(shape, seed):
    """Integers from 0 to 65535 without order, the same in every language: a multiplicative hash of the voxel's index."""
    index = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed * 1_000_003)
    value = (index * np.uint64(2654435761)) % np.uint64(2**32)
    value = ((value ^ (value >> np.uint64(15))) * np.uint64(2246822519)) % np.uint64(2**32)
    return ((value >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.float64).reshape(shape)


def peaks(dog):
    """Voxels higher than their neighbours; of equal ones, the first in raster order."""
    padded = np.pad(dog, 1, constant_values=-np.inf)
    found = np.ones(dog.shape, bool)
    for step in itertools.product((-1, 0, 1), repeat=3):
        if step == (0, 0, 0):
            continue
        other = padded[tuple(slice(1 + s, 1 + s + n) for s, n in zip(step, dog.shape))]
        found &= dog > other if step < (0, 0, 0) else dog >= other
    return [tuple(int(i) for i in p) for p in np.argwhere(found)]


def refined(dog, place):
    """The vertex of the parabola along each axis."""
    out = []
    for axis in range(3):
        if place[axis] in (0, dog.shape[axis] - 1):
            out.append(float(place[axis]))
            continue
        step = np.eye(3, dtype=int)[axis]
        y = [dog[tuple(np.add(place, k * step))] for k in (-1, 0, 1)]
        a, b, _ = np.polyfit([-1, 0, 1], y, 2)
        out.append(place[axis] - b / (2 * a))
    return out


def picked(shape, seed, sigma, ratio, bright, rule, t, distance, n_max, border):
    volume = noise(shape, seed)
    dog = ndimage.gaussian_filter(volume, sigma, mode="reflect", truncate=4.0)
    dog -= ndimage.gaussian_filter(volume, sigma * ratio, mode="reflect", truncate=4.0)
    dog = dog if bright else -dog
    inside = lambda p: all(border <= i < n - border for i, n in zip(p, shape))
    found = [p for p in peaks(dog) if inside(p)]
    score = np.array([dog[p] for p in found])
    if rule == 0:
        limit = score.min() + t * (score.max() - score.min()) / 20
    elif rule == 1:
        limit = np.median(score) + t * 1.4826 * np.median(np.abs(score - np.median(score)))
    else:
        limit = t
    taken = []
    for index in np.argsort(-score):
        place = found[index]
        if score[index] >= limit and all(np.hypot.reduce(np.subtract(place, q)) >= distance for q in taken):
            taken.append(place)
    taken = taken[:n_max]
    rows = [[*np.round(refined(dog, p), 6).tolist(), float(f"{dog[p]:.8g}")] for p in taken]
    return dict(shape=shape, seed=seed, sigma=sigma, sigma_ratio=ratio, bright=bright, threshold_rule=rule, threshold=t,
                min_distance=distance, n_max=n_max, border=border, n_peaks=len(found), particles=rows)


def filtered():
    """A small block filtered, one corner of which is handed out; the second is smaller than the filter."""
    out = []
    for shape, seed, sigma in (((9, 12, 11), 3, 1.3), ((4, 3, 5), 4, 2.2)):
        result = ndimage.gaussian_filter(noise(shape, seed), sigma, mode="reflect", truncate=4.0)
        out.append(dict(shape=shape, seed=seed, sigma=sigma, values=np.round(result[:4, :3, :5], 4).tolist()))
    return out


def coordinates(centre, box, scale):
    return centre + (np.arange(box) - box // 2) * scale


def by_waves(volume, position, box, scale):
    """A box from the waves of the region around it, wave by wave; those that its own voxels cannot hold left out."""
    region, factors = volume, []
    for axis in range(3):
        at = coordinates(position[axis], box, scale)
        first = int(np.floor(at[0])) - MARGIN
        n = int(np.ceil(at[-1])) + MARGIN + 1 - first
        n += n % 2 == 0
        assert first >= 0 and first + n <= volume.shape[axis]
        region = np.take(region, np.arange(first, first + n), axis)
        k = np.fft.fftfreq(n)
        wave = np.exp(2j * np.pi * np.outer(at - first, k)) / n
        wave[:, np.abs(k) >= 0.5 / max(scale, 1) - 1e-12] = 0
        factors.append(wave)
    return np.einsum("abc,ia,jb,kc->ijk", np.fft.fftn(region), *factors).real


def boxes():
    shape, seed = (60, 62, 64), 5
    volume = noise(shape, seed)
    out = []
    for position, box, scale in (([30.0, 31.0, 29.0], 6, 1.0), ([30.25, 28.5, 33.875], 5, 1.0),
                                 ([29.5, 30.125, 31.75], 6, 1.6), ([31.0, 30.5, 30.0], 7, 0.75)):
        if scale == 1.0:
            # With whole voxels of the same size this is a shift in Fourier space.
            lo = [int(np.floor(p)) - box // 2 - MARGIN for p in position]
            hi = [int(np.ceil(p)) + (box - 1) - box // 2 + MARGIN for p in position]
            n = [b - a + 1 + ((b - a + 1) % 2 == 0) for a, b in zip(lo, hi)]
            region = volume[tuple(slice(a, a + m) for a, m in zip(lo, n))]
            shift = [np.floor(p) - p for p in position]
            moved = np.fft.ifftn(ndimage.fourier_shift(np.fft.fftn(region), shift)).real
            crop = moved[tuple(slice(MARGIN, MARGIN + box) for _ in range(3))]
            assert np.allclose(crop, by_waves(volume, position, box, scale), atol=1e-6)
        grid = np.meshgrid(*[coordinates(p, box, scale) for p in position], indexing="ij")
        out.append(dict(position=position, box_size=box, scale=scale,
                        fourier=np.round(by_waves(volume, position, box, scale), 2).tolist(),
                        linear=np.round(ndimage.map_coordinates(volume, grid, order=1), 3).tolist()))
    return dict(shape=shape, seed=seed, boxes=out)


def main():
    cases = [picked((24, 31, 27), 1, 1.5, 1.1, True, 0, 3.0, 1.5, 1000, 0),
             picked((24, 31, 27), 1, 1.5, 1.1, False, 0, 12.0, 6.0, 1000, 0),
             picked((20, 40, 33), 2, 2.0, 1.6, False, 1, 0.2, 4.5, 25, 3),
             picked((40, 18, 26), 7, 1.0, 1.2, True, 2, 900.0, 3.0, 40, 1)]
    reference = dict(noise=noise((2, 2, 3), 1).ravel().tolist(), filtered=filtered(), picked=cases, extracted=boxes())
    path = Path(__file__).with_suffix(".json")
    path.write_text("{\n" + ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in reference.items()) + "\n}\n")
    print([(c["n_peaks"], len(c["particles"])) for c in cases])


main()
