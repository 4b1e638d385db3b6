#!/bin/sh
# Usage: [CINETOMO_LIBRARY=libcinetomo.so] [CINETOMO_COMMAND=cinetomo] install.sh PREFIX [DESTDIR]
# Installs the compiled library, its headers, their pkg-config and CMake files, the plugin manifest, and the command
# `cinetomo` with manual pages and completions. Everything that is installed finds everything else by relative paths:
# the tree may be moved.
#
# lib/libtorch becomes a link to the libtorch that cinetomo was built with, in the cache of whoever ran `make setup`. For
# other users of the machine, set CINETOMO_CACHE to a place that all may read. Who packs cinetomo for other machines
# replaces the link by a directory lib/libtorch/lib with libtorch_cpu.so, libc10.so and libgomp.so.1 of PyTorch's package
# and libcudart.so.13 and libcupti.so.13 of NVIDIA's two (425 MB in all).
set -eu
if [ $# -lt 1 ] || [ -z "$1" ]; then
    echo "usage: install.sh PREFIX [DESTDIR]" >&2
    exit 2
fi
case $1 in
/*) ;;
*) echo "install: PREFIX must be an absolute path, got $1" >&2; exit 2 ;;
esac
root="${2:-}$1"
cd "$(dirname "$0")/../.."

# The file's name is libcinetomo.so.<ABI>.<release>, so that names sort as releases follow each other.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
abi=$(sed -n 's/^pub const CINETOMO_ABI_VERSION: u32 = \([0-9]*\);/\1/p' src/abi/lib.rs)
library="libcinetomo.so.$abi.$version"
built="${CINETOMO_LIBRARY:-${CARGO_TARGET_DIR:-target}/release/libcinetomo.so}"
if [ ! -f "$built" ]; then
    echo "install: $built is missing: run \`make build\` first" >&2
    exit 1
fi

fill() { # TEMPLATE TARGET
    sed -e "s|@VERSION@|$version|g" -e "s|@ABI@|$abi|g" -e "s|@MACHINE@|$(uname -m)|g" "$1" >"$2"
    chmod 644 "$2"
}

mkdir -p "$root/lib/pkgconfig" "$root/lib/cmake/cinetomo" "$root/include/cinetomo" "$root/share/cinetomo/plugins"
install -m 755 "$built" "$root/lib/$library"
# Most of it is debug information. Names of functions that are not exported go as well: they differ from build to build, as the
# build ID does, a sum over what is taken out and the builder's folders.
shrink() { # FILE
    strip --strip-unneeded --remove-section=.note.gnu.build-id "$1"
    "${PYTHON:-python3}" src/setup/scrub.py "$1"
}
shrink "$root/lib/$library"
ln -sfn "$library" "$root/lib/libcinetomo.so.$abi"
ln -sfn "libcinetomo.so.$abi" "$root/lib/libcinetomo.so"
ln -sfn "$(readlink -f "${LIBTORCH:-.libtorch}")" "$root/lib/libtorch"
install -m 644 include/cinetomo.h include/cinetomo.hpp "$root/include"
install -m 644 include/cinetomo/*.hpp "$root/include/cinetomo"
fill include/cinetomo.pc.in "$root/lib/pkgconfig/cinetomo.pc"
fill include/cinetomo-config.cmake.in "$root/lib/cmake/cinetomo/cinetomo-config.cmake"
fill include/cinetomo-config-version.cmake.in "$root/lib/cmake/cinetomo/cinetomo-config-version.cmake"
fill plugin-manifest/cinetomo.json.in "$root/share/cinetomo/plugins/cinetomo.json"

command="${CINETOMO_COMMAND:-${CARGO_TARGET_DIR:-target}/release/cinetomo}"
if [ -f "$command" ]; then
    bash="$root/share/bash-completion/completions" zsh="$root/share/zsh/site-functions" fish="$root/share/fish/vendor_completions.d"
    mkdir -p "$root/bin" "$root/share/man/man1" "$bash" "$zsh" "$fish"
    install -m 755 "$command" "$root/bin/cinetomo"
    install -m 755 examples/relion/cinetomo_relion "$root/bin"
    shrink "$root/bin/cinetomo"
    "$root/bin/cinetomo" man --force -o "$root/share/man/man1"
    "$root/bin/cinetomo" completions bash >"$bash/cinetomo"
    "$root/bin/cinetomo" completions zsh >"$zsh/_cinetomo"
    "$root/bin/cinetomo" completions fish >"$fish/cinetomo.fish"
else
    echo "install: $command is missing; installing without the command (\`make build\` makes it)" >&2
fi
echo "installed cinetomo $version (ABI $abi) in $root"
