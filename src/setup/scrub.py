#!/usr/bin/env python3
"""Usage: scrub.py FILE...
Takes the folders of the machine that compiled a binary out of it: those of cargo, of libtorch, of the project and of the home.

Compilers leave them in the texts of assertions. Each is replaced by a word and slashes of the same length, so that
`/home/anna/.cargo/registry/src/serde/de.rs` reads `/cargo///////////////////////////serde/de.rs`: nothing moves, the name of the
file stays, and two people's builds differ less.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def folders() -> list[tuple[str, str]]:
    """Folders and the words for them, the longest first, as one may lie in another."""
    home = Path.home()
    cargo = Path(os.environ.get("CARGO_HOME", home / ".cargo"))
    torch = Path(os.environ.get("LIBTORCH", ROOT / ".libtorch"))
    found = {str(path): "/cargo" for path in (cargo / "registry/src").glob("*")}
    found |= {str(cargo): "/cargo", str(torch): "/torch", str(torch.resolve()): "/torch", str(ROOT): "/cinetomo"}
    found[str(Path(os.environ.get("CINETOMO_CACHE", home / ".cache/cinetomo")))] = "/torch"
    if len(str(home)) > len("/root"):
        found[str(home)] = "/home"
    return sorted(found.items(), key=lambda item: -len(item[0]))


def main() -> None:
    replacements = []
    for folder, word in folders():
        old = folder.encode() + b"/"
        replacements.append((old, word.encode()[: len(old)].ljust(len(old), b"/")))
    for name in sys.argv[1:]:
        path = Path(name)
        data = before = path.read_bytes()
        for old, new in replacements:
            data = data.replace(old, new)
        if data != before:
            path.write_bytes(data)


if __name__ == "__main__":
    main()
