"""Writes confidence.json: temperatures by scipy, shrunk covariances and distances by scikit-learn.

Run: pip install numpy scipy scikit-learn; python confidence.py (made with scipy 1.17.1, scikit-learn 1.9.1)
"""

import json
import pathlib

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.covariance import LedoitWolf

rng = np.random.default_rng(11)


def single(values):
    """The numbers as the library gets them."""
    return np.asarray(values, np.float32).astype(np.float64)


def digits(values):
    return [float(str(np.float32(v))) for v in values.ravel()]


def temperature(name, logits, classes):
    logits = single(logits)
    rows = np.arange(len(classes))

    def loss(t):
        return -log_softmax(logits / t, axis=1)[rows, classes].mean()

    def slope(s):
        return ((softmax(s * logits, axis=1) * logits).sum(1) - logits[rows, classes]).mean()

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}).x
    exact = 1 / brentq(slope, 0.05, 20, xtol=1e-15, rtol=1e-14)
    assert abs(best / exact - 1) < 1e-4, (name, best, exact)
    # Second derivative of the summed loss by the temperature, by differences.
    h = 1e-4 * exact
    curvature = len(classes) * (loss(exact + h) - 2 * loss(exact) + loss(exact - h)) / h**2
    print(f"{name}: temperature {exact:.4f}, standard error {curvature**-0.5:.4f}")
    return {
        "name": name,
        "n_classes": logits.shape[1],
        "logits": digits(logits),
        "classes": [int(c) for c in classes],
        "temperature": exact,
        "standard_error": curvature**-0.5,
    }


def network(n, n_classes, scale, offset=0.0):
    classes = rng.integers(0, n_classes, n)
    return scale * (rng.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[classes]) + offset, classes


def distance(name, embeddings, classes, queries):
    embeddings, queries = single(embeddings), single(queries)
    classes = np.asarray(classes)
    means = {c: embeddings[classes == c].mean(0) for c in np.unique(classes)}
    residuals = embeddings - np.stack([means[c] for c in classes])
    estimator = LedoitWolf(assume_centered=True).fit(residuals)
    squares = []
    for mean in means.values():
        estimator.location_ = mean
        squares.append(estimator.mahalanobis(queries))
    print(f"{name}: shrinkage {estimator.shrinkage_:.4f}")
    return {
        "name": name,
        "n_features": embeddings.shape[1],
        "embeddings": digits(embeddings),
        "classes": classes.tolist(),
        "shrinkage": float(estimator.shrinkage_),
        "queries": digits(queries),
        "distances": np.sqrt(np.min(squares, axis=0)).tolist(),
    }


def blobs(counts, n_features, offset=0.0):
    classes = np.repeat(np.arange(len(counts)), counts)
    centres = 2 * rng.normal(size=(len(counts), n_features)) + offset
    scales = np.exp(rng.normal(size=n_features))
    return scales * rng.normal(size=(len(classes), n_features)) + centres[classes], classes


def around(embeddings, n):
    return embeddings[:n] + rng.normal(size=(n, embeddings.shape[1]))


logits, of_logits = network(50, 7, 2.5)
many, of_many = blobs([40, 30, 30], 5)
few, of_few = blobs([4, 3, 5], 20)
far, of_far = blobs([10, 10], 6, offset=300.0)
gaps = np.array([0, 2, 5])[of_few]
reference = {
    "temperatures": [
        temperature("too sure", *network(60, 5, 3.0)),
        temperature("not sure enough", *network(60, 5, 0.4)),
        temperature("two classes", *network(40, 2, 2.0)),
        temperature("far from 0", *network(30, 3, 2.0, offset=-80.0)),
        temperature("ten subtomograms", *network(10, 4, 4.0)),
        temperature("logarithms of probabilities", log_softmax(logits, axis=1), of_logits),
    ],
    "distances": [
        distance("more rows than features", many, of_many, around(many, 6)),
        distance("more features than rows", few, of_few, around(few, 6)),
        distance("classes without examples", few, gaps, around(few, 4)),
        distance("means far from 0", far, of_far, around(far, 5)),
        distance("some classes of one example", few[:6], [0, 0, 0, 1, 2, 3], around(few, 3)),
    ],
}
text = json.dumps(reference, separators=(",", ":")).replace("},{", "},\n{")
pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")
