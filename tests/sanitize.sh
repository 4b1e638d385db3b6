#!/bin/sh
# Runs the hosts that call everything under AddressSanitizer and under valgrind, the tests of our readers and of the plugin under
# AddressSanitizer, and random calls from several threads under ThreadSanitizer. The first two have to find what `planted.c` does
# wrong before. After `make build`; about an hour on two cores the first time, as the plugin is compiled for each sanitizer.
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
    gcc -std=gnu11 -g -O1 -fopenmp "$@" -o "$folder/$output" "tests/hosts/$name.c" -Iinclude "-L$folder" -Wl,--as-needed \
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
LSAN_OPTIONS="suppressions=$folder/leaks:print_suppressions=0" "$folder/endure-asan" "${SANITIZE_CALLS:-100}" 5 "$folder"

echo "valgrind, C hosts"
check="valgrind --quiet --error-exitcode=9 --fair-sched=yes"
host planted planted
if $check "$folder/planted" 2>"$folder/said"; then fail "valgrind does not find what is planted"; fi
grep -q "Invalid write" "$folder/said" || fail "valgrind failed with something else: $(cat "$folder/said")"
host endure endure -DSLACK_FACTOR=100
$check --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite --suppressions=tests/hosts/valgrind.supp \
    "$folder/endure" 10 1 "$folder"

host="$(rustc -vV | sed -n 's/^host: //p')"
if [ "${SANITIZE_RUST:-1}" = 1 ]; then
    echo "AddressSanitizer, our readers and the plugin"
    export RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR="$target/sanitize"
    cargo +nightly test --release --target "$host" -p cinetomo-abi -p cinetomo-formats -p cinetomo-checkpoints --lib --tests
    # libtorch has no instruments, and keeps what it made; limits of memory and the sanitizer exclude each other.
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 cargo +nightly test --release --target "$host" -p cinetomo --lib -- \
        --test-threads 1 --skip out_of_memory
    for crate in cinetomo cinetomo_formats cinetomo_checkpoints; do
        nm "$CARGO_TARGET_DIR/$host/release/deps/$crate"-*[0-9a-f] | grep -q __asan_report || fail "AddressSanitizer is not in $crate"
    done
fi
if [ "${SANITIZE_THREADS:-1}" = 1 ]; then
    # Not valgrind's helgrind: it knows the locks of pthreads, and those of Rust are futexes.
    echo "ThreadSanitizer, random calls from three threads"
    export RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR="$target/threads"
    cargo +nightly rustc -Zbuild-std --release --target "$host" -p cinetomo-tests --test calls -- -Clink-arg=-Wl,--export-dynamic
    deps="$CARGO_TARGET_DIR/$host/release/deps"
    nm -D "$deps/libcinetomo.so" | grep -q __tsan_write8 || fail "ThreadSanitizer is not in the library"
    calls="$(ls -t "$deps"/calls-*[0-9a-f] | head -1)"
    for seed in ${SANITIZE_SEEDS:-3 6 9 12 15}; do
        TSAN_OPTIONS="suppressions=$(pwd)/tests/hosts/tsan.supp:exitcode=66" \
            CINETOMO_CALLS_MEMORY=unlimited CINETOMO_CALLS_SEED="$seed" "$calls" random_calls
    done
fi
echo "sanitize: nothing was found"
