#!/bin/sh
# Verifies the library on a machine with an NVIDIA GPU, and measures it there beside PyTorch: 10 minutes after the set-up.
#
#   benches/gpu.sh [--networks resnet3d_34,i3d] [--quick]
#   benches/gpu.sh --device cpu --quick      tries the script itself where there is no GPU
set -e
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" src/setup/setup.py --tests
cargo build --release -p cinetomo
# By the environment that both libtorch and PyTorch come from: one libtorch in one process.
exec .cargo/with-libtorch sh -c 'exec "$CINETOMO_PYTHON" benches/gpu.py --library "$0" "$@"' "${CARGO_TARGET_DIR:-target}/release/libcinetomo.so" "$@"
