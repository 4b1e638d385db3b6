"""Writes lists/: particle lists in the layouts of the programs that write them, and lists/cells.json, every value of
the STAR files as the Python package starfile reads them.

The labels of each layout are those that the programs write; all values are invented. Layouts with RELION's own
alignment are written here line by line, the others by starfile (as pytom-match-pick does) and numpy.savetxt.

Run: pip install numpy pandas starfile; python lists.py (made with starfile 0.5.13, pandas 3.1.1, numpy 2.4.6)
"""

import json
import pathlib
import re

import numpy as np
import pandas as pd
import starfile

HERE = pathlib.Path(__file__).parent / "lists"
HERE.mkdir(exist_ok=True)
rng = np.random.default_rng(7)


def number(value):
    """RELION's way: twelve columns, six digits, right-aligned; very small and large ones with an exponent."""
    if isinstance(value, str):
        return value.rjust(10)
    if isinstance(value, int):
        return f"{value:>12d}"
    text = f"{value:.6f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.6e}"
    return text.rjust(12)


def relion_loop(name, version, columns):
    labels = list(columns)
    text = f"\n# version {version}\n\ndata_{name}\n\nloop_ \n"
    text += "".join(f"_{label} #{i} \n" for i, label in enumerate(labels, 1))
    for row in zip(*columns.values(), strict=True):
        text += " ".join(map(number, row)) + " \n"
    return text + " \n"


def uniform(low, high, n):
    return [round(float(v), 6) for v in rng.uniform(low, high, n)]


def angles(n, prefix="rlnAngle"):
    return {
        f"{prefix}Rot": uniform(-180, 180, n),
        f"{prefix}Tilt": uniform(0, 180, n),
        f"{prefix}Psi": uniform(-180, 180, n),
    }


def origins(n):
    return {f"rlnOrigin{axis}Angst": uniform(-9, 9, n) for axis in "XYZ"}


def coordinates(n, high=2000):
    return {f"rlnCoordinate{axis}": [float(v) for v in rng.integers(1, high, n)] for axis in "XYZ"}


def relion_statistics(n):
    return {
        "rlnGroupNumber": [1] * n,
        "rlnClassNumber": [1 + i % 2 for i in range(n)],
        "rlnNormCorrection": [1.0] * n,
        "rlnLogLikeliContribution": uniform(4.5e5, 4.6e5, n),
        "rlnMaxValueProbDistribution": uniform(1e-4, 0.2, n),
        "rlnNrOfSignificantSamples": [int(v) for v in rng.integers(1, 99, n)],
    }


# RELION 3.0 as Warp 1 writes it: one nameless block, no blank after the values, no final line feed.
lines = ["", "data_", "", "loop_"]
warp1 = (
    "rlnMicrographName rlnCoordinateX rlnCoordinateY rlnCoordinateZ rlnAngleRot rlnAngleTilt rlnAnglePsi "
    "rlnMagnification rlnDetectorPixelSize rlnCtfMaxResolution rlnImageName rlnCtfImage rlnPixelSize rlnVoltage "
    "rlnSphericalAberration"
).split()
lines += [f"_{label} #{i}" for i, label in enumerate(warp1, 1)]
for i in range(3):
    tomogram = "0101" if i < 2 else "0102"
    x, y, z = rng.uniform(100, 900, 3)
    rot, tilt, psi = rng.uniform(-90, 90, 3)
    image = f"subtomo/{tomogram}/{tomogram}_{i:07d}"
    lines.append(
        f"  /data/warp/reconstruction/{tomogram}_10.00Apx.mrc  {x:8.3f}  {y:8.3f}  {z:8.3f}  {rot:11.6f} {tilt:11.6f} "
        f"{psi:11.6f}  10000.0  5.25000  7.4  {image}_5.25A.mrc  {image}_ctf_5.25A.mrc  5.25000  300.000  2.700"
    )
(HERE / "relion30.star").write_text("\n".join(lines))

# RELION 3.1, written by starfile: two optics groups of different pixel sizes.
optics = pd.DataFrame(
    {
        "rlnOpticsGroup": [1, 2],
        "rlnOpticsGroupName": ["opticsGroup1", "opticsGroup2"],
        "rlnSphericalAberration": [2.7, 2.7],
        "rlnVoltage": [300.0, 300.0],
        "rlnImagePixelSize": [2.5, 3.5],
        "rlnImageSize": [64, 64],
        "rlnImageDimensionality": [3, 3],
    }
)
n = 4
particles = {"rlnMicrographName": ["ts_01.mrc", "ts_01.mrc", "ts 02.mrc", "ts 02.mrc"]}
particles |= coordinates(n) | angles(n)
particles |= {
    "rlnCtfMaxResolution": [6.5] * n,
    "rlnImageName": [f"{i + 1:06d}@Extract/ts_{1 + i // 2:02d}.mrcs" for i in range(n)],
    "rlnCtfImage": [f"Extract/ts_ctf_{i}.mrc" for i in range(n)],
    "rlnPixelSize": [2.5, 2.5, 3.5, 3.5],
    "rlnOpticsGroup": [1, 1, 2, 2],
}
particles |= origins(n) | relion_statistics(n)
starfile.write(
    {"optics": optics, "particles": pd.DataFrame(particles)}, HERE / "relion31.star", sep="\t"
)

# RELION 4.0: pseudo-subtomograms, multiplied by the CTF; particles before optics here, as any order goes.
n = 3
columns = coordinates(n) | angles(n)
columns |= {
    "rlnTomoName": ["TS_017", "TS_017", "TS_018"],
    "rlnTomoParticleName": ["TS_017/68", "TS_017/69", "TS_018/7"],
    "rlnRandomSubset": [2, 1, 1],
    "rlnOpticsGroup": [1] * n,
}
columns |= origins(n)
folder = "PseudoSubtomo/job005/Subtomograms"
columns["rlnImageName"] = [f"{folder}/{name}_data.mrc" for name in columns["rlnTomoParticleName"]]
columns["rlnCtfImage"] = [f"{folder}/{name}_weights.mrc" for name in columns["rlnTomoParticleName"]]
columns |= relion_statistics(n)
optics = {
    "rlnOpticsGroup": [1],
    "rlnOpticsGroupName": ["opticsGroup1"],
    "rlnSphericalAberration": [2.7],
    "rlnVoltage": [300.0],
    "rlnTomoTiltSeriesPixelSize": [1.971],
    "rlnCtfDataAreCtfPremultiplied": [1],
    "rlnImageDimensionality": [3],
    "rlnTomoSubtomogramBinning": [2.0],
    "rlnImagePixelSize": [3.942],
    "rlnImageSize": [64],
}
(HERE / "relion40.star").write_text(
    relion_loop("particles", 30001, columns) + relion_loop("optics", 30001, optics)
)


def relion5(stacks):
    dimension = 2 if stacks else 3
    optics = {
        "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1],
        "rlnTomoTiltSeriesPixelSize": [1.35],
        "rlnOpticsGroup": [1],
        "rlnOpticsGroupName": ["optics1"],
        "rlnCtfDataAreCtfPremultiplied": [1],
        "rlnImageDimensionality": [dimension],
        "rlnTomoSubtomogramBinning": [4.0],
        "rlnImagePixelSize": [5.4],
        "rlnImageSize": [96],
    }
    n = 3
    names = ["TS_01/12", "TS_01/13", "TS_03/1"]
    ending = "stack2d.mrcs" if stacks else "data.mrc"
    columns = {"rlnTomoName": [name.split("/")[0] for name in names]}
    columns |= angles(n, "rlnTomoSubtomogram") | angles(n)
    columns |= {
        "rlnAngleTiltPrior": [90.0] * n,
        "rlnAnglePsiPrior": [0.0] * n,
        "rlnOpticsGroup": [1] * n,
        "rlnTomoParticleName": names,
        "rlnTomoVisibleFrames": ["[0,1,1,1,1,1,0]", "[1,1,1,1,1,1,1]", "[0,0,1,1,1,0,0]"],
        "rlnImageName": [f"Extract/job071/Subtomograms/{name}_{ending}" for name in names],
    }
    columns |= origins(n)
    columns |= {f"rlnCenteredCoordinate{axis}Angst": uniform(-2000, 2000, n) for axis in "XYZ"}
    columns |= relion_statistics(n)
    general = f"\n# version 50001\n\ndata_general\n\n_rlnTomoSubTomosAre2DStacks                       {int(stacks)}\n \n"
    return general + relion_loop("optics", 50001, optics) + relion_loop("particles", 50001, columns)


(HERE / "relion50.star").write_text(relion5(False))
(HERE / "relion50_2d.star").write_text(relion5(True))

# WarpTools: 2D stacks whose names do not tell; and its optimisation set, written by starfile.
general = {"rlnTomoSubTomosAre2DStacks": 1}
optics = pd.DataFrame(
    {
        "rlnOpticsGroup": [1],
        "rlnOpticsGroupName": ["opticsGroup1"],
        "rlnSphericalAberration": [2.7],
        "rlnVoltage": [300.0],
        "rlnTomoTiltSeriesPixelSize": [0.7894],
        "rlnCtfDataAreCtfPremultiplied": [1],
        "rlnImageDimensionality": [2],
        "rlnTomoSubtomogramBinning": [5.06714],
        "rlnImagePixelSize": [4.0],
        "rlnImageSize": [64],
        "rlnAmplitudeContrast": [0.07],
    }
)
n = 2
particles = {"rlnTomoName": ["TS_17.tomostar"] * n, "rlnTomoParticleId": [1, 2]}
particles |= coordinates(n) | angles(n)
particles |= {
    "rlnTomoParticleName": ["TS_17/1", "TS_17/2"],
    "rlnOpticsGroup": [1] * n,
    "rlnImageName": [f"../warp/particleseries/TS_17/TS_17_4.00A_{i:06d}.mrcs" for i in (1, 2)],
}
particles |= origins(n) | {"rlnTomoVisibleFrames": ["[1,1,1]", "[1,0,1]"]}
starfile.write(
    {"general": general, "optics": optics, "particles": pd.DataFrame(particles)}, HERE / "warptools_2d.star"
)
starfile.write(
    {"": {"rlnTomoParticlesFile": "relion50.star", "rlnTomoTomogramsFile": "tomograms.star"}},
    HERE / "optimisation_set.star",
)

# pytom-match-pick, in both of its conventions.
n = 3
common = angles(n) | {
    "rlnLCCmax": uniform(0.1, 0.3, n),
    "rlnCutOff": [0.09] * n,
    "rlnSearchStd": [0.01] * n,
    "rlnDetectorPixelSize": [13.79] * n,
}
pytom = coordinates(n, 500) | common | {"rlnMicrographName": ["tomo200528_100"] * n}
starfile.write(pd.DataFrame(pytom), HERE / "pytom.star")
centred = {f"rlnCenteredCoordinate{axis}Angst": uniform(-3000, 3000, n) for axis in "XYZ"}
pytom5 = centred | common | {"rlnTomoName": ["tomo200528_100"] * n}
starfile.write(pd.DataFrame(pytom5), HERE / "pytom_relion5.star")

# STOPGAP: tabs, no numbers after labels, a blank line between labels and rows.
stopgap = "motl_idx tomo_num object subtomo_num halfset orig_x orig_y orig_z score x_shift y_shift z_shift phi psi the class"
lines = ["", "data_stopgap_motivelist", "", "loop_"] + [f"_{label}" for label in stopgap.split()] + [""]
for i, (tomogram, half) in enumerate([(24, "A"), (24, "B"), (31, "A")]):
    index = 6 * (i + 1)
    x, y, z = rng.integers(100, 900, 3)
    score, *rest = rng.uniform(0, 1, 7)
    values = [f"{index:.6f}", f"{tomogram:.6f}", "1.000000", f"{index:.6f}", half]
    values += [f"{v:.6f}" for v in (x, y, z, score, *rest)] + [str(1 + i)]
    lines.append("\t".join(values))
(HERE / "stopgap.star").write_text("\n".join(lines) + "\n\n")

# The time of writing would make every run another file.
for path in HERE.glob("*.star"):
    path.write_text(re.sub(r"(?m)^(# Created by .*\)) at .*", r"\1", path.read_text()))

# Every value of every STAR file, as text.
cells = {}
for path in sorted(HERE.glob("*.star")):
    labels = set(re.findall(r"^_(\S+)", path.read_text(), re.M))
    blocks = starfile.read(path, always_dict=True, parse_as_string=sorted(labels))
    cells[path.name] = {
        name: {label: [str(v) for v in np.atleast_1d(np.asarray(block[label]))] for label in block}
        for name, block in blocks.items()
    }
    # A table of pairs is a dict, whose values starfile always converts: compared as they stand in the file.
    for name, block in blocks.items():
        if isinstance(block, dict):
            for label in block:
                cells[path.name][name][label] = re.findall(rf"^_{label}\s+(\S+)", path.read_text(), re.M)
(HERE / "cells.json").write_text(json.dumps(cells, indent=1) + "\n")

# Dynamo tables: 35 columns in MATLAB's short format, 26 and 42 with exponents.
for n_columns, layout in [(26, "%.6e"), (35, "%.5g"), (42, "%.18e")]:
    table = np.zeros((4, n_columns))
    table[:, 0] = [1, 2, 5, 12]
    table[:, 1] = 1
    table[:, 3:9] = rng.uniform(-180, 180, (4, 6)).round(3)
    table[:, 12:17] = [1, -60, 60, 0, 0]
    table[:, 19] = [3, 3, 4, 4]
    table[:, 21] = [1, 2, 2, 1]
    table[:, 23:26] = rng.uniform(10, 300, (4, 3)).round(2)
    if n_columns > 35:
        table[:, 35] = 13.48
        table[:, 40] = np.nan
    np.savetxt(HERE / f"dynamo{n_columns}.tbl", table, fmt=layout)
