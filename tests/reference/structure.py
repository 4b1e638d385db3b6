"""Writes structure.json: a small invented structure as gemmi writes it in PDB and mmCIF, and its density by summing
Gaussians voxel by voxel with numpy. Scattering factors are gemmi's (International Tables C, table 4.3.2.2).

Run: pip install gemmi numpy; python structure.py (made with gemmi 0.7.5, numpy 2.4.6)
"""

import json
import pathlib

import gemmi
import numpy as np

rng = np.random.default_rng(11)

structure = gemmi.Structure()
structure.name = "TEST"
residues = [
    ("ALA", [("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O"), ("CB", "C")], "A"),
    ("MSE", [("N", "N"), ("CA", "C"), ("SE", "Se"), ("HG11", "H")], "A"),
    ("ZN", [("ZN", "Zn")], "H"),
    ("HOH", [("O", "O")], "H"),
]
for number in (1, 2):
    model = gemmi.Model(number)
    chain = gemmi.Chain("A")
    for index, (name, atoms, flag) in enumerate(residues, 1):
        residue = gemmi.Residue()
        residue.name, residue.seqid, residue.het_flag = name, gemmi.SeqId(str(index)), flag
        for label, element in atoms:
            places = [("A", 0.7), ("B", 0.3)] if label == "CB" else [("\0", 1.0)]
            for altloc, occupancy in places:
                atom = gemmi.Atom()
                atom.name, atom.element, atom.altloc = label, gemmi.Element(element), altloc
                atom.occ, atom.b_iso = occupancy, 20.0
                atom.pos = gemmi.Position(*(rng.uniform(-14, 14, 3) + [100, 5, -40]).round(3))
                residue.add_atom(atom)
        chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
structure.setup_entities()

atoms = [
    {"symbol": a.element.name.upper(), "zyx": [a.pos.z, a.pos.y, a.pos.x], "occupancy": round(a.occ, 2)}
    for chain in structure[0]
    for residue in chain
    if not residue.is_water()
    for a in residue
]
factor = {z: round(sum(gemmi.Element(z).c4322.a), 4) for z in range(1, 99)}
weights = np.array([a["occupancy"] * factor[gemmi.Element(a["symbol"]).atomic_number] for a in atoms])
places = np.array([a["zyx"] for a in atoms])
centre = (weights[:, None] * places).sum(0) / weights.sum()
# h^2 / (2 pi m e) in volt square angstrom, from CODATA 2018.
volt = 6.62607015e-34**2 / (2 * np.pi * 9.1093837015e-31 * 1.602176634e-19) * 1e20


def density(box, voxel, resolution):
    sigma = resolution / (np.pi * np.sqrt(2))
    axis = (np.arange(box) - box // 2) * voxel
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    out = np.zeros((box,) * 3)
    for weight, place in zip(weights, places):
        square = ((grid - (place - centre)) ** 2).sum(-1)
        out += volt * weight * (2 * np.pi * sigma**2) ** -1.5 * np.exp(-square / (2 * sigma**2))
    return out


cases = []
for box, voxel, resolution in [(12, 6.0, 15.0), (11, 7.5, 15.0), (10, 9.0, 20.0)]:
    values = density(box, voxel, resolution)
    cases.append({
        "box_size": box, "voxel_size": voxel, "resolution": resolution,
        "values": [float(f"{v:.5g}") for v in values.ravel()],
    })

reference = {
    "pdb": structure.make_pdb_string(),
    "cif": structure.make_mmcif_document().as_string(),
    "atoms": atoms,
    "factors": [[gemmi.Element(z).name.upper(), factor[z]] for z in range(1, 99)],
    "densities": cases,
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(reference) + "\n")
