#!/usr/bin/env python3
"""Prints the licences of what is linked into the library and the command: name, version, licence and text of every crate.

For `make dist`, whose archive must carry them. Asks cargo, offline; the texts lie in its registry's sources.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOTS = ("cinetomo", "cinetomo-cli")
TEXT = re.compile(r"(licen[cs]e|copying|notice|unlicense|copyright)", re.IGNORECASE)


def main() -> None:
    metadata, packages = read()
    print("# What is linked into cinetomo\n")
    print("libcinetomo.so and the command `cinetomo` contain code of these packages, under the licences that they come with.\n")
    texts: dict[str, list[str]] = {}
    for package in linked(metadata, packages):
        name = f"{package['name']} {package['version']}"
        print(f"- {name}: {package['license'] or 'see its licence file'}; {package['repository'] or ''}")
        folder = Path(package["manifest_path"]).parent
        files = [file for file in sorted(folder.iterdir()) if file.is_file() and TEXT.match(file.name)]
        if not files and not package["license"]:
            sys.exit(f"notices: {name} states no licence and has no licence file")
        for file in files:
            texts.setdefault(file.read_text(errors="replace").strip(), []).append(f"{name}, {file.name}")
    for text, owners in texts.items():
        print(f"\n## {'; '.join(owners)}\n")
        print(re.sub(r"^", "    ", text, flags=re.MULTILINE))


def read() -> tuple[dict, dict]:
    """What cargo knows of the locked dependencies on this platform, and its packages by their ids."""
    rustc = subprocess.run([os.environ.get("RUSTC", "rustc"), "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout
    host = re.search(r"^host: (.*)$", rustc, re.MULTILINE)[1]
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version", "1", "--offline", "--locked"]
    command += ["--filter-platform", host]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return metadata, {package["id"]: package for package in metadata["packages"]}


def linked(metadata: dict, packages: dict) -> list:
    """The packages of others that are linked, by name: normal dependencies of ours, and theirs. Macros run in the compiler."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [key for key, package in packages.items() if package["name"] in ROOTS]
    found = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
            is_normal = not is_macro and any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_normal and dependency["pkg"] not in found:
                found.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    others = (packages[key] for key in found if packages[key]["source"])
    return sorted(others, key=lambda package: (package["name"], package["version"]))


if __name__ == "__main__":
    main()
