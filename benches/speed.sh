#!/bin/sh
# Classification and fine-tuning beside other libraries: benches/speed.sh TARGET [options of benches/speed.rs]. Prints what goes into the record. Runs under
# .cargo/with-libtorch, after `setup.py --tests` and a build.
set -e
target=$1
shift
peers=$target/peers
if ! cmp -s benches/requirements.txt "$peers/installed"; then
    "$CINETOMO_PYTHON" -m venv "$peers"
    # PyTorch is there already: this environment sees the packages of the tests' one.
    "$CINETOMO_PYTHON" -c 'import torch, pathlib; print(pathlib.Path(torch.__file__).parent.parent)' \
        >"$("$peers/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/reference.pth"
    "$peers/bin/pip" install -q -r benches/requirements.txt
    cp benches/requirements.txt "$peers/installed"
fi
exec "$target/release/speed" --library "$target/release/libcinetomo.so" --python "$peers/bin/python" "$@"
