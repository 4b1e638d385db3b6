"""Writes small files of voxels with mrcfile, emfile, tifffile, Pillow and numpy, and what these read of them.

    pip install -r requirements.txt && python volumes.py

writes the files to src/formats/testdata/volumes/, and volumes.json with number, shape, voxel size and voxels of each, and
with random MRC headers as mrcfile reads them. Only what no package writes (4-bit voxels, big-endian EM, permuted axes, an
IMOD stamp) is put together by hand. Dates in archives are fixed, so the files come out the same every time.
"""

import bz2
import gzip
import io
import json
import pathlib
import struct
import warnings
import zipfile

import emfile
import mrcfile
import numpy as np
import tifffile
from PIL import Image

here = pathlib.Path(__file__).parent
data = here / "../../src/formats/testdata/volumes"
data.mkdir(parents=True, exist_ok=True)
for old in data.iterdir():
    old.unlink()
warnings.simplefilter("ignore", RuntimeWarning)
random = np.random.default_rng(17)
expected = {}


def numbers(voxels):
    """The bytes of 32-bit floats, little-endian, in hex."""
    return np.ascontiguousarray(voxels, dtype="<f4").tobytes().hex()


def expect(name, volumes, voxel_size, dtype, **options):
    """volumes: [n, z, y, x]."""
    volumes = np.asarray(volumes)
    assert volumes.ndim == 4, name
    expected[name] = {
        "n": volumes.shape[0],
        "shape": list(volumes.shape[1:]),
        "voxel_size": voxel_size,
        "dtype": dtype,
        "voxels": numbers(volumes),
        **options,
    }


words = {
    "i1": "signed 8-bit integer",
    "u1": "unsigned 8-bit integer",
    "i2": "signed 16-bit integer",
    "u2": "unsigned 16-bit integer",
    "i4": "signed 32-bit integer",
    "u4": "unsigned 32-bit integer",
    "i8": "signed 64-bit integer",
    "u8": "unsigned 64-bit integer",
    "f2": "16-bit float",
    "f4": "32-bit float",
    "f8": "64-bit float",
}


def voxels(dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return random.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, size=shape, dtype=dtype.newbyteorder("="), endpoint=True).astype(dtype)


def write_mrc(name, array, voxel_size=0.0, images=False, extended=None):
    with mrcfile.new(data / name, overwrite=True) as mrc:
        mrc.set_data(array)
        if images:
            mrc.set_image_stack()
        if extended is not None:
            mrc.set_extended_header(extended)
            mrc.header.exttyp = b"FEI1"
        if voxel_size:
            mrc.voxel_size = voxel_size
        for label in range(10):
            mrc.header.label[label] = b""
        mrc.header.nlabl = 0
    with mrcfile.open(data / name) as mrc:
        return mrc.data.copy(), float(mrc.voxel_size.x)


def patch(name, **words):
    """Overwrites 32-bit integers of a little-endian header, by byte offset `at_<n>`."""
    raw = bytearray((data / name).read_bytes())
    for offset, value in words.items():
        struct.pack_into("<i", raw, int(offset[3:]), value)
    (data / name).write_bytes(raw)


# MRC: modes and orders of bytes.
for code in ["i1", "i2", "f4", "u2", "f2"]:
    for order, place in [("<", "little"), (">", "big")]:
        name = f"{code}_{place}.mrc"
        read, size = write_mrc(name, voxels(order + code, (3, 4, 5)), voxel_size=13.48)
        expect(name, read[None], size, words[code])

# NaN and infinity are voxels like others.
special = voxels("<f4", (2, 2, 3))
special[0, 0] = [np.nan, np.inf, -np.inf]
read, size = write_mrc("not_finite.mrc", special)
expect("not_finite.mrc", read[None], 0.0, words["f4"])

# Stacks.
read, size = write_mrc("volumes.mrc", voxels("<f4", (3, 2, 3, 4)), voxel_size=10.0)
assert mrcfile.open(data / "volumes.mrc").is_volume_stack()
expect("volumes.mrc", read, size, words["f4"])
read, size = write_mrc("images.mrc", voxels("<i2", (3, 4, 5)), images=True)
assert mrcfile.open(data / "images.mrc").is_image_stack()
expect("images.mrc", read[:, None], 0.0, words["i2"])
expect("images.mrc as a volume", read[None], 0.0, words["i2"], file="images.mrc", layout="volume")
read, size = write_mrc("stack.mrcs", voxels("<f4", (4, 3, 5)))
expect("stack.mrcs", read[:, None], 0.0, words["f4"])
# Space group 0 and MZ = NZ, as IMOD writes volumes.
read, size = write_mrc("space_group_0.mrc", voxels("<f4", (3, 4, 5)), voxel_size=4.0)
patch("space_group_0.mrc", at_88=0)
expect("space_group_0.mrc", read[None], size, words["f4"])
expect(
    "boxes of 2 sections",
    write_mrc("sections.mrc", voxels("<f4", (6, 3, 3)))[0].reshape(3, 2, 3, 3),
    0.0,
    words["f4"],
    file="sections.mrc",
    layout="volumes of 2",
)

# Extended header.
read, size = write_mrc("extended.mrc", voxels("<u2", (2, 3, 5)), 2.0, extended=np.arange(768, dtype="u1").view("V768"))
expect("extended.mrc", read[None], size, words["u2"])

# Cells that say nothing, and cells of unequal edges.
read, _ = write_mrc("no_cell.mrc", voxels("<f4", (2, 3, 4)))
expect("no_cell.mrc", read[None], 0.0, words["f4"])
read, _ = write_mrc("oblong_voxels.mrc", voxels("<f4", (2, 3, 4)), voxel_size=(2.0, 2.0, 3.0))
expect("oblong_voxels.mrc", read[None], 0.0, words["f4"])

# Order of axes: columns, rows, sections are the axes named.
stored = voxels("<f4", (3, 4, 5))
for axes in [(1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]:
    name = "axes_{}{}{}.mrc".format(*axes)
    write_mrc(name, stored)
    patch(name, at_64=axes[0], at_68=axes[1], at_72=axes[2])
    # numpy axis 0 is sections, so axis 3 - a of the array [z, y, x] is where axis a of the file went.
    place = {axis: 2 - i for i, axis in enumerate(axes)}
    expect(name, stored.transpose(place[3], place[2], place[1])[None], 0.0, words["f4"])

# IMOD's stamp at byte 152, flags at byte 156, bit 0: bytes are signed.
bytes_ = voxels("i1", (2, 3, 4))
for name, flags, read in [("imod_signed.mrc", 17, bytes_), ("imod_unsigned.mrc", 16, bytes_.view("u1"))]:
    write_mrc(name, bytes_)
    patch(name, at_152=1146047817, at_156=flags)
    expect(name, read[None], 0.0, words["i1" if read is bytes_ else "u1"])
expect("signed against IMOD", bytes_[None], 0.0, words["i1"], file="imod_unsigned.mrc", signed=True)
write_mrc("bytes.mrc", bytes_)
expect("unsigned without IMOD", bytes_.view("u1")[None], 0.0, words["u1"], file="bytes.mrc", signed=False)

# A file from before 2000: no MAP, no machine stamp, no axes.
read, _ = write_mrc("old.mrc", voxels("<i2", (2, 3, 4)))
patch("old.mrc", at_208=0, at_212=0, at_64=0, at_68=0, at_72=0)
expect("old.mrc", read[None], 0.0, words["i2"])

# 4 bits, odd rows: the lower half of a byte first, rows begin with a byte.
nibbles = random.integers(0, 16, size=(2, 3, 5), dtype="u1")
padded = np.pad(nibbles, ((0, 0), (0, 0), (0, 1)))
packed = padded[..., 0::2] | padded[..., 1::2] << 4
write_mrc("u4.mrc", packed.view("i1"))
patch("u4.mrc", at_0=5, at_12=101, at_28=5)
expect("u4.mrc", nibbles[None], 0.0, "unsigned 4-bit integer")

# Packed files, the first by mrcfile itself.
array = voxels("<f4", (4, 5, 6))
with mrcfile.new(data / "packed.mrc.bz2", compression="bzip2", overwrite=True) as mrc:
    mrc.set_data(array)
    mrc.voxel_size = 7.5
    mrc.header.label[0] = b"a label without a date"
plain = bz2.decompress((data / "packed.mrc.bz2").read_bytes())
(data / "packed.mrc.gz").write_bytes(gzip.compress(plain, mtime=0))
# Two members after another, and a name that says nothing.
(data / "packed_twice").write_bytes(gzip.compress(plain[:1500], mtime=0) + gzip.compress(plain[1500:], mtime=0))
for name in ["packed.mrc.bz2", "packed.mrc.gz", "packed_twice"]:
    expect(name, array[None], 7.5, words["f4"])

# EM: emfile writes little-endian ones.
for code, kind in [("i1", 1), ("i2", 2), ("i4", 4), ("f4", 5), ("f8", 9)]:
    array = voxels(code, (2, 3, 5))
    name = f"{code}.em"
    emfile.write(data / name, array, overwrite=True)
    _, read = emfile.read(data / name)
    expect(name, read[None], 0.0, words[code])
    header = struct.pack(">4B3i", 3, 0, 0, kind, 5, 3, 2).ljust(512, b"\0")
    (data / f"big_{name}").write_bytes(header + array.astype(">" + code).tobytes())
    expect(f"big_{name}", array[None], 0.0, words[code])
(data / "packed.em.gz").write_bytes(gzip.compress((data / "f4.em").read_bytes(), mtime=0))
expect("packed.em.gz", emfile.read(data / "f4.em")[1][None], 0.0, words["f4"])

# numpy.
for code in ["<i1", "<u1", "<i2", ">u2", "<i4", ">u4", ">i8", "<u8", ">f2", "<f4", ">f8"]:
    array = voxels(code, (2, 3, 4))
    name = f"{'big_' if code[0] == '>' else ''}{code[1:]}.npy"
    np.save(data / name, array)
    expect(name, array[None], 0.0, words[code[1:]])
np.save(data / "bool.npy", random.integers(0, 2, size=(2, 3, 4)).astype(bool))
expect("bool.npy", np.load(data / "bool.npy")[None], 0.0, words["u1"])
np.save(data / "four_axes.npy", voxels("<f4", (3, 2, 3, 4)))
expect("four_axes.npy", np.load(data / "four_axes.npy"), 0.0, words["f4"])
np.save(data / "fortran.npy", np.asfortranarray(voxels("<f4", (2, 3, 4))))
expect("fortran.npy", np.load(data / "fortran.npy")[None], 0.0, words["f4"])
with open(data / "version_2.npy", "wb") as file:
    np.lib.format.write_array(file, voxels("<i2", (2, 3, 4)), version=(2, 0))
expect("version_2.npy", np.load(data / "version_2.npy")[None], 0.0, words["i2"])


def savez(name, compression, **arrays):
    """numpy.savez with a fixed date: the same members, written by numpy's own array writer."""
    with zipfile.ZipFile(data / name, "w", compression) as archive:
        for key, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array)
            info = zipfile.ZipInfo(f"{key}.npy")
            info.compress_type = compression
            with archive.open(info, "w", force_zip64=True) as file:
                file.write(member.getvalue())


medmnist = {}
for part, n in [("train", 3), ("val", 1), ("test", 2)]:
    medmnist[f"{part}_images"] = voxels("u1", (n, 4, 4, 4))
    medmnist[f"{part}_labels"] = random.integers(0, 11, size=(n, 1), dtype="u1")
for name, compression in [("medmnist.npz", zipfile.ZIP_STORED), ("medmnist_packed.npz", zipfile.ZIP_DEFLATED)]:
    savez(name, compression, **medmnist)
    with np.load(data / name) as archive:
        for key in ["train_images", "test_images"]:
            expect(f"{key} of {name}", archive[key], 0.0, words["u1"], file=name, array=key)
np.savez(data / "plain.npz", boxes=voxels("<f4", (2, 2, 2, 3)), labels=np.array([1, 0]))
expect("plain.npz", np.load(data / "plain.npz")["boxes"], 0.0, words["f4"])
integers = {
    code: voxels(code, (5,)) if code != "<u8" else random.integers(0, 2**63, size=5, dtype="u8")
    for code in ["<i1", "<u1", ">i2", "<u2", "<i4", ">u4", "<i8", ">i8", "<u8"]
}
savez("integers.npz", zipfile.ZIP_STORED, **integers)

# TIFF. ImageJ counts frames of slices: time points are subtomograms.
for code, order in [("u1", "<"), ("u2", ">"), ("f4", ">"), ("f4", "<")]:
    array = voxels(code, (3, 2, 4, 5))
    name = f"imagej_{code}_{'big' if order == '>' else 'little'}.tif"
    tifffile.imwrite(
        data / name,
        array,
        byteorder=order,
        imagej=True,
        resolution=(1 / 1.3, 1 / 1.3),
        metadata={"axes": "TZYX", "unit": "nm", "spacing": 1.3},
    )
    expect(name, tifffile.imread(data / name), 13.0, words[code])
array = voxels("u2", (3, 2, 4, 5))
tifffile.imwrite(data / "imagej_one_page.tif", array, byteorder=">", imagej=True, truncate=True, metadata={"axes": "TZYX"})
with tifffile.TiffFile(data / "imagej_one_page.tif") as file:
    assert len(file.pages) == 1
expect("imagej_one_page.tif", tifffile.imread(data / "imagej_one_page.tif"), 0.0, words["u2"])
# ImageJ stores signed 16-bit numbers raised by 32768, with a calibration that says so.
array = voxels("i2", (2, 3, 4))
tifffile.imwrite(
    data / "imagej_signed.tif",
    (array.astype("i4") + 32768).astype("u2"),
    imagej=True,
    metadata={"axes": "ZYX", "cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "Gray Value"},
)
expect("imagej_signed.tif", array[None], 0.0, words["u2"])
for code in ["i1", "u1", "i2", "u2", "i4", "u4", "f2", "f4", "f8"]:
    array = voxels(code, (2, 3, 4))
    name = f"plain_{code}.tif"
    tifffile.imwrite(
        data / name,
        array,
        photometric="minisblack",
        metadata=None,
        compression="zlib" if code in ["i2", "f8"] else None,
    )
    expect(name, tifffile.imread(data / name)[None], 0.0, words[code])
array = voxels("f4", (3, 2, 4, 5))
tifffile.imwrite(data / "tifffile.tif", array, photometric="minisblack")
expect("tifffile.tif", array, 0.0, words["f4"])
ome = {"axes": "TZYX", "UUID": "00000000-0000-0000-0000-000000000017"}
tifffile.imwrite(data / "big.tif", array, bigtiff=True, photometric="minisblack", metadata=ome, ome=True)
expect("big.tif", array, 0.0, words["f4"])
for order, place in [("<", "little"), (">", "big")]:
    for code, predictor in [("u1", 2), ("u2", 2), ("i4", 2), ("i8", 2), ("f2", 3), ("f4", 3), ("f8", 3)]:
        array = voxels(code, (1, 7, 5))
        name = f"predictor_{predictor}_{code}_{place}.tif"
        options = {"compression": "lzw", "predictor": predictor, "photometric": "minisblack", "metadata": None}
        tifffile.imwrite(data / name, array[0], byteorder=order, rowsperstrip=3, **options)
        assert (tifffile.imread(data / name) == array[0]).all()
        expect(name, array[None], 0.0, words[code])
array = voxels("u2", (2, 20, 18))
tifffile.imwrite(data / "tiles.tif", array, tile=(16, 16), compression="zlib", predictor=True, photometric="minisblack", metadata=None)
expect("tiles.tif", array[None], 0.0, words["u2"])
array = voxels("f4", (2, 20, 18))
tifffile.imwrite(data / "float_predictor.tif", array, compression="zlib", predictor=True, rowsperstrip=7, photometric="minisblack", metadata=None)
expect("float_predictor.tif", array[None], 0.0, words["f4"])
array = voxels("u2", (2, 9, 7))
tifffile.imwrite(data / "strips.tif", array, rowsperstrip=2, photometric="minisblack", metadata=None)
expect("strips.tif", array[None], 0.0, words["u2"])
pages = random.integers(0, 4, size=(3, 12, 10), dtype="u1")
for name, compression in [("lzw.tif", "tiff_lzw"), ("packbits.tif", "packbits"), ("deflate.tif", "tiff_adobe_deflate")]:
    images = [Image.fromarray(page) for page in pages]
    images[0].save(data / name, save_all=True, append_images=images[1:], compression=compression)
    expect(name, pages[None], 0.0, words["u1"])

# Montages: n slices of an n^3 cube along the last axis, a pixel between them.
for n, columns, rows, dtype in [(5, 3, 2, "u2"), (4, 2, 3, "u1")]:
    cube = voxels(dtype, (n, n, n))
    image = np.zeros((rows * (n + 1), columns * (n + 1)), dtype)
    for k in range(n):
        top, left = k // columns * (n + 1), k % columns * (n + 1)
        image[top : top + n, left : left + n] = cube[:, :, k]
    name = f"montage_{n}.png"
    Image.fromarray(image).save(data / name)
    assert (np.asarray(Image.open(data / name)) == image).all()
    expect(name, cube.transpose(2, 0, 1)[None], 0.0, words[dtype])

# Random MRC headers as mrcfile understands them: [header in hex, without the labels' zeros; number, shape, voxel sizes].
headers = []
while len(headers) < 100:
    order = random.choice(["<", ">"])
    header = np.zeros((), mrcfile.dtypes.HEADER_DTYPE.newbyteorder(order)).view(np.recarray)
    nx, ny, nz = (int(2 ** random.uniform(0, 10)) for _ in range(3))
    kind = random.choice(["volume", "volumes", "images"])
    depth = int(random.integers(1, 9)) if kind == "volumes" else nz
    header.nx, header.ny, header.nz = nx, ny, nz * depth if kind == "volumes" else nz
    header.mode = random.choice([0, 1, 2, 6, 12])
    header.mx, header.my = nx, ny
    header.mz = {"volume": nz, "volumes": depth, "images": 1}[kind]
    header.ispg = {"volume": random.choice([1, 19]), "volumes": 401, "images": 0}[kind]
    header.cella.x, header.cella.y, header.cella.z = random.uniform(0, 1000, size=3) * random.choice([0, 1])
    header.cellb.alpha = header.cellb.beta = header.cellb.gamma = 90
    header.mapc, header.mapr, header.maps = 1, 2, 3
    header.nsymbt = int(random.choice([0, 0, 80, 1024, 131072]))
    header.nversion = 20140
    header.map = b"MAP "
    header.machst = [0x44, 0x44, 0, 0] if order == "<" else [0x11, 0x11, 0, 0]
    header.nlabl = 0
    raw = header.tobytes()
    assert len(raw) == 1024
    # mrcfile's own reader of headers.
    mrc = mrcfile.mrcinterpreter.MrcInterpreter()
    mrc._iostream = io.BytesIO(raw)
    mrc._read_header()
    size = mrc.voxel_size
    shape = mrcfile.utils.data_shape_from_header(mrc.header)
    if kind == "images":
        shape = ([1] + list(shape)) if len(shape) == 2 else list(shape)
        n, shape = shape[0], [1] + shape[1:]
    elif kind == "volumes":
        n, shape = shape[0], list(shape[1:])
    else:
        n, shape = 1, list(shape)
    headers.append(
        {
            "header": raw.rstrip(b"\0").hex(),
            "n": int(n),
            "shape": [int(extent) for extent in shape],
            "dtype": words[mrcfile.utils.data_dtype_from_header(mrc.header).newbyteorder("=").str[1:]],
            "voxel_sizes": [float(size.z), float(size.y), float(size.x)],
            "data_start": 1024 + int(mrc.header.nsymbt),
        }
    )

# What mrcfile writes of one volume and of a stack: our writer must write the same, labels and their number apart.
written = {}
for name, array in [("volume", voxels("<f4", (2, 3, 4))), ("stack", voxels("<f4", (3, 2, 3, 4)))]:
    file = io.BytesIO()
    with mrcfile.new(data / "written.mrc", overwrite=True) as mrc:
        mrc.set_data(array)
        mrc.voxel_size = 6.5
        mrc.header.label[0] = b"a label without a date"
    raw = (data / "written.mrc").read_bytes()
    (data / "written.mrc").unlink()
    written[name] = {"shape": list(array.shape), "voxels": numbers(array), "file": raw.hex()}

text = json.dumps({"files": expected, "headers": headers, "written": written, "integers": {
    key: [int(value) for value in array] for key, array in integers.items()
}, "medmnist_labels": {key: [int(v) for v in array.ravel()] for key, array in medmnist.items() if "labels" in key}})
(here / "volumes.json").write_text(text.replace('}, "', '},\n"').replace("}, {", "},\n{") + "\n")
total = sum(file.stat().st_size for file in [*data.iterdir(), here / "volumes.json"])
print(f"{len(expected)} cases, {total / 1000:.0f} kB")
