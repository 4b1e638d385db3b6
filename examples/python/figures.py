# A study from subtomograms to figures, in cells (`# %%`) for editors that run them one by one; or as a whole:
#
#     pip install "./examples/python[figures]"
#     python examples/python/figures.py i3d-kinetics-400.ckpt --out figures
#
# The subtomograms are simulated: the built-in phantoms, so that the truth is known. For your own put in their place an array
# [n, z, y, x], a label each (-1 = none) and, best, the number of the tomogram that each is from.

# %% Settings
import argparse
from pathlib import Path

import cinetomo
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser(description="Fine-tune on simulated subtomograms and draw what came of it.")
parser.add_argument("checkpoint", help="video weights, such as i3d-kinetics-400.ckpt")
parser.add_argument("--plugin", help="manifest, directory of manifests or library (default: searched for)")
parser.add_argument("--out", type=Path, default=Path("figures"))
parser.add_argument("--per-class", type=int, default=40, help="simulated subtomograms a class (default: %(default)s)")
parser.add_argument("--classes", type=int, default=7, help="phantoms (default: %(default)s)")
parser.add_argument("--box-size", type=int, default=32)
parser.add_argument("--snr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=24)
settings = parser.parse_args()
settings.out.mkdir(parents=True, exist_ok=True)

# %% The library and the subtomograms
plugin = cinetomo.load(settings.plugin)
context = plugin.context()
print(f"cinetomo {plugin.version}: {plugin.runtime_info().summary}")

synthetic = context.synthetic()
class_names = synthetic.phantom_names[: settings.classes]
labels = np.arange(settings.classes).repeat(settings.per_class)
voxels, _ = synthetic.simulate(labels, box_size=settings.box_size, snr=settings.snr, seed=1, progress=True)


def volume(indices):
    return cinetomo.Volume(voxels[indices], voxel_size=10.0, contrast="dark")


# %% Training, validation, test: the same division in every host that has the same labels and seed
parts = plugin.split(labels, training_fraction=0.4, validation_fraction=0.2, test_fraction=0.4)
print({part: len(indices) for part, indices in parts.items()})
train, validation, test = parts["training"], parts["validation"], parts["test"]

# %% Fine-tuning, with its learning curve
curve = []
video = context.model_from_video(settings.checkpoint, class_names)
tuned = video.fine_tune(volume(train), labels[train], n_epochs=settings.epochs, progress=curve.append)
model = tuned.calibrate(volume(validation), labels[validation])
trained = [report for report in curve if report.stage == "train" and report.step == report.n_steps]

# %% What it makes of subtomograms that it has not seen
predictions = model.predict(volume(test), ["probability"])
truth = labels[test]
found = plugin.evaluate(predictions.probabilities, truth)
accepted = predictions.labels >= 0
print(f"accuracy {found.accuracy:.3f}, macro AUC {found.macro_auc:.3f}, calibration error {found.expected_calibration_error:.3f}")
if accepted.any():
    right = np.mean(predictions.labels[accepted] == truth[accepted])
    print(f"{accepted.sum()} of {accepted.size} accepted, of which {right:.3f} are right")


# %% Figures
def save(figure, name):
    figure.tight_layout()
    figure.savefig(settings.out / f"{name}.png", dpi=150)
    plt.close(figure)


figure, axes = plt.subplots(2, settings.classes, figsize=(1.6 * settings.classes, 3.6), squeeze=False)
for index, name in enumerate(class_names):
    first = np.flatnonzero(labels == index)[0]
    density = synthetic.phantom_density(index, settings.box_size)
    axes[0, index].imshow(density.max(axis=0), cmap="gray")
    axes[1, index].imshow(voxels[first, settings.box_size // 2], cmap="gray")
    axes[0, index].set_title(name[:14], fontsize=7)
    for row in axes[:, index]:
        row.set_axis_off()
save(figure, "subtomograms")

figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(8, 3))
epochs = [report.epoch for report in trained]
loss.plot(epochs, [report.loss for report in trained])
loss.set(xlabel="epoch", ylabel="training loss (nats)")
accuracy.plot(epochs, [report.accuracy for report in trained])
accuracy.set(xlabel="epoch", ylabel="training accuracy", ylim=(0, 1.02))
save(figure, "training")

figure, axis = plt.subplots(figsize=(4.5, 4))
for index, name in enumerate(class_names):
    roc = plugin.evaluate_roc(predictions.probabilities, truth, index)
    axis.plot(roc["false_positive_rate"], roc["true_positive_rate"], label=name[:20])
axis.plot([0, 1], [0, 1], color="gray", linewidth=0.5)
axis.set(xlabel="false positive rate", ylabel="true positive rate", title=f"macro AUC {found.macro_auc:.3f}")
axis.legend(fontsize=6)
save(figure, "roc")

figure, axis = plt.subplots(figsize=(5, 4))
rows = found.confusion / np.maximum(found.confusion.sum(axis=1, keepdims=True), 1)
axis.imshow(rows, cmap="Blues", vmin=0, vmax=1)
for row, column in np.ndindex(*rows.shape):
    axis.text(
        column, row, found.confusion[row, column], ha="center", va="center", color="white" if rows[row, column] > 0.6 else "black"
    )
axis.set(xlabel="predicted", ylabel="true", title=f"accuracy {found.accuracy:.3f}")
axis.set_xticks(range(len(class_names)), [name[:10] for name in class_names], rotation=45, ha="right", fontsize=6)
axis.set_yticks(range(len(class_names)), [name[:10] for name in class_names], fontsize=6)
save(figure, "confusion")

figure, axis = plt.subplots(figsize=(4, 4))
bins = plugin.evaluate_reliability(predictions.probabilities, truth, 10)
axis.bar(bins["low"], bins["accuracy"], width=bins["high"] - bins["low"], align="edge", edgecolor="white")
axis.plot([0, 1], [0, 1], color="gray", linewidth=0.5)
axis.set(xlabel="confidence", ylabel="accuracy", title=f"calibration error {found.expected_calibration_error:.3f}")
save(figure, "reliability")

embeddings = model.embed(volume(test))
centred = embeddings - embeddings.mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T  # principal components
figure, axis = plt.subplots(figsize=(5, 4))
for index, name in enumerate(class_names):
    axis.scatter(*plane[truth == index].T, s=8, label=name[:20])
axis.set(xlabel="first principal component", ylabel="second")
axis.legend(fontsize=6)
save(figure, "embeddings")

model.save(settings.out / "model.safetensors")
print(f"{', '.join(sorted(path.name for path in settings.out.iterdir()))} in {settings.out}")
