"""Writes metrics.json: accuracy, areas, curves, per-class tables and calibration by scikit-learn.

Run: pip install numpy scikit-learn; python metrics.py (made with scikit-learn 1.9.1)
"""

import json
import pathlib
import warnings

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

N_BINS = 15
rng = np.random.default_rng(7)


def number(value):
    return None if np.isnan(value) else float(value)


def curve(y, s, c):
    """Points of class c, the first threshold (infinity) left out."""
    if not 0 < (y == c).sum() < len(y):
        return []
    fpr, tpr, thresholds = roc_curve(y == c, s[:, c], drop_intermediate=False)
    assert np.isinf(thresholds[0]) and fpr[0] == tpr[0] == 0
    return np.stack([thresholds[1:], fpr[1:], tpr[1:]], 1).ravel().tolist()


def calibration(y, s, n_classes):
    """Guo et al. 2017, eq. 2 and 3, with scikit-learn's bins (closed on the right)."""
    predicted, confidence = s.argmax(1), s.max(1)
    accuracy, mean = calibration_curve(predicted == y, confidence, n_bins=N_BINS)
    counts, _ = np.histogram(-confidence, bins=-np.linspace(0, 1, N_BINS + 1)[::-1])
    counts = counts[::-1]
    filled = counts[counts > 0]
    present = list(range(n_classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one class only
        brier = brier_score_loss(y, s, labels=present, scale_by_half=False)
        loss = log_loss(y, s, labels=present)
    return {
        "ece": float((filled * np.abs(accuracy - mean)).sum() / len(y)),
        "bins": [[int(b), int(counts[b]), m, a] for b, m, a in zip(np.flatnonzero(counts), mean, accuracy)],
        "brier": float(brier),
        "log_loss": float(loss),
    }


def best_threshold(y, s):
    """The accuracy of every threshold, by trying them."""
    thresholds = np.r_[np.inf, np.unique(s[:, 1])[::-1]]
    return float(max(((s[:, 1] >= t) == (y == 1)).mean() for t in thresholds))


def case(name, scores, labels, n_classes, probabilities=False):
    scores = np.asarray(scores, np.float32)
    labels = np.asarray(labels)
    counted = labels >= 0
    s, y = scores[counted].astype(np.float64), labels[counted]
    predicted = s.argmax(1)
    every = range(n_classes)
    areas = [roc_auc_score(y == c, s[:, c]) if 0 < (y == c).sum() < len(y) else np.nan for c in every]
    chosen = areas[1:] if n_classes == 2 else areas
    area = np.nan if np.isnan(chosen).all() else np.nanmean(chosen)
    if n_classes > 2 and len(set(y)) == n_classes:
        # The definition above is scikit-learn's own multi-class AUC.
        p = np.exp(s) / np.exp(s).sum(1, keepdims=True)
        own = roc_auc_score(y, p, multi_class="ovr", average="macro")
        q = [roc_auc_score(y == c, p[:, c]) for c in every]
        assert abs(own - np.mean(q)) < 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that are predicted but have no examples
        balanced = balanced_accuracy_score(y, predicted)
        macro_f1 = f1_score(y, predicted, average="macro", zero_division=np.nan)
        precision, recall, f1, support = precision_recall_fscore_support(
            y, predicted, labels=every, zero_division=np.nan
        )
    return {
        "name": name,
        "n_classes": n_classes,
        "scores": [float(str(v)) for v in scores.ravel()],
        "labels": labels.tolist(),
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_auc": number(area),
        "confusion": confusion_matrix(y, predicted, labels=every).ravel().tolist(),
        "balanced_accuracy": float(balanced),
        "macro_f1": float(macro_f1),
        "precision": [number(v) for v in precision],
        "recall": [number(v) for v in recall],
        "f1": [number(v) for v in f1],
        "support": support.tolist(),
        "auc": [number(v) for v in areas],
        "curve_of_class_1": curve(y, s, 1),
        "best_threshold_accuracy": best_threshold(y, s) if n_classes == 2 else None,
        "calibration": calibration(y, s, n_classes) if probabilities else None,
    }


def softmax(z):
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def confident(n, n_classes, sharpness, digits):
    """Probabilities of a classifier that is right more often than not, and surer than it should be."""
    y = rng.integers(0, n_classes, n)
    p = softmax(sharpness * (rng.normal(size=(n, n_classes)) + np.eye(n_classes)[y]))
    if digits is not None:  # ties; the first takes what is missing to 1
        p = np.round(p, digits)
        p[:, 0] += 1 - p.sum(1)
        p = np.clip(p, 0, 1)
    return p, y


labels = rng.integers(0, 4, 40)
scores = rng.normal(size=(40, 4)) + np.eye(4)[labels]
ignored = np.where(rng.random(40) < 0.3, -1, labels)
binary = rng.integers(0, 2, 30)
signal = rng.normal(size=30) + binary
two = np.stack([-signal, signal], 1)
p7, y7 = confident(90, 7, 2.0, None)
p3, y3 = confident(60, 3, 1.5, 1)
p2, y2 = confident(50, 2, 1.0, 2)
cases = [
    case("four classes", np.round(scores, 4), labels, 4),
    case("ties", np.round(scores), labels, 4),
    case("all scores equal", np.zeros((12, 3)), np.arange(12) % 3, 3),
    case("some labels -1", np.round(scores, 4), ignored, 4),
    case("two classes without examples", np.round(scores, 1), labels // 2 * 2, 4),
    case("one class only", np.round(scores[:9], 2), [2] * 9, 4),
    case("binary", np.round(two, 1), binary, 2),
    case("binary, columns unrelated", np.round(rng.normal(size=(30, 2)), 1), binary, 2),
    case("signed zeros", [[1, -0.0], [1, 0.0], [1, -0.0], [0.0, 1]], [0, 1, 1, 0], 2, True),
    case("probabilities", p7, y7, 7, True),
    case("probabilities, some labels -1", p7[:40], np.where(rng.random(40) < 0.4, -1, y7[:40]), 7, True),
    case("probabilities with ties", p3, y3, 3, True),
    case("probabilities, a class without examples", p3, np.where(y3 == 1, 2, y3), 3, True),
    case("probabilities, one class only", p3[:20], [1] * 20, 3, True),
    case("binary probabilities with ties", p2, y2, 2, True),
    case("sure of everything", np.eye(3)[[0, 1, 2, 2, 1, 0]], [0, 1, 2, 0, 1, 2], 3, True),
    case("binary, one class only", p2[:12], [0] * 12, 2, True),
]
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(cases, indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n")
