#!/bin/sh
# What loading and calling cost: benches/overheads.sh TARGET [options of benches/overheads.rs]. Runs under .cargo/with-libtorch, after a build.
set -e
target=$1
shift
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
"$CINETOMO_PYTHON" benches/overheads.py "$directory/r3d34.pth"
"$target/release/overheads" --library "$target/release/libcinetomo.so" --checkpoint "$directory/r3d34.pth" "$@"
