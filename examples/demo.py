#!/usr/bin/env python3
"""What video weights are worth, by the command `cinetomo`: simulates labelled subtomograms, fine-tunes a network from video
and from random numbers, measures both on others, and writes a report on them. Needs nothing but Python."""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", default="cinetomo", help="the command")
    parser.add_argument("--checkpoint", default=os.environ.get("CINETOMO_I3D"), help="the video weights")
    parser.add_argument("--directory", default=".", type=Path, help="where files are written")
    parser.add_argument("--per-class", default=10, type=int, help="labelled subtomograms of each class")
    parser.add_argument("--test", default=20, type=int, help="others of each class, to measure on")
    parser.add_argument("--epochs", default=24, type=int)
    parser.add_argument("--longer-epochs", default=48, type=int, help="of a longer training from random numbers; 0 = none")
    parser.add_argument("--seed", default=0, type=int, help="another one gives other data")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--plugin", help="the library or its manifest, where the command does not find it")
    args = parser.parse_args()
    if not args.checkpoint:
        parser.error("name the video weights with --checkpoint (or CINETOMO_I3D)")
    checkpoint = Path(args.checkpoint).resolve()
    args.directory.mkdir(parents=True, exist_ok=True)

    def cinetomo(*words):
        """Runs a command; returns what it found and how many seconds it took."""
        begin = time.monotonic()
        line = [args.command, *map(str, words), "--device", args.device, "--force", "--json", "--quiet"]
        line += ["--plugin", args.plugin] if args.plugin else []
        run = subprocess.run(line, cwd=args.directory, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            raise SystemExit(f"failed: {' '.join(line)}")
        return json.loads(run.stdout), time.monotonic() - begin

    data, _ = cinetomo("simulate", "-o", "train.mrc", "--per-class", args.per_class, "--seed", 2 * args.seed)
    cinetomo("simulate", "-o", "test.mrc", "--per-class", args.test, "--seed", 2 * args.seed + 1)
    n_test = args.test * len(data["class_names"])
    print(f"{len(data['class_names'])} classes: {args.per_class} labelled subtomograms of each, {n_test} others to measure on\n")

    print("| start | epochs | accuracy | macro AUC | training | classification |", flush=True)
    print("|---|---|---|---|---|---|")
    trainings = [("video", args.epochs), ("random numbers", args.epochs), ("random numbers", args.longer_epochs)]
    models = []
    for start, epochs in trainings:
        if epochs == 0:
            continue
        model = "video.safetensors" if start == "video" else f"random-{epochs}.safetensors"
        weights = ["--checkpoint", checkpoint] if start == "video" else ["--random"]
        _, training = cinetomo("finetune", *weights, "--labels", "train.csv", "--contrast", "dark", "--epochs", epochs, "-o", model)
        models.append(model)
        scores = Path(model).with_suffix(".csv")
        _, classification = cinetomo("classify", "-m", model, "-i", "test.mrc", "--contrast", "dark", "-o", scores)
        found, _ = cinetomo("evaluate", "--scores", scores, "--labels", "test.csv")
        print(
            f"| {start} | {epochs} | {found['accuracy']:.2f} | {found['macro_auc']:.2f} | {training:.0f} s "
            f"| {1000 * classification / n_test:.0f} ms a subtomogram |",
            flush=True,
        )

    # Beside them, what the network makes of the subtomograms before it is tuned.
    cinetomo("init", "--checkpoint", checkpoint, "--classes", *data["class_names"], "-o", "untuned.safetensors")
    labels = ["-i", "test.mrc", "--labels", "test.csv", "--contrast", "dark"]
    beside = ["--beside", *models[1:], "untuned.safetensors"]
    report, _ = cinetomo("report", "-m", models[0], *beside, *labels, "-o", "report.html")
    print(f"\n{(args.directory / report['output']).resolve()}: a report on all of them; open it in a browser")


if __name__ == "__main__":
    main()
