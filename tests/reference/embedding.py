"""Writes embedding.json: how well classes of points are apart, and what a map in the plane keeps of neighbourhoods, by scikit-learn.

The points are 240 of the handwritten digits that come with scikit-learn (Alpaydin & Kaynak 1998, 8 x 8 grey values from 0 to 16).

Run: pip install numpy scikit-learn; python embedding.py (made with scikit-learn 1.9.1)
"""

import json
import pathlib

import numpy as np
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

digits = load_digits()
points, labels = digits.data[:240], digits.target[:240]


def separation(points, labels, n_neighbors):
    classifier = KNeighborsClassifier(n_neighbors, algorithm="brute")
    predicted = cross_val_predict(classifier, points, labels, cv=LeaveOneOut())
    return {
        "n_neighbors": n_neighbors,
        "silhouette": silhouette_score(points, labels),
        "knn_accuracy": float((predicted == labels).mean()),
    }


# A class of one member, and labels that are no row of numbers.
odd = np.where(labels % 2 == 1, 7, 2)
odd[5] = 40
# scikit-learn's own defaults: start from principal components, 1000 iterations.
tsne = TSNE(perplexity=30, random_state=0).fit_transform(points)
found = {
    "points": ["".join(chr(ord("a") + int(value)) for value in row) for row in points],
    "labels": labels.tolist(),
    "separation": [separation(points, labels, k) for k in (1, 5, 12)],
    "odd_labels": odd.tolist(),
    "odd_separation": separation(points, odd, 5),
    "map": [[round(float(value), 4) for value in row] for row in tsne],
}
found["trustworthiness"] = float(trustworthiness(points, np.array(found["map"]), n_neighbors=10))
text = json.dumps(found).replace('], "', '],\n"')
pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")
print({key: value for key, value in found.items() if key not in ("points", "labels", "map", "odd_labels")})
