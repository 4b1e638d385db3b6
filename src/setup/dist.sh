#!/bin/sh
# Usage: [CINETOMO_LIBRARY=...] [CINETOMO_COMMAND=...] dist.sh FOLDER
# Packs an installation for machines of the same kind: FOLDER/cinetomo-<release>-<platform>.tar.gz. Everything is in it but
# libtorch, of which README says where to put it. The same files give the same archive.
set -eu
if [ $# -ne 1 ] || [ -z "$1" ]; then
    echo "usage: dist.sh FOLDER" >&2
    exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
name="cinetomo-$version-linux-$(uname -m)"

scratch=$(mktemp -d "$folder/unfinished.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
src/setup/install.sh "/$name" "$scratch" >&2
rm "$scratch/$name/lib/libtorch"
documents="$scratch/$name/share/doc/cinetomo"
mkdir -p "$documents/plugin-manifest"
install -m 644 LICENSE-MIT LICENSE-APACHE CHANGELOG.md docs/embed.md "$documents"
"${PYTHON:-python3}" src/setup/notices.py >"$documents/LICENSES-OF-OTHERS.md"
"${PYTHON:-python3}" src/setup/sbom.py >"$documents/sbom.cdx.json"
install -m 644 plugin-manifest/README.md plugin-manifest/schema.json plugin-manifest/cases.json "$documents/plugin-manifest"
cp -R examples "$documents/examples"
find "$documents/examples" \( -name __pycache__ -o -name target -o -name build \) -prune -exec rm -rf {} +
sed -e "s|@NAME@|$name|g" -e "s|@LIBTORCH@|$(sed -n 's/.*"libtorch": "\(.*\)".*/\1/p' plugin-manifest/cinetomo.json.in)|g" \
    src/setup/README.dist.in >"$scratch/$name/README"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u+rw,go+r-w -C "$scratch" -cf - "$name" | gzip -n -9 >"$scratch/archive"
mv "$scratch/archive" "$folder/$name.tar.gz"
echo "$folder/$name.tar.gz"
