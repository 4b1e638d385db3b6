#!/bin/sh
# Runs the hosts that call everything under AddressSanitizer and under valgrind, and the tests of our readers under AddressSanitizer.
# Each tool first has to find what `planted.c` does wrong. After `make build`; takes about ten minutes on two cores.
set -eu
cd "$(dirname "$0")/.."
target="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)"
library="${CINETOMO_LIBRARY:-$target/release/libcinetomo.so}"
libtorch="$(readlink -f "${LIBTORCH:-.libtorch}")/lib"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive LD_LIBRARY_PATH="$libtorch"
cp "$library" "$folder/libcinetomo.so.1"

host() { # NAME OUTPUT FLAGS...
    name=$1 output=$2
    shift 2
    gcc -std=gnu99 -g -O1 -fopenmp "$@" -o "$folder/$output" "tests/hosts/$name.c" -Iinclude "-L$folder" -Wl,--as-needed \
        -l:libcinetomo.so.1 -ldl -lpthread "-Wl,-rpath,$folder" -Wl,--allow-shlib-undefined
}

fail() {
    echo "sanitize: $*" >&2
    exit 1
}

echo "AddressSanitizer, C hosts"
host planted planted-asan -fsanitize=address
if "$folder/planted-asan" 2>"$folder/said"; then fail "AddressSanitizer is not in: it does not find what is planted"; fi
grep -q heap-buffer-overflow "$folder/said" || fail "AddressSanitizer failed with something else: $(cat "$folder/said")"
host endure endure-asan -fsanitize=address -DSLACK_FACTOR=100
# libtorch keeps what it made when it was loaded.
printf 'leak:libtorch_cpu.so\nleak:libc10.so\nleak:libgomp.so\n' >"$folder/leaks"
LSAN_OPTIONS="suppressions=$folder/leaks:print_suppressions=0" "$folder/endure-asan" 100 5 "$folder"

echo "valgrind, C hosts"
check="valgrind --quiet --error-exitcode=9 --fair-sched=yes"
host planted planted
if $check "$folder/planted" 2>"$folder/said"; then fail "valgrind does not find what is planted"; fi
grep -q "Invalid write" "$folder/said" || fail "valgrind failed with something else: $(cat "$folder/said")"
host endure endure -DSLACK_FACTOR=100
$check --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite --suppressions=tests/hosts/valgrind.supp \
    "$folder/endure" 10 1 "$folder"

if [ "${SANITIZE_RUST:-1}" = 1 ]; then
    echo "AddressSanitizer, our readers and the client"
    host="$(rustc -vV | sed -n 's/^host: //p')"
    RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR="$target/sanitize" cargo +nightly test --release --target "$host" \
        -p cinetomo-abi -p cinetomo-formats -p cinetomo-checkpoints
fi
echo "sanitize: nothing was found"
