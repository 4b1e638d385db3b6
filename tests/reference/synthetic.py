"""Writes synthetic.json: what src/plugin/synthetic must agree with, by numpy and scipy alone.

Run: pip install numpy scipy; python synthetic.py (made with numpy 2.4.6, scipy 1.17.1)
"""

import json
from pathlib import Path

import numpy as np
from scipy import constants, integrate, optimize, stats
from scipy.spatial.transform import Rotation

AMPLITUDE_CONTRAST = 0.07


def wavelength(kilovolt):
    """De Broglie wavelength in angstrom from the relativistic energy-momentum relation."""
    kinetic = kilovolt * 1e3 * constants.e
    rest = constants.m_e * constants.c**2
    momentum = np.sqrt((kinetic + rest) ** 2 - rest**2) / constants.c
    return constants.h / momentum * 1e10


def ctf(k, kilovolt, defocus_um, cs_mm):
    """The form of Mindell and Grigorieff 2003: weights of phase and amplitude contrast; protein positive."""
    lam = wavelength(kilovolt)
    chi = np.pi * lam * defocus_um * 1e4 * k**2 - np.pi / 2 * cs_mm * 1e7 * lam**3 * k**4
    return np.sqrt(1 - AMPLITUDE_CONTRAST**2) * np.sin(chi) + AMPLITUDE_CONTRAST * np.cos(chi)


def seen(edge, tilt_range):
    """Which Fourier voxels [z, y, x] (numpy.fft order) hold a point of a section tilted by up to tilt_range.

    |kz| <= |kx| tan(range), compared in integers where the tangent is rational."""
    k = np.abs(np.round(np.fft.fftfreq(edge) * edge)).astype(int)
    z, _, x = np.meshgrid(k, k, k, indexing="ij")
    if tilt_range == 90:
        return np.ones_like(z, bool)
    if tilt_range == 45:
        return z <= x
    return z <= x * np.tan(np.radians(tilt_range))


def ball(r, blur):
    """Unit ball convolved with a Gaussian, by integrating over the ball in cylinder coordinates."""
    def disc(t):
        # The Gaussian over a disc of radius sqrt(1 - t^2) across the axis, in closed form.
        across = 1 - np.exp(-(1 - t * t) / (2 * blur**2))
        return across * np.exp(-((t - r) ** 2) / (2 * blur**2)) / (blur * np.sqrt(2 * np.pi))
    return integrate.quad(disc, -1, 1, epsabs=1e-12, limit=200, points=[min(max(r, -1), 1)])[0]


def zyx(matrix):
    """A matrix for [x, y, z] as one for [z, y, x]."""
    return np.asarray(matrix)[::-1, ::-1].round(12).tolist()


def turn(axis, degrees):
    return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()


def gaussian_through_microscope():
    """A Gaussian in the middle of a box, through contrast transfer and wedge: two lines through its centre."""
    edge, voxel, sigma, tilt = 24, 10.0, 3.0, 50.0
    i = np.arange(edge) - edge // 2
    z, y, x = np.meshgrid(i, i, i, indexing="ij")
    density = np.exp(-(z**2 + y**2 + x**2) / (2 * sigma**2))
    k = np.fft.fftfreq(edge, voxel)
    kz, ky, kx = np.meshgrid(k, k, k, indexing="ij")
    spectrum = np.fft.fftn(density) * ctf(np.sqrt(kz**2 + ky**2 + kx**2), 200.0, 4.0, 2.0)
    image = np.fft.ifftn(spectrum * seen(edge, tilt)).real
    c = edge // 2
    return dict(box_size=edge, voxel_size=voxel, sigma=sigma, tilt_range=tilt, voltage=200.0, defocus=4.0,
                spherical_aberration=2.0, along_z=image[:, c, c].round(6).tolist(),
                along_y=image[c, :, c].round(6).tolist(), along_x=image[c, c, :].round(6).tolist())


def angle_bins(n):
    """Edges, in degrees, that split the angles of uniform random rotations into n equal parts: their distribution
    function is (a - sin a) / pi."""
    edges = [optimize.brentq(lambda a: (a - np.sin(a)) / np.pi - q / n, 0, np.pi) for q in range(n + 1)]
    sample = np.degrees(Rotation.random(200_000, random_state=1).magnitude())
    counts = np.histogram(sample, np.degrees(edges))[0]
    assert stats.chisquare(counts).pvalue > 0.01, "scipy's own rotations do not fit"
    return np.degrees(edges).round(9).tolist()


def main():
    wedges = []
    for edge in (8, 9, 12, 15):
        for tilt in (90, 60, 45, 30.5):
            mask = seen(edge, tilt)
            rows = ["".join("1" if v else "0" for v in row) for row in mask[:, 0, :]]
            wedges.append(dict(box_size=edge, tilt_range=tilt, n_seen=int(mask.sum()), plane_zx=rows))
    frequencies = [0.0, 0.004, 0.01, 0.02, 0.0333, 0.05, 0.0866]
    microscopes = [(300.0, 5.0, 2.7), (200.0, 2.5, 2.0), (120.0, 8.0, 6.3)]
    groups = {"C2": [turn("z", 180)], "C3": [turn("z", 120)], "D2": [turn("z", 180), turn("x", 180)],
              "D3": [turn("z", 120), turn("x", 180)], "D7": [turn("z", 360 / 7), turn("x", 180)],
              "O": [turn("z", 90), Rotation.from_rotvec(np.radians(120) * np.ones(3) / 3**0.5).as_matrix()]}
    reference = dict(
        wavelength=[[kv, round(wavelength(kv), 12)] for kv in (80.0, 100.0, 200.0, 300.0)],
        ctf=[dict(voltage=v, defocus=d, spherical_aberration=c,
                  values=[[k, round(float(ctf(k, v, d, c)), 9)] for k in frequencies])
             for v, d, c in microscopes],
        wedge=wedges,
        ball=[[r, s, round(ball(r, s), 9)] for s in (0.1, 0.25, 0.6, 2.0) for r in (0.0, 0.3, 0.9, 1.0, 1.1, 1.6)],
        euler=[dict(angles=e, matrix=zyx(Rotation.from_euler("ZYZ", e, degrees=True).as_matrix()))
               for e in ([30.0, 0.0, 0.0], [-45.0, 35.0, 90.0], [10.0, 100.0, 200.0])],
        quaternion=[dict(wxyz=q, matrix=zyx(Rotation.from_quat(q[1:] + q[:1]).as_matrix()))
                    for q in ([0.5, 0.5, -0.5, 0.5], [0.8, 0.0, 0.6, 0.0], [0.1, 0.7, -0.1, 0.7])],
        groups={name: dict(order=len(Rotation.create_group(name).as_matrix()), generators=[zyx(g) for g in generators])
                for name, generators in groups.items()},
        # Published masses in kilodalton; the sources are named beside the phantoms.
        masses={"rabbit muscle aldolase": 157, "hemagglutinin": 169, "T20S proteasome": 673,
                "DnaB helicase-helicase loader": 447, "glutamate dehydrogenase": 334,
                "insulin-bound insulin receptor": 222, "apoferritin": 480},
        dalton_per_cubic_angstrom=round(1.35e-24 / (constants.atomic_mass * 1e3), 9),
        angle_bins=angle_bins(20),
        chi_square_limit=round(stats.chi2.ppf(0.999, 19), 6),
        gaussian=gaussian_through_microscope(),
    )
    path = Path(__file__).with_suffix(".json")
    path.write_text("{\n" + ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in reference.items()) + "\n}\n")


main()
