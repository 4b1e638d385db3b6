"""How much memory `cinetomo` takes for more and more boxes: peak resident memory of whole runs, as Linux counts it.

    python3 benches/boxes_memory.py --command build/bin/cinetomo --directory /tmp/boxes [--largest 100000]

Boxes of 8^3 voxels are random; the network, resnet3d_10 from random numbers with one view, is the fastest there is. A
stack is one file; a list names boxes of a stack; a tomogram is cut up where a list says. Lists of ten times as many rows
go through what needs no network: reading, extraction of boxes of 4^3, comparison of results.
"""

import argparse
import array
import os
import random
import struct
import subprocess
import time
from pathlib import Path

EDGE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", required=True, type=os.path.abspath, help="the command, with its library where it finds it, or --plugin")
    parser.add_argument("--plugin", type=os.path.abspath, help="the library")
    parser.add_argument("--directory", required=True, type=Path, help="where files are made; 2 GB")
    parser.add_argument("--largest", type=int, default=100_000)
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.directory)
    command = [arguments.command, *(["--plugin", arguments.plugin] if arguments.plugin else [])]
    run(command, "init --random --backbone resnet3d_10 --views 1 --classes a b c -o m.safetensors --force")
    random.seed(0)
    block = array.array("f", (random.gauss(0, 1) for _ in range(1000 * EDGE**3))).tobytes()
    write_mrc("tomogram.mrc", [128, 128, 128], block, space_group=1)
    print("| what | boxes | seconds | peak memory (MiB) |\n|---|---|---|---|", flush=True)
    n = 1000
    while n <= arguments.largest:
        write_mrc("stack.mrcs", [n * EDGE, EDGE, EDGE], block, space_group=401)
        write_list("list.star", n)
        write_positions("positions.csv", n)
        model = "-m m.safetensors -j 1 --device cpu --force --quiet"
        show(command, "classify, stack to .csv", n, f"classify {model} -i stack.mrcs -o a.csv")
        show(command, "classify, list to .star and .csv", n, f"classify {model} -i list.star -o b.star b.csv")
        positions = f"-i tomogram.mrc --contrast dark --particles positions.csv --box-size {EDGE}"
        show(command, "tomogram, positions to .star and .csv", n, f"tomogram {model} {positions} -o t.star t.csv")
        n *= 10
    write_list("list.star", n)
    write_positions("positions.csv", n)
    write_scores(n)
    show(command, "info, a list", n, "info list.star")
    extract = "extract -i tomogram.mrc --particles positions.csv --box-size 4 --resampling nearest"
    show(command, "extract to .mrcs and .star", n, f"{extract} -o boxes.mrcs --force --quiet -j 1")
    show(command, "evaluate, two .csv", n, "evaluate --scores scores.csv --labels labels.csv")


def show(command: list, what: str, n: int, arguments: str) -> None:
    seconds, peak = run(command, arguments)
    print(f"| {what} | {n:,} | {seconds:.0f} | {peak:.0f} |", flush=True)


def run(command: list, arguments: str) -> tuple:
    begin = time.monotonic()
    process = subprocess.Popen([*command, *arguments.split()], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {arguments}")
    return time.monotonic() - begin, usage.ru_maxrss / 1024


def write_mrc(path: str, shape: list, block: bytes, space_group: int) -> None:
    nz, ny, nx = shape
    mz = nx if space_group == 401 else nz
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, nx, ny, nz, 2, 0, 0, 0, nx, ny, mz)
    struct.pack_into("<6f", header, 40, 10 * nx, 10 * ny, 10 * mz, 90, 90, 90)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    struct.pack_into("<i", header, 88, space_group)
    header[208:216] = b"MAP \x44\x44\0\0"
    with open(path, "wb") as file:
        file.write(header)
        left = 4 * nz * ny * nx
        while left > 0:
            left -= file.write(block[:left])


def write_list(path: str, n: int) -> None:
    """Names the first 1000 boxes again and again."""
    with open(path, "w") as file:
        file.write("\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n1 10.0\n\ndata_particles\n\nloop_\n")
        for number, label in enumerate(["MicrographName", "ImageName", "CoordinateX", "OpticsGroup", "ClassNumber"], 1):
            file.write(f"_rln{label} #{number}\n")
        for index in range(n):
            file.write(f"TS_{index % 50:02}.mrc {index % 1000 + 1:06}@stack.mrcs {index % 900:12.6f} 1 1\n")


def write_positions(path: str, n: int) -> None:
    with open(path, "w") as file:
        file.write("z,y,x\n")
        file.writelines(f"{8 + i % 110},{8 + i // 110 % 110},{8 + i // 12100 % 110}\n" for i in range(n))


def write_scores(n: int) -> None:
    with open("scores.csv", "w") as scores, open("labels.csv", "w") as labels:
        scores.write("path,label,probability,probability_a,probability_b,probability_c\n")
        labels.write("path,label\n")
        for index in range(n):
            scores.write(f"{index + 1:06}@stack.mrcs,a,0.5,0.5,0.25,0.25\n")
            labels.write(f"{index + 1:06}@stack.mrcs,{'abc'[index % 3]}\n")


if __name__ == "__main__":
    main()
