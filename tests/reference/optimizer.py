"""Writes optimizer.json: steps of Adam, AdamW and SGD, computed from the formulas of the papers in double precision.

Adam: Kingma & Ba 2015, algorithm 1; AdamW: Loshchilov & Hutter 2019, algorithm 2, decay scaled by the learning rate;
SGD: Sutskever et al. 2013 without Nesterov, in the form v = m v + g, w = w - rate v.
Run: pip install numpy; python optimizer.py
"""

import json
import pathlib

import numpy as np

start = np.array([1.5, -0.3, 0.02, -2.0])
curvature = np.array([1.0, 0.1, 30.0, -0.2])
rates = [0.1, 0.05, 0.2, 0.01]


def gradient(w):
    return curvature * w + np.cos(w)


def adam(decay, decoupled):
    w, m, v = start.copy(), np.zeros(4), np.zeros(4)
    for t, rate in enumerate(rates, 1):
        g = gradient(w) + (0 if decoupled else decay * w)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w = w - rate * step - (rate * decay * w if decoupled else 0)
        yield w.tolist()


def sgd(momentum, decay):
    w, v = start.copy(), np.zeros(4)
    for rate in rates:
        v = momentum * v + gradient(w) + decay * w
        w = w - rate * v
        yield w.tolist()


def case(optimizer, momentum, decay, steps):
    return {
        "optimizer": optimizer,
        "momentum": momentum,
        "weight_decay": decay,
        "learning_rates": rates,
        "start": start.tolist(),
        "curvature": curvature.tolist(),
        "steps": list(steps),
    }


cases = [case("adam", 0.5, d, adam(d, False)) for d in (0, 0.1)]
cases += [case("adamw", 0.5, d, adam(d, True)) for d in (0, 0.1)]
cases += [case("sgd", m, d, sgd(m, d)) for m, d in ((0, 0), (0.9, 0), (0.9, 0.1))]
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(cases, separators=(",", ":")).replace("},{", "},\n{") + "\n")
