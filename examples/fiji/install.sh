#!/bin/sh
# Usage: [CINETOMO_JNI=libcinetomo_jni.so] install.sh BUILD FIJI
# Puts what `mvn package` left in BUILD, and the native library, into the folder of an ImageJ or Fiji: the commands into
# plugins, the Java API into jars, the library into lib/<platform>, as Fiji's updater names it. What an earlier release left
# there goes. The plugin itself (libcinetomo.so) is found through its manifest: `make install`.
set -eu
if [ $# -ne 2 ]; then
    echo "usage: install.sh BUILD FIJI" >&2
    exit 2
fi
build=$1
fiji=$2
library="${CINETOMO_JNI:-${CARGO_TARGET_DIR:-$(dirname "$0")/../../target}/release/libcinetomo_jni.so}"
if [ ! -d "$fiji/plugins" ]; then
    echo "install: $fiji has no folder plugins: it is no ImageJ or Fiji" >&2
    exit 1
fi
case $(uname -m) in
aarch64) platform=linux-arm64 ;;
*) platform=linux64 ;;
esac

mkdir -p "$fiji/jars" "$fiji/lib/$platform"
rm -f "$fiji"/plugins/Cinetomo_-*.jar "$fiji"/jars/cinetomo-[0-9]*.jar
install -m 644 "$build"/Cinetomo_/Cinetomo_-*.jar "$fiji/plugins"
install -m 644 "$build"/cinetomo/cinetomo-[0-9]*.jar "$fiji/jars"
# A library that is in use stays whole for those who use it: the new one gets its name when it is complete.
install -m 755 "$library" "$fiji/lib/$platform/libcinetomo_jni.so.new"
strip --strip-debug "$fiji/lib/$platform/libcinetomo_jni.so.new"
mv "$fiji/lib/$platform/libcinetomo_jni.so.new" "$fiji/lib/$platform/libcinetomo_jni.so"
echo "installed cinetomo's commands in $fiji"
