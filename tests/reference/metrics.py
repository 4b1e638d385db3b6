"""Writes metrics.json: accuracy, confusion and macro one-vs-rest AUC by scikit-learn.

Run: pip install numpy scikit-learn; python metrics.py (made with scikit-learn 1.9.1)
"""

import json
import pathlib

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score


def case(name, scores, labels, n_classes):
    scores = np.asarray(scores, np.float32)
    labels = np.asarray(labels)
    counted = labels >= 0
    s, y = scores[counted].astype(np.float64), labels[counted]
    predicted = s.argmax(1)
    classes = [1] if n_classes == 2 else range(n_classes)
    areas = [
        roc_auc_score(y == c, s[:, c]) for c in classes if 0 < (y == c).sum() < len(y)
    ]
    area = float(np.mean(areas)) if areas else None
    if n_classes > 2 and len(set(y)) == n_classes:
        # The definition above is scikit-learn's own multi-class AUC.
        p = np.exp(s) / np.exp(s).sum(1, keepdims=True)
        own = roc_auc_score(y, p, multi_class="ovr", average="macro")
        q = [roc_auc_score(y == c, p[:, c]) for c in classes]
        assert abs(own - np.mean(q)) < 1e-12
    return {
        "name": name,
        "n_classes": n_classes,
        "scores": [float(str(v)) for v in scores.ravel()],
        "labels": labels.tolist(),
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_auc": area,
        "confusion": confusion_matrix(y, predicted, labels=range(n_classes)).ravel().tolist(),
    }


rng = np.random.default_rng(7)
labels = rng.integers(0, 4, 40)
scores = rng.normal(size=(40, 4)) + np.eye(4)[labels]
ignored = np.where(rng.random(40) < 0.3, -1, labels)
binary = rng.integers(0, 2, 30)
signal = rng.normal(size=30) + binary
two = np.stack([-signal, signal], 1)
cases = [
    case("four classes", np.round(scores, 4), labels, 4),
    case("ties", np.round(scores), labels, 4),
    case("all scores equal", np.zeros((12, 3)), np.arange(12) % 3, 3),
    case("some labels -1", np.round(scores, 4), ignored, 4),
    case("two classes without examples", np.round(scores, 1), labels // 2 * 2, 4),
    case("one class only", np.round(scores[:9], 2), [2] * 9, 4),
    case("binary", np.round(two, 1), binary, 2),
    case("binary, columns unrelated", np.round(rng.normal(size=(30, 2)), 1), binary, 2),
    case("signed zeros", [[1, -0.0], [1, 0.0], [1, -0.0], [0.0, 1]], [0, 1, 1, 0], 2),
]
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(cases, indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n")
