"""Finding plugins as a program, for tests/discovery.rs: search-path 0|1, find PLACE..., judge MANIFEST..."""

import os
import sys
from pathlib import Path

import cinetomo

command, *arguments = sys.argv[1:]
if command == "search-path":
    for place in cinetomo._search_path(os.environ, arguments[0] == "1"):
        print(place)
elif command == "find":
    try:
        found = cinetomo._find_in(map(Path, arguments))
        print(f"found\t{found.manifest.path}\nlibrary\t{found.manifest.library}")
        for manifest in found.shadowed:
            print(f"shadowed\t{manifest.path}")
        for path, reason in found.passed_over:
            print(f"passed_over\t{path}\t{reason}")
    except cinetomo.Error as error:
        print("error\t" + str(error).replace("\n", "\x1e"))
else:
    for path in arguments:
        try:
            cinetomo._read_manifest(Path(path))
            print()
        except (OSError, ValueError, cinetomo._Unusable) as reason:
            print(reason)
