"""Time and memory of classification for more and more boxes, and what more threads, models and processes bring.

    python3 benches/scale.py --command build/bin/cinetomo --plugin build/lib/libcinetomo.so --directory /tmp/boxes [--largest 100000]

Boxes of 8^3 voxels are random; the network, resnet3d_10 from random numbers with one view, is the fastest there is. Peak memory is that of whole runs, as
Linux counts it. Shards are processes of one thread each, at the same time; they must write what one process writes.
"""

import argparse
import os
import random
import subprocess
import time
from array import array
from pathlib import Path

from boxes_memory import EDGE, run, write_mrc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", required=True, type=os.path.abspath)
    parser.add_argument("--plugin", required=True, type=os.path.abspath)
    parser.add_argument("--directory", required=True, type=Path, help="where files are made; 0.3 GB")
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=2)
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.directory)
    command = [arguments.command, "--plugin", arguments.plugin]
    run(command, "init --random --backbone resnet3d_10 --views 1 --classes a b c -o m.safetensors --force")
    random.seed(0)
    block = array("f", (random.gauss(0, 1) for _ in range(1000 * EDGE**3))).tobytes()
    classify = "classify -m m.safetensors --device cpu --contrast dark --force --quiet -i stack.mrcs"
    print("| boxes | threads | seconds | ms a box | peak memory (MiB) |\n|---|---|---|---|---|", flush=True)
    n = 100
    while n <= arguments.largest:
        write_mrc("stack.mrcs", [n * EDGE, EDGE, EDGE], block, space_group=401)
        seconds, peak = run(command, f"{classify} -j {arguments.shards} -o whole.csv")
        print(f"| {n:,} | {arguments.shards} | {seconds:.1f} | {1000 * seconds / n:.2f} | {peak:.0f} |", flush=True)
        n *= 10
    n = min(10_000, arguments.largest)
    write_mrc("stack.mrcs", [n * EDGE, EDGE, EDGE], block, space_group=401)
    print(f"\n| {n:,} boxes by | seconds | times one thread |\n|---|---|---|")
    one, _ = run(command, f"{classify} -j 1 -o whole.csv")
    threads, _ = run(command, f"{classify} -j {arguments.shards} -o threads.csv")
    shards = divided(command, classify, arguments.shards)
    for what, seconds in [("one thread", one), (f"{arguments.shards} threads", threads), (f"{arguments.shards} shards of one thread", shards)]:
        print(f"| {what} | {seconds:.1f} | {one / seconds:.2f} |")


def divided(command: list, classify: str, n: int) -> float:
    """Seconds of a run by shards, joined and compared."""
    begin = time.monotonic()
    outputs = [f"part.{k}.csv" for k in range(1, n + 1)]
    runs = [f"{classify} -j 1 --shard {k}/{n} -o {name}".split() for k, name in enumerate(outputs, 1)]
    for process in [subprocess.Popen([*command, *arguments]) for arguments in runs]:
        if process.wait() != 0:
            raise SystemExit("a shard failed")
    seconds = time.monotonic() - begin
    joined = "".join(Path(name).read_text() if k == 0 else Path(name).read_text().split("\n", 1)[1] for k, name in enumerate(outputs))
    if joined != Path("whole.csv").read_text():
        raise SystemExit("the shards are not the whole")
    return seconds


if __name__ == "__main__":
    main()
