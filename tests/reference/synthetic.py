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


def signed(extent):
    """Cycles per volume in the order of numpy.fft, as integers."""
    return np.round(np.fft.fftfreq(extent) * extent).astype(int)


def seen(shape, tilt_range, tilt_axis=1, beam_axis=0):
    """Which Fourier voxels [z, y, x] (numpy.fft order) some section of the tilt series holds.

    For a cube |k_beam| <= |k_across| tan(range), compared in integers where the tangent is rational; otherwise the
    angle of the section is searched for: the tilted section with normal (cos a, sin a) holds k if k . normal = 0."""
    k = np.meshgrid(*[signed(n) for n in shape], indexing="ij")
    across_axis = 3 - tilt_axis - beam_axis
    if len(set(shape)) == 1:
        beam, across = np.abs(k[beam_axis]), np.abs(k[across_axis])
        if tilt_range == 90:
            return np.ones(shape, bool)
        if tilt_range == 45:
            return beam <= across
        return beam <= across * np.tan(np.radians(tilt_range))
    beam, across = k[beam_axis] / shape[beam_axis], k[across_axis] / shape[across_axis]
    nearest = np.degrees(np.arctan(np.abs(np.divide(beam, across, out=np.full(shape, np.inf), where=across != 0))))
    nearest[(beam == 0) & (across == 0)] = 0
    return nearest <= tilt_range


def wedge(shape, tilt_range, tilt_axis, beam_axis):
    mask = seen(shape, tilt_range, tilt_axis, beam_axis).reshape(-1, shape[2])
    rows = ["".join("1" if v else "0" for v in row) for row in mask]
    return dict(shape=shape, tilt_range=tilt_range, tilt_axis=tilt_axis, beam_axis=beam_axis, rows=rows)


def curves(voxel, envelope, limit, edge, mtf):
    """Envelope, band limit and detector at frequencies up to the corner of the cube, from their definitions."""
    nyquist = 0.5 / voxel
    rows = []
    for f in np.linspace(0, 3**0.5, 15) * nyquist:
        e = np.exp(-((f / (envelope * nyquist)) ** 2)) if envelope else 1.0
        past = f - limit * nyquist
        b = 1.0 if limit == 0 or past <= 0 else (np.exp(-((past / (edge * nyquist)) ** 2)) if edge else 0.0)
        # A Gaussian through 1 at 0 and the MTF at Nyquist.
        sigma = nyquist / np.sqrt(-2 * np.log(mtf)) if mtf < 1 else np.inf
        rows.append([f, e, b, np.exp(-(f**2) / (2 * sigma**2))])
    return dict(voxel_size=voxel, envelope=envelope, band_limit=limit, band_edge=edge, mtf=mtf,
                values=np.round(rows, 12).tolist())


def noise(**o):
    """Expected power of the noise in shells of a Fourier voxel, as a fraction of all power but that of the mean."""
    edge, nyquist = 24, 0.5 / o["voxel_size"]
    k = np.stack(np.meshgrid(*[signed(edge)] * 3, indexing="ij"))
    radius = np.sqrt((k**2).sum(0))
    f = radius / (edge * o["voxel_size"])
    past = f - o["band_limit"] * nyquist
    band = np.where(past <= 0, 1, np.exp(-((past / (o["band_edge"] * nyquist)) ** 2))) if o["band_limit"] else 1
    keep = seen((edge,) * 3, o["tilt_range"], o["tilt_axis"], o["beam_axis"]) * band
    lens = keep * ctf(f, o["voltage"], o["defocus"], o["spherical_aberration"])
    lens = lens * np.exp(-((f / (o["envelope"] * nyquist)) ** 2))
    power = []
    for amplitude, share in ((lens, o["noise_before"]), (keep * o["mtf"] ** ((f / nyquist) ** 2), 1 - o["noise_before"])):
        square = amplitude**2
        square[0, 0, 0] = 0
        power.append(share * square / square.sum())
    power = sum(power)
    shell = np.round(radius).astype(int)
    return dict(o, shells=[float(f"{power[shell == s].mean():.9g}") for s in range(13)])


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
    image = np.fft.ifftn(spectrum * seen((edge,) * 3, tilt)).real
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
    wedges = [wedge((8, 8, 8), tilt, 1, 0) for tilt in (90, 60, 45, 30.5)]
    wedges += [wedge((9, 9, 9), 60, *axes) for axes in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))]
    wedges += [wedge((8, 9, 12), tilt, *axes) for tilt in (50.5, 61) for axes in ((1, 0), (2, 0), (1, 2))]
    optics = dict(voxel_size=10.0, voltage=300.0, defocus=5.0, spherical_aberration=2.0, tilt_range=60, tilt_axis=1,
                  beam_axis=0)
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
        curves=[curves(*c) for c in ((10.0, 0.4, 0.5, 0.125, 1.0), (3.5, 1.2, 0.8, 0.0, 0.3), (13.0, 0.0, 0.0, 0.2, 0.7))],
        noise=[noise(**optics, envelope=0.4, band_limit=0.5, band_edge=0.125, noise_before=0.5, mtf=1.0),
               noise(**optics, envelope=1.5, band_limit=0.0, band_edge=0.0, noise_before=1.0, mtf=1.0),
               noise(**dict(optics, tilt_range=45, tilt_axis=2, beam_axis=1), envelope=1.0, band_limit=0.9,
                     band_edge=0.05, noise_before=0.0, mtf=0.3)],
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
