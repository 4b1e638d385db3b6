"""A flax-like tree of small arrays, pickled by one version of numpy with each protocol, and what must be read.

    pip install numpy==1.26.4 && python numpy_pickles.py    writes numpy_pickles_1.json
    pip install numpy==2.4.6 && python numpy_pickles.py     writes numpy_pickles_2.json
"""

import json
import pathlib
import pickle

import numpy as np

kernel = np.arange(24).reshape(2, 1, 3, 2, 2).astype("f4") - 0.5
tree = {
    "params": {
        "conv": {"kernel": kernel, "bias": np.array([1.5, -2.25], "f8")},
        "dense": {"kernel": np.asfortranarray(np.arange(6).reshape(2, 3).astype("f2"))},
        "norm": {"scale": np.array([3, -4], "i4"), "bias": np.array([2**40, -5], "i8")},
        "mixed/branch": {"kernel": np.arange(12).reshape(3, 4).astype(">f4")[::2]},
    },
    "batch_stats": {
        "norm": {
            "mean": np.arange(3, dtype="f4").reshape(1, 1, 1, 1, 3),
            "var": np.ones((1, 1), "f4"),
            "count": np.float32(7.5),
        },
    },
    "step": 12345678901,
    "note": [None, True, 0.5, (b"bytes", "\u00e9")],
}
params, stats = tree["params"], tree["batch_stats"]["norm"]
expected = {
    "conv/weight": kernel.transpose(4, 3, 0, 1, 2),
    "conv/bias": params["conv"]["bias"],
    "dense/weight": params["dense"]["kernel"].T,
    "norm/weight": params["norm"]["scale"],
    "norm/bias": params["norm"]["bias"],
    "mixed/branch/weight": params["mixed/branch"]["kernel"].T,
    "norm/running_mean": stats["mean"].reshape(3),
    "norm/running_var": stats["var"].reshape(1),
    "norm/count": stats["count"],
}
numbers = {
    "numpy": np.__version__,
    "pickles": {protocol: pickle.dumps(tree, protocol).hex() for protocol in range(2, 6)},
    "expected": {
        name: {"shape": list(array.shape), "values": np.float32(array).reshape(-1).tolist()}
        for name, array in expected.items()
    },
}
path = pathlib.Path(__file__).with_name(f"numpy_pickles_{np.__version__.split('.')[0]}.json")
path.write_text(json.dumps(numbers, separators=(",", ":")) + "\n")
