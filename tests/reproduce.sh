#!/bin/sh
# Builds the library from two copies of the sources, in folders of different names, installs both, and compares byte by byte.
# Dependencies are compiled once for both; the first time takes as long as `make build`.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
target="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/reproduce"
LIBTORCH="$(readlink -f "${LIBTORCH:-.libtorch}")"
export LIBTORCH CARGO_TARGET_DIR="$target"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
for copy in one/first two/deeper/in/the/second; do
    folder="$scratch/$copy"
    mkdir -p "$folder"
    git ls-files -z | xargs -0 cp --parents -P -t "$folder"
    (cd "$folder" && cargo build --quiet --release -p cinetomo && src/setup/install.sh /installed "$folder" >/dev/null 2>&1)
    sum="$(cd "$folder/installed/lib" && sha256sum libcinetomo.so | cut -d' ' -f1)"
    echo "$sum $copy"
    if [ "${first:-$sum}" != "$sum" ]; then
        nm -D --defined-only "$folder/installed/lib/libcinetomo.so" | cut -d' ' -f3 | sort >"$scratch/symbols.second"
        nm -D --defined-only "$scratch/one/first/installed/lib/libcinetomo.so" | cut -d' ' -f3 | sort >"$scratch/symbols.first"
        cmp -s "$scratch/symbols.first" "$scratch/symbols.second" && echo "the exported symbols are the same" >&2
        echo "reproduce: the two builds differ" >&2
        exit 1
    fi
    first=$sum
done
echo "reproduce: the two builds are the same"
