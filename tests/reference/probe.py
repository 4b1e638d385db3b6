"""Writes probe.json: L2-regularised multinomial logistic regression by scikit-learn, on standardised features.

Run: pip install numpy scikit-learn; python probe.py (made with scikit-learn 1.9.1)
"""

import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression

STRENGTHS = [1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4]
rng = np.random.default_rng(3)


def standardise(x):
    mean, deviation = x.mean(0), x.std(0)
    return mean, np.maximum(deviation, 0.01 * deviation.mean())


def regression(z, y, penalty):
    # scikit-learn fits one weight vector for two classes: w = w1 - w0 with w0 = -w1, so half the penalty.
    two = len(set(y)) == 2
    c = (2 if two else 1) / penalty
    model = LogisticRegression(C=c, solver="newton-cg", tol=1e-12, max_iter=10000).fit(z, y)
    if not two:
        return model, model.coef_, model.intercept_
    return model, np.concatenate([-model.coef_, model.coef_]) / 2, np.r_[-model.intercept_, model.intercept_] / 2


def case(name, x, y, strength):
    x = np.round(x, 3)
    mean, deviation = standardise(x)
    z = (x - mean) / deviation
    penalty = strength * x.shape[1]
    model, w, b = regression(z, y, penalty)
    weight = w / deviation
    return {
        "name": name,
        "n_features": x.shape[1],
        "n_classes": len(set(y)),
        "features": x.ravel().tolist(),
        "classes": y.tolist(),
        "penalty": penalty,
        "weight": weight.ravel().tolist(),
        "bias": (b - weight @ mean).tolist(),
        "probabilities": model.predict_proba(z).ravel().tolist(),
    }


def blobs(counts, n_features, separation):
    y = np.repeat(np.arange(len(counts)), counts)
    centres = rng.normal(size=(len(counts), n_features)) * separation
    return rng.normal(size=(len(y), n_features)) + centres[y], y


def cross_validation():
    x, y = blobs([12, 9, 15], 4, 0.8)
    x = np.round(x, 3)
    mean, deviation = standardise(x)
    z = (x - mean) / deviation
    folds = np.arange(len(y)) % 4
    correct, loss = [], []
    for strength in STRENGTHS:
        n, total = 0, 0.0
        for fold in range(4):
            inside = folds == fold
            model, _, _ = regression(z[~inside], y[~inside], strength * 4)
            p = model.predict_proba(z[inside])
            n += int((p.argmax(1) == y[inside]).sum())
            total -= float(np.log(p[np.arange(len(p)), y[inside]]).sum())
        correct.append(n)
        loss.append(total)
    best = min(range(len(STRENGTHS)), key=lambda i: (-correct[i], loss[i], i))
    print("cross-validation:", correct, np.round(loss, 3), "best", STRENGTHS[best])
    return {
        "n_features": 4,
        "n_classes": 3,
        "features": x.ravel().tolist(),
        "classes": y.tolist(),
        "folds": folds.tolist(),
        "strength": STRENGTHS[best],
        "accuracy": correct[best] / len(y),
    }


tiny = rng.normal(size=(4, 5)), np.array([0, 1, 2, 1])
x, y = blobs([20, 20, 20], 6, 0.7)
scaled = x * 10.0 ** np.arange(-3, 3) + 100 * np.arange(6), y
constant = np.concatenate([x, np.full((60, 1), 7.0)], 1), y
cases = [
    case("overlapping", x, y, 0.1),
    case("tiny", *tiny, 1e-2),
    case("separable, weak penalty", *blobs([8, 8, 8], 5, 6.0), 1e-4),
    case("separable, strong penalty", *blobs([8, 8, 8], 5, 6.0), 1e2),
    case("imbalanced", *blobs([50, 6, 2], 4, 0.7), 1e-2),
    case("more features than rows", *blobs([4, 5, 3], 30, 0.3), 1e-2),
    case("two classes", *blobs([15, 10], 4, 0.5), 1e-2),
    case("features of unequal size", np.round(scaled[0], 3), scaled[1], 1e-2),
    case("a constant feature", *constant, 1e-2),
]
text = json.dumps({"cases": cases, "cross_validation": cross_validation()}, separators=(",", ":"))
pathlib.Path(__file__).with_suffix(".json").write_text(text.replace("},{", "},\n{") + "\n")
