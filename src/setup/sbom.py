#!/usr/bin/env python3
"""Prints what is in a release as CycloneDX 1.5: every crate that is linked, with version, licence and checksum, and libtorch.

For `make dist`. Asks cargo, offline. The same sources give the same text: there is no date and no random number in it.
"""

import json
import re
from pathlib import Path

from notices import ROOTS, linked, read

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    metadata, packages = read()
    others = linked(metadata, packages)
    ours = [package for package in packages.values() if package["source"] is None]
    product = next(package for package in ours if package["name"] == ROOTS[0])
    checksums = locked()
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(product, None)},
        "components": [component(package, checksums[package["name"], package["version"]]) for package in others],
        "dependencies": dependencies(metadata, packages, {package["id"] for package in others}),
    }
    document["components"].append(libtorch())
    print(json.dumps(document, indent=1, ensure_ascii=False))


def reference(package: dict) -> str:
    """A package URL, https://github.com/package-url/purl-spec."""
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, checksum: str | None) -> dict:
    found = {"type": "library", "bom-ref": reference(package), "name": package["name"], "version": package["version"]}
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    # Old crates write a slash for OR.
    found["licenses"] = [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}]
    found["purl"] = reference(package)
    return found


def dependencies(metadata: dict, packages: dict, others: set[str]) -> list:
    """Who needs whom. Our crates are one: the product."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}

    def needs(key: str, seen: set[str]) -> set[str]:
        found = set()
        for needed in (entry["pkg"] for entry in nodes[key]["deps"]):
            if needed in others:
                found.add(reference(packages[needed]))
            elif packages[needed]["source"] is None and needed not in seen:
                found |= needs(needed, seen | {needed})
        return found

    roots = [key for key, package in packages.items() if package["name"] in ROOTS]
    product = next(reference(packages[key]) for key in roots if packages[key]["name"] == ROOTS[0])
    edges = {product: set().union(*(needs(key, {key}) for key in roots))}
    edges |= {reference(packages[key]): needs(key, set()) for key in sorted(others)}
    return [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in edges.items()]


def locked() -> dict[tuple[str, str], str]:
    """SHA-256 of each package that Cargo.lock names."""
    blocks = (ROOT / "Cargo.lock").read_text().split("[[package]]")[1:]
    fields = (dict(re.findall(r'^(name|version|checksum) = "(.*)"$', block, re.MULTILINE)) for block in blocks)
    return {(block["name"], block["version"]): block["checksum"] for block in fields if "checksum" in block}


def libtorch() -> dict:
    """Not in the archive, but what the library is linked against."""
    template = (ROOT / "plugin-manifest/cinetomo.json.in").read_text()
    version = re.search(r'"libtorch": "(.*)"', template)[1]
    purl = f"pkg:pypi/torch@{version}"
    licenses = [{"expression": "BSD-3-Clause"}]
    return {"type": "library", "bom-ref": purl, "name": "torch", "version": version, "licenses": licenses, "purl": purl, "scope": "required"}


if __name__ == "__main__":
    main()
